"""Tables in README and docs are those that the committed results give."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from experiments.report import RESULTS, tables
from experiments.schema import load_results

N_ALONE = RESULTS.parent / "n_alone"
ROOT = Path(__file__).resolve().parents[2]
ALL_PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = [page for page in ALL_PAGES if "<!-- table:" in page.read_text()]
# Every other page shows the edition that the report is built from.
IMAGES = RESULTS.parent / "rate_and_n_images"
SUITE_IMAGES = RESULTS.parent / "rate_and_n_suite_images"
EARLIER = RESULTS.parent / "earlier"  # runs of earlier effort laws, by commit, and of constants on their seeds
CHANGED = RESULTS.parent / "earlier_37d35c9"  # of its runs, those of tasks on which the law has changed since
MENDED = RESULTS.parent / "mended"  # runs of the effort law as it is, which differs on one task; both in no table
OF_EDITION = {"n_alone.md": N_ALONE, "images.md": IMAGES, "suite_images.md": SUITE_IMAGES}


def test_every_committed_run_of_the_first_edition_is_read_as_what_it_is() -> None:
    results = load_results(N_ALONE)
    assert not results.problems
    # 258 + 252 runs on tuning seeds, 1570 + 1570 + 129 + 86 on final ones.
    assert len(results.runs) == len({run.identity for run in results.runs}) == 3865
    assert not [run for run in results.runs if run.status == "failed"]


@pytest.mark.parametrize(
    ("folder", "runs"),
    [
        (RESULTS, 858 + 1292 + 1232 + 789 + 526),
        (IMAGES, 56 + 128 + 37 + 56 + 93 + 34 - 5 + 21 + 60),
        (SUITE_IMAGES, 78 + 42 + 42 + 42 + 26 - 7 + 41 + 48),
        (EARLIER, 280 + 16 + 33 + 8 + 6 + 172 + 20 + 6 + 1810 + 898 + 6),
        (CHANGED, 52),
        (MENDED, 78),
    ],
)
def test_every_committed_run_of_the_second_edition_is_read(folder: Path, runs: int) -> None:
    results = load_results(folder)
    assert not results.problems
    assert len(results.runs) == len({run.identity for run in results.runs}) == runs
    assert not [run for run in results.runs if run.status == "failed"]


def test_there_are_tables_to_compare() -> None:
    assert PAGES


def test_every_figure_with_an_interval_in_the_prose_stands_in_a_table() -> None:
    table = re.compile(r"<!-- table:.*?<!-- /table -->", re.DOTALL)
    pages = {page.name: page.read_text() for page in PAGES}
    written = "".join("".join(table.findall(text)) for text in pages.values())
    figure = re.compile(r"\d+\.\d\d\s\(\d+\.\d\d\sto\s\d+\.\d\d\)")
    told = [
        (name, " ".join(found.split())) for name, text in pages.items() for found in figure.findall(table.sub("", text))
    ]
    assert told
    assert [(name, found) for name, found in told if found not in written] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_are_those_of_the_committed_results(page: Path) -> None:
    stale = tables.check(page, OF_EDITION.get(page.name, RESULTS))
    assert stale == [], "python -m experiments report --tables PAGE writes them anew; three pages need --results"
