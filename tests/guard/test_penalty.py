"""The guard and the critic's penalty, which neither d_loss nor the scores hold."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from ignite.engine import Engine

from adaptive_critic import DivergenceGuard
from tests.guard.engines import healthy, through_file, trainer_of


def guarded(penalty: Callable[[int], Any], iterations: int = 300) -> tuple[DivergenceGuard, Engine]:
    """Run a healthy training but for its penalty."""
    trainer = trainer_of(lambda i: healthy(i) | {"d_penalty": penalty(i)})
    guard = DivergenceGuard("terminate")
    guard.attach(trainer)
    trainer.run(range(iterations))
    return guard, trainer


FORMS: dict[str, Callable[[float], Any]] = {
    "tensor": lambda value: torch.tensor([0.5, value]),
    "tuple of tensors": lambda value: (torch.tensor(0.5), torch.tensor(value)),
    "floats": lambda value: [0.5, value],
    "scalar": lambda value: value,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_penalty_that_is_not_finite_is_found(form: str, value: float) -> None:
    guard, trainer = guarded(lambda i: FORMS[form](value if i > 15 else 0.5))
    assert trainer.state.iteration == 20
    assert [record["reason"] for record in guard.history] == ["d_penalty not finite"]


@pytest.mark.parametrize("form", FORMS)
def test_a_penalty_that_explodes_is_found(form: str) -> None:
    guard, trainer = guarded(lambda i: FORMS[form](0.5 if i <= 100 else 11.0))
    assert trainer.state.iteration == 130
    assert [record["reason"] for record in guard.history] == ["d_penalty 11 is beyond 10.5 at 3 checks in a row"]
    assert guard.history[0]["values"] == {"d_penalty": 11.0, "d_penalty_limit": 10.5}


@pytest.mark.parametrize(
    "penalty",
    [
        lambda i: [0.5, 10.0 * math.exp(-i / 20)],  # as with a gradient penalty, whose critic becomes smooth
        lambda i: [0.5, 10.0 if i <= 100 else 0.0],  # which is no dead critic
        lambda i: [0.0, 0.0],  # an objective without any
        lambda i: [0.5, 1e6 if i % 40 < 20 else 0.5],  # never for three checks in a row
    ],
)
def test_a_penalty_that_shrinks_or_swings_is_none_of_its_business(penalty: Callable[[int], Any]) -> None:
    guard, trainer = guarded(penalty)
    assert trainer.state.iteration == 300
    assert [record for record in guard.history if record["rule"] != "collapse"] == []


def test_iterations_without_a_penalty_are_no_change() -> None:
    """As with lazy regularisation, and where n is 0."""

    def output(i: int) -> dict[str, Any]:
        some = {"d_penalty": [50.0 if i > 100 else 0.5]}
        return healthy(i) | ({}, {"d_penalty": []}, some)[i % 3]

    trainer = trainer_of(output)
    guard = DivergenceGuard("terminate")
    guard.attach(trainer)
    trainer.run(range(300))
    assert trainer.state.iteration == 130


def test_a_penalty_alone_is_watched() -> None:
    trainer = trainer_of(lambda i: {"d_penalty": [0.5 if i < 15 else math.nan]})
    guard = DivergenceGuard("terminate")
    guard.attach(trainer)
    assert trainer.run(range(100)).iteration == 20


def test_a_saved_window_holds_it_and_one_from_before_does_not() -> None:
    guard, _ = guarded(lambda i: [0.5, float(i)], iterations=15)
    state = through_file(guard.state_dict())
    assert [row[4] for row in state["window"]["rows"]] == [11.0, 12.0, 13.0, 14.0, 15.0]
    assert state["rules"]["history"]["d_penalty"] == [5.5]
    twin = DivergenceGuard("terminate")
    twin.load_state_dict(state)
    assert twin.state_dict() == guard.state_dict()
    early = {
        **state,
        "window": {"masks": [0b110011], "rows": [[1.0, -1.0, 1.0, -1.0, -2.0, -2.0]]},
        "rules": {**state["rules"], "history": {"gap": [2.0]}},
    }
    twin.load_state_dict(early)
    assert twin.state_dict()["window"] == {"updates": [], **early["window"]}
