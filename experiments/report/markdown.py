"""Markdown tables whose cells come from result files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

NOTHING = "No results yet.\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table, or :data:`NOTHING` where it has no rows."""
    lines = [head, ["---"] * len(head), *rows]
    if len(lines) == 2:
        return NOTHING
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def cell(text: str) -> str:
    """Escape what would end a cell or start a tag."""
    return re.sub(r"([\\`|*_\[\]])", r"\\\1", " ".join(text.split())).replace("<", "&lt;").replace(">", "&gt;")
