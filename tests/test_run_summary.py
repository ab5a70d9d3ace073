"""A run's summary in one line, and a number of critic updates that stays at its upper limit."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from ignite.engine import Engine

from adaptive_critic import CriticEffortController, FixedController, Rounds, StopAtBudget, WassersteinGapController
from adaptive_critic.controller import Controller
from tests.handlers.table import make


def told(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    found = [record for record in caplog.records if record.name == "adaptive_critic" and record.levelno == level]
    return [record.getMessage() for record in found if "optimizer_d has made" not in record.getMessage()]


def output(n: int, share: float) -> dict[str, Any]:
    """Return the scores of a step whose generator update uses up this share of the gap."""
    return {"d_real": [1.0] * n, "d_fake": [share] * n, "g_fake": 0.0, "g_loss": 0.5}


def drive(controller: Controller, iterations: int, share: float) -> None:
    for _ in range(iterations):
        controller.observe(output(controller.num_discriminator_steps, share))


def effort(**options: Any) -> CriticEffortController:
    return CriticEffortController(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1), **options)


# --- the upper limit -------------------------------------------------------------------------------------------------


def test_a_number_at_its_upper_limit_is_told_once_with_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    controller = WassersteinGapController(limits=(1, 4))
    while controller.num_discriminator_steps < 4:
        drive(controller, 1, 0.9)
    drive(controller, 99, 0.9)
    assert told(caplog, logging.WARNING) == []
    drive(controller, 300, 0.9)
    (message,) = told(caplog, logging.WARNING)
    assert message.startswith(
        "n has been at its upper limit, 4, for 100 iterations: the critic may need more than that. Raise the critic's "
        "learning rate, let CriticEffortController raise it, or allow more updates by limits=."
    )
    controller.reset()
    drive(controller, 200, 0.9)
    assert len(told(caplog, logging.WARNING)) == 2, "once per run"


def test_the_effort_controller_names_its_own_bounds(caplog: pytest.LogCaptureFixture) -> None:
    drive(effort(limits=(1, 2), base=5.0), 200, 0.3)
    (message,) = told(caplog, logging.WARNING)
    assert "Raise the critic's learning rate, raise rates=, or allow more updates by limits=." in message


@pytest.mark.parametrize(
    "code",
    ["FixedController(3, limits=(1, 3))", "AccuracyGateController(steps=2)", "WassersteinGapController(limits=(1, 1))"],
)
def test_a_number_that_starts_at_its_upper_limit_belongs_there(code: str, caplog: pytest.LogCaptureFixture) -> None:
    controller = make(code)
    for _ in range(300):
        controller.observe(output(controller.num_discriminator_steps, 0.9) | {"g_fake_accuracy": 0.5})
    assert told(caplog, logging.WARNING) == []


def test_limits_of_one_number_that_are_assigned_are_no_upper_limit(caplog: pytest.LogCaptureFixture) -> None:
    controller = WassersteinGapController(limits=(1, 4))
    drive(controller, 20, 0.9)
    controller.limits = (3, 3)
    drive(controller, 200, 0.9)
    assert told(caplog, logging.WARNING) == []


def test_a_number_that_leaves_the_limit_now_and_then_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    controller = WassersteinGapController(limits=(1, 4))
    for _ in range(5):
        drive(controller, 90, 0.9)
        controller.limits = (1, 3)
        drive(controller, 1, 0.9)
        controller.limits = (1, 4)
    assert told(caplog, logging.WARNING) == []


# --- the summary -----------------------------------------------------------------------------------------------------


def test_a_completed_run_ends_with_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="adaptive_critic")
    trainer = Engine(lambda engine, batch: output(engine.state.num_discriminator_steps, 0.9))  # type: ignore[attr-defined]
    controller = WassersteinGapController(limits=(2, 4), warmup=10, gain=1.0, on_divergence="hold")
    controller.attach(trainer)
    trainer.run(range(40))
    (line,) = told(caplog, logging.INFO)
    assert line == controller.summary()
    assert line == (
        "WassersteinGapController: 40 iterations, mean n 3.45, n at its lower limit 28%, at its upper 72%, "
        "interventions of the guard 0, held decisions 0"
    )


def test_a_run_that_a_budget_ends_has_its_line_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="adaptive_critic")
    rounds = Rounds(FixedController(3))
    StopAtBudget(critic_updates=6).attach(rounds.engine)
    while not rounds.should_stop:
        if rounds.critic():
            rounds.generator()
    assert told(caplog, logging.INFO) == ["FixedController: 2 iterations, mean n 3"]


def test_a_plain_loop_asks_for_it() -> None:
    controller = effort(limits=(0, 20))
    assert controller.summary().startswith(
        "CriticEffortController: 0 iterations, mean n 0, mean rate 0, n at its lower"
    )
    drive(controller, 5, 0.2)
    controller.observe(output(1, float("nan")))
    assert controller.summary() == (
        "CriticEffortController: 6 iterations, mean n 1, mean rate 8, n at its lower limit 0%, at its upper 0%, "
        "held decisions 1"
    )


def test_a_resumed_run_sums_up_the_whole_of_it(caplog: pytest.LogCaptureFixture) -> None:
    whole, first, second = (effort(limits=(1, 3), base=50.0) for _ in range(3))
    drive(whole, 150, 0.3)
    drive(first, 70, 0.3)
    second.load_state_dict(first.state_dict())
    drive(second, 80, 0.3)
    assert second.summary() == whole.summary()
    assert len(told(caplog, logging.WARNING)) == 2, "at the same iteration"
    old = {key: value for key, value in first.state_dict().items() if key not in ("at_limits", "rates")}
    second.load_state_dict(old)
    assert "n at its lower limit 0%, at its upper 0%" in second.summary()
