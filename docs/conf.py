"""The site: `make docs` builds it with warnings as errors; everything that it shows is on the page itself."""

from __future__ import annotations

import html
import inspect
import os
import re
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.inspect import signature, stringify_signature
from sphinx.writers.html5 import HTML5Translator

import adaptive_critic
from experiments.report.build import RESULTS, build

project = "adaptive_critic"
author = "The adaptive_critic authors"
project_copyright = f"2026, {author}"
version = release = adaptive_critic.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "jupyter_execute"]
nitpicky = True
# Other projects' inventories would have to be fetched, and the site is built without a network: their names are
# shown without a link. What belongs to this project must resolve.
nitpick_ignore_regex = [
    ("py:.*", r"(?!adaptive_critic\b).*"),
    ("py:.*", r"adaptive_critic\..*T"),  # type variables
    ("py:class", r"adaptive_critic\..*\._[A-Z]\w*"),  # bases that only this package derives from
]

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88  # longer ones get a line for each argument
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300

# Tutorials run without what the reader's IPython starts with, and say what they print, not how their kernel is reached.
_ipython = tempfile.TemporaryDirectory(prefix="ipython-")
(Path(_ipython.name) / "profile_default").mkdir()
(Path(_ipython.name) / "profile_default" / "ipython_kernel_config.py").write_text("c.IPKernelApp.log_level = 'ERROR'\n")
os.environ["IPYTHONDIR"] = _ipython.name

html_theme = "furo"
html_title = "adaptive_critic"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["mathml.css", "pages.css"]
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

_latex = LatexToMathML()
_MATHML = "{http://www.w3.org/1998/Math/MathML}"


def _mathml(text: str, node: nodes.math | nodes.math_block, displayed: bool) -> str:
    if displayed and re.search(r"&|\\\\", text) and r"\begin" not in text:
        text = rf"\begin{{aligned}}{text}\end{{aligned}}"
    text = re.sub(r"_\{([a-z]{2,})\}", r"_{\\text{\1}}", text)  # a word is no product of its letters
    try:
        markup = _latex.convert_with_local_state(text, displaystyle=displayed)
    except LatexError as error:
        plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
        logging.getLogger(__name__).warning("can't draw %s: %s", text, plain, location=node)
        return f"<code>{html.escape(text)}</code>"
    # A browser stretches a line over a term only in a font made for equations, which may not be there: draw it.
    named = r"&(?!amp;|lt;|gt;)[a-zA-Z]+;"  # HTML knows more entities than XML
    root = ElementTree.fromstring(re.sub(named, lambda entity: html.unescape(entity[0]), markup))
    for over in root.iter():
        if over.tag.removeprefix(_MATHML) == "mover" and (over[1].text or "") in "\u203e\u00af\u2015\u0305\u0332":
            over.tag = over.tag.replace("mover", "mrow")
            over.set("class", "overline")
            over.remove(over[1])
    return ElementTree.tostring(root, encoding="unicode")


def _inline_math(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(_mathml(node.astext(), node, displayed=False))
    raise nodes.SkipNode


def _display_math(self: HTML5Translator, node: nodes.math_block) -> None:
    text = node.astext()
    # A line of several equations may break between them, where the page is narrow.
    parts = [text] if re.search(r"&|\\\\|\\begin", text) else re.split(r"\\q?quad", text)
    equations = "".join(f"<span>{_mathml(part, node, displayed=True)}</span> " for part in parts)
    self.body.append(self.starttag(node, "div", CLASS="math") + equations + "</div>\n")
    raise nodes.SkipNode


class _Translator(HTML5Translator):
    """Writes pictures that open in full size: a column is narrower than most of them."""

    def visit_image(self, node: nodes.image) -> None:
        """Put the picture into a link to itself, unless it is in a link."""
        super().visit_image(node)
        found = re.search(r'src="([^"]+)"', self.body[-1])
        if found is not None and not isinstance(node.parent, nodes.reference):
            self.body[-1] = f'<a class="whole-picture" href="{found[1]}">{self.body[-1].strip()}</a>'


def _arguments_of_init(
    _app: Sphinx, what: str, _name: str, obj: Any, _options: Any, shown: str | None, _returns: str | None
) -> tuple[str, None] | None:
    """Show what a class is called with, where a ``__new__(*args, **kwargs)`` hides it."""
    if what == "class" and shown is not None and shown.startswith("(*args") and inspect.isfunction(obj.__init__):
        arguments = signature(obj.__init__, bound_method=True)
        return stringify_signature(arguments, show_return_annotation=False, unqualified_typehints=True), None
    return None


def _ablation_report(app: Sphinx, error: Exception | None) -> None:
    """Write the report of the ablation suite into the site, from the committed results."""
    if error is None and app.builder.format == "html":
        build(RESULTS, Path(app.outdir) / "report")


def setup(app: Sphinx) -> None:
    """Render equations as MathML, which every browser draws without a script from elsewhere, and pictures as links."""
    app.set_translator("html", _Translator)
    app.add_html_math_renderer("mathml", (_inline_math, None), (_display_math, None))
    app.connect("autodoc-process-signature", _arguments_of_init)
    app.connect("build-finished", _ablation_report)
