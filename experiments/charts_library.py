"""The script that draws the charts of HTML pages, and what a page needs to hold it.

``assets/plotly-basic.min.js`` is the file of the npm package plotly.js-basic-dist-min 4.1.1 (MIT): lines, bars and pies
without the other 3.6 MB of plotly.js.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

LIBRARY = Path(__file__).resolve().parent / "assets" / "plotly-basic.min.js"


def charts_library() -> str:
    """Return the script; it defines ``Plotly`` and ends no script element."""
    return LIBRARY.read_text(encoding="utf-8")


def script_hash(script: str) -> str:
    """Return how a content security policy names a script that may run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
