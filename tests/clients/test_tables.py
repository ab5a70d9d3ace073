"""The tables of docs/clients.md are those that the committed results give."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from experiments.clients import table


@pytest.fixture
def results() -> dict[str, Any]:
    return {name: json.loads((table.RESULTS / f"{name}.json").read_text()) for name in table.TABLES}


def test_the_page_is_up_to_date() -> None:
    page = table.PAGE.read_text()
    assert table.insert(page) == page, "python -m experiments.clients.table writes it anew"


def test_a_page_without_the_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="expected the markers <!-- clients:tabular -->"):
        table.insert("# Clients\n")


@pytest.mark.parametrize("name", table.TABLES)
def test_contenders_with_other_seeds_are_refused(name: str, results: dict[str, Any]) -> None:
    result = copy.deepcopy(results[name])
    del result["runs"][0]
    with pytest.raises(ValueError, match="need the same seeds"):
        table.TABLES[name](result)


def test_paired_differences() -> None:
    assert table.against([0.5, 0.75], [0.25, 1.0], lambda difference: difference > 0.0) == "+0.000, better on 1 of 2"
    assert table.spread([1.0, 2.0, 6.0], 1) == "3.0 (1.0 to 6.0)"


@pytest.mark.parametrize("name", table.TABLES)
def test_no_contender_spent_less_than_the_budget(name: str, results: dict[str, Any]) -> None:
    result = results[name]
    for row in result["runs"]:
        if name == "tabular":
            spent = row["generator_updates"] + row["critic_updates"] * result["critic_cost"]
            one = 1.0 + 20 * result["critic_cost"]
        else:
            watched = 0.0 if row["contender"].startswith("Fixed") else 0.2
            seen = row["generator_updates"] - row.get("iterations_without", 0)  # D is watched in fake-score updates
            spent = row["generator_updates"] + watched * seen + row["critic_updates"] * 0.8
            one = 1.2 + 20 * 0.8
        assert result["budget"] - 1e-6 <= spent <= result["budget"] + one
