"""The HTML page: all data, styles and scripts within, no request to anywhere.

Names and titles come from result files, so nothing of them is trusted: the template escapes all that it shows, the data
goes into a script element that no browser runs, with every ``<`` escaped, and a content security policy
lets only the two scripts run whose hashes it names.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from experiments.report import formatting
from experiments.report.averages import AVERAGES, SOURCE
from experiments.report.data import page_data
from experiments.report.outcomes import failures, outcomes
from experiments.report.palette import KIND_TITLES
from experiments.report.seeds import groups, seen_note
from experiments.schema import SEED_ROLES, SUITES, Results
from experiments.statistics import Table, verdict

ASSETS = Path(__file__).resolve().parent / "assets"


def render(results: Results) -> str:
    """Return the page.

    Args:
        results: may hold no runs; every chart then says so.
    """
    table = Table.of(results)
    library, script = get_plotlyjs(), (ASSETS / "page.js").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    suite = results.suite
    return environment.get_template("page.html.j2").render(
        formatting=formatting,
        suite=suite,
        suites=SUITES[::-1],
        kinds=KIND_TITLES,
        titles={c.name: c.title for c in suite.contenders},
        task_titles={t.name: t.title for t in suite.tasks},
        problems=results.problems,
        failures=failures(results),
        verdict=verdict(table),
        outcomes={name: outcomes(results, table, table.tasks(name)) for name in SUITES},
        counts={role: sum(run.config.seed_role == role for run in results.runs) for role in SEED_ROLES},
        seed_groups=groups(results),
        seen_note=seen_note(results),
        averages=AVERAGES,
        source=SOURCE,
        versions=_versions(results),
        hashes=[_hash(library), _hash(script)],
        # Safe as they are: one is the library's own file, the other ours, and neither ends a script element.
        library=Markup(library),
        script=Markup(script),
        style=Markup((ASSETS / "page.css").read_text(encoding="utf-8")),
        data=Markup(embed(page_data(results))),
    )


def embed(data: Any) -> str:
    """Return JSON that can stand inside a script element: no name in it can end the element or open a comment."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"), ensure_ascii=True)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _versions(results: Results) -> dict[str, list[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for run in results.runs:
        for name, version in run.versions.items():
            found[name].add(version)
    return {name: sorted(versions) for name, versions in sorted(found.items())}
