"""Markdown tables in README and docs, generated from results between markers.

A file holds ``<!-- table:NAME -->`` and, further down, ``<!-- /table -->``; what stands between them is written by
:func:`update` and compared by :func:`check`. NAME is one of :data:`TABLES`. ``<!-- table:evidence fixed-1 gap -->`` is
the table of evidence with these contenders alone, in the suite's order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from pathlib import Path

from experiments.report.evidence_tables import (
    averaged_table,
    evidence,
    failures_table,
    not_run_table,
    rivals_table,
    summary,
)
from experiments.report.goal_tables import targets_table, tasks_table, verdict_table
from experiments.schema import Results, load_results

_BLOCK = re.compile(r"(<!-- table:(?P<name>[^\n]*?) -->\n)(?P<body>.*?)(<!-- /table -->)", re.DOTALL)
_OPEN = re.compile(r"<!-- table:")


def update(path: Path, results_dir: Path) -> bool:
    """Rewrite the tables of a file; return whether anything changed.

    Raises:
        ValueError: a marker names no table, or is not closed.
    """
    before = Path(path).read_text(encoding="utf-8")
    after = _rewritten(before, str(path), load_results(results_dir))
    if after != before:
        Path(path).write_text(after, encoding="utf-8")
    return after != before


def check(path: Path, results_dir: Path) -> list[str]:
    """Return the names of the tables in a file that differ from what the results give; empty if all is well.

    Raises:
        ValueError: as :func:`update`.
    """
    before = Path(path).read_text(encoding="utf-8")
    after = _rewritten(before, str(path), load_results(results_dir))
    pairs = zip(_BLOCK.finditer(before), _BLOCK.finditer(after), strict=True)
    return [old["name"] for old, new in pairs if old["body"] != new["body"]]


def _rewritten(text: str, where: str, results: Results) -> str:
    if len(_OPEN.findall(text)) != len(list(_BLOCK.finditer(text))):
        raise ValueError(f"{where}: a '<!-- table:NAME -->' line without a '<!-- /table -->' of its own after it")

    def body(match: re.Match[str]) -> str:
        if _OPEN.search(match["body"]):
            raise ValueError(f"{where}: table {match['name']!r} is not closed before the next one opens")
        name, _, contenders = match["name"].partition(" ")
        if name not in TABLES:
            raise ValueError(f"{where}: unknown table {name!r}; there are: {', '.join(TABLES)}")
        if not contenders:
            return match[1] + TABLES[name](results) + match[4]
        if name not in OF_CONTENDERS:
            takers = ", ".join(OF_CONTENDERS)
            raise ValueError(f"{where}: table {match['name']!r}: only these take names of contenders: {takers}")
        try:
            return match[1] + OF_CONTENDERS[name](results, contenders.split()) + match[4]
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None

    return _BLOCK.sub(body, text)


TABLES: dict[str, Callable[[Results], str]] = {
    "evidence": evidence,
    "summary": summary,
    "targets": targets_table,
    "rivals": rivals_table,
    "averaged": averaged_table,
    "not-run": not_run_table,
    "verdict": verdict_table,
    "tasks": tasks_table,
    "failures": failures_table,
}
OF_CONTENDERS: dict[str, Callable[[Results, Collection[str] | None], str]] = {
    "evidence": evidence,
    "summary": summary,
    "averaged": averaged_table,
}
"""Those of them that take names of contenders."""

__all__ = [
    "TABLES",
    "averaged_table",
    "check",
    "evidence",
    "failures_table",
    "not_run_table",
    "rivals_table",
    "summary",
    "targets_table",
    "tasks_table",
    "update",
    "verdict_table",
]
