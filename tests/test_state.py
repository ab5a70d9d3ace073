from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from adaptive_critic import StateError
from adaptive_critic import state as saved


@pytest.mark.parametrize(
    ("value", "lowest", "highest"),
    [
        *[(value, 0, 1) for value in (math.nan, 2, -1, "1", True, None)],
        (math.inf, 0, math.inf),
        (10**400, 0, math.inf),
    ],
)
def test_a_number_out_of_range(value: Any, lowest: float, highest: float) -> None:
    with pytest.raises(StateError, match="x"):
        saved.number({"x": value}, "x", lowest, highest)


@pytest.mark.parametrize("value", [-1, 1.0, True, "1", None, 2**63 + 1])
def test_a_wrong_int(value: Any) -> None:
    with pytest.raises(StateError, match="'x'.*=.*expected an int"):
        saved.integer({"x": value}, "x")
    with pytest.raises(StateError, match="'x'.*=.*expected ints"):
        saved.integers({"x": [0, value]}, "x", 2)


@pytest.mark.parametrize("value", ["12", b"12", 5, None, {"a": 1}, [1, "2"], [1, True], [1, [2]], [10**400]])
def test_wrong_lists(value: Any) -> None:
    with pytest.raises(StateError, match="'x'"):
        saved.floats({"x": value}, "x")
    with pytest.raises(StateError, match="'x'"):
        saved.rows({"x": [value]}, "x", 2)


@pytest.mark.parametrize("value", [[1.0], [0.5, 0, 0, 0], [-1, 0, 0, 0], [0, math.nan, 0, 0], [math.inf, 0, 0, 0]])
def test_wrong_packed_vectors(value: Any) -> None:
    with pytest.raises(StateError, match="'x'"):
        saved.packed({"x": value}, "x", 4)


@pytest.mark.parametrize(
    "value",
    [10**5000, ["x"] * 100_000, {str(key): key for key in range(100_000)}, "x" * 10**6],
    ids=["int", "list", "dict", "str"],
)
def test_what_is_wrong_is_quoted_in_short(value: Any) -> None:
    """A number of more than 4300 digits can't be quoted at all."""
    reading: tuple[Callable[[Any], Any], ...] = (
        lambda state: saved.integer(state, "x"),
        lambda state: saved.number(state, "x", 0.0, 1.0),
        lambda state: saved.floats(state, "x"),
        lambda state: saved.integers(state, "x"),
        lambda state: saved.entry(state["x"] if isinstance(value, dict) else {value: 1, "z": 2}, "y"),
    )
    for read in reading[: 4 if isinstance(value, (int, list)) else 5]:
        with pytest.raises(StateError) as caught:
            read({"x": value})
        assert len(str(caught.value)) < 300


def test_what_is_right_is_returned() -> None:
    assert saved.number({"x": 1}, "x", 0, 1) == 1.0
    assert saved.integer({"x": 2**63}, "x") == 2**63
    assert saved.integers({"x": [1, 2]}, "x", 2) == (1, 2)
    assert saved.floats({"x": (1, 2.5)}, "x", 2) == (1.0, 2.5)
    assert math.isnan(saved.floats({"x": [math.nan]}, "x")[0])
    assert saved.rows({"x": [[1, 2], (3, 4)]}, "x", 2) == [(1.0, 2.0), (3.0, 4.0)]
    assert saved.packed({"x": []}, "x", 4) == ()
    assert saved.packed({"x": [1, 0, math.inf, -2.5]}, "x", 4) == (1.0, 0.0, math.inf, -2.5)
    assert saved.mapping({"x": {}}, "x") == {}


def test_a_missing_key_lists_what_is_there() -> None:
    with pytest.raises(StateError, match=r"no 'x'; it has \['1', 'y'\]"):
        saved.integer({"y": 1, 1: 2}, "x")  # type: ignore[dict-item]  # a checkpoint may hold any keys


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ([], "got list"),
        ({}, "no 'handler'"),
        (torch.optim.Adam([torch.zeros(1)]).state_dict(), r"state of an optimizer: expected .* A.state_dict\(\)"),
        (torch.nn.Linear(1, 1).state_dict(), r"state of a module: expected the dict that A.state_dict\(\) returned"),
        ({"handler": "A"}, "no 'version'"),
        ({"handler": "B", "version": 1}, "a state of 'B', it can't be loaded into A"),
        ({"handler": "A", "version": 2}, "version 2, this release reads up to 1"),
        ({"handler": "A", "version": 0}, "'version'"),
        ({"handler": "A", "version": True}, "'version'"),
    ],
)
def test_header(state: Any, message: str) -> None:
    with pytest.raises(StateError, match=message):
        saved.header(state, "A", 1)
