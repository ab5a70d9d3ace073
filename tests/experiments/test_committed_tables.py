"""Tables in README and docs are those that the committed results give."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.report import tables

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "experiments" / "results"
ALL_PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = [page for page in ALL_PAGES if "<!-- table:" in page.read_text()]


def test_there_are_tables_to_compare() -> None:
    assert PAGES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_are_those_of_the_committed_results(page: Path) -> None:
    assert tables.check(page, RESULTS) == [], "python -m experiments report --tables PAGE writes them anew"
