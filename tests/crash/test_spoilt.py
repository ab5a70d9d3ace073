"""Destabilised runs, a short cut of ``python -m tests.crash``."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from torch import nn

from adaptive_critic import DivergenceGuard
from tests.crash.healthy import Kind, train
from tests.crash.spoilt import END, complaint, nan_gradient_generator, spoil
from tests.guard.engines import healthy, needs_max_iters


@needs_max_iters
@pytest.mark.parametrize("restore_average", [True, False])
def test_a_gradient_that_is_no_number_is_found_and_only_what_was_listed_is_restored(restore_average: bool) -> None:
    outcome = spoil(nan_gradient_generator, "hinge", 0, restore_average=restore_average)
    # Its weights are not finite after iteration 300, what it makes from 301 on.
    assert (outcome.rule, outcome.after, outcome.interventions, outcome.ended) == ("non_finite", 10, 1, END)
    assert math.isfinite(outcome.distance)
    # An average that has seen a NaN keeps it, unless it is rolled back as well.
    assert math.isfinite(outcome.average_distance) is restore_average
    assert (complaint(outcome, nan_gradient_generator) is None) is restore_average


def test_a_run_that_ends_in_the_cooldown_ends_in_a_usable_model_or_says_why_not() -> None:
    model = nn.Linear(1, 1)

    def step(engine: Engine, batch: Any) -> dict[str, Any]:
        output = healthy(engine.state.iteration)
        return output | {"g_loss": output["g_loss"] + 0 * model.weight.detach().sum()}

    trainer = Engine(step)
    guard = DivergenceGuard("rollback", to_restore={"model": model})  # a cooldown of 200 iterations
    guard.attach(trainer)

    def spoil_weights(engine: Engine) -> None:
        nn.init.constant_(model.weight, math.nan)

    trainer.add_event_handler(Events.ITERATION_STARTED(event_filter=lambda _, event: event in (95, 120)), spoil_weights)
    trainer.run(range(250))
    assert (guard.history[0]["iteration"], guard.history[0]["action"]) == (100, "rollback")
    assert (guard.history[1]["iteration"], guard.history[1]["action"]) == (120, "terminate")
    assert trainer.state.iteration == 120
    assert torch.isfinite(model.weight).all()


@pytest.mark.parametrize(
    "kind",
    [
        Kind("Adam(1e-3)", "N(0, 0.02)", "warm-up", "wasserstein-gp"),
        Kind("Adam(2e-4, betas=(0.5, 0.999))", "torch's", "0 at first", "non-saturating"),
        Kind("RMSprop(5e-4)", "N(0, 0.02)", "restarts", "hinge"),
    ],
)
def test_updates_of_healthy_runs_are_healthy(kind: Kind) -> None:
    assert train(kind, seed=0, iterations=300) == (0, True)
