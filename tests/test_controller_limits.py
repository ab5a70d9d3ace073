"""Other limits for a controller in the middle of its work."""

from __future__ import annotations

from typing import Any

import pytest

from adaptive_critic import AccuracyGateController
from tests.handlers.table import feed, healthy, make, snapshot

REFUSED = [
    ("FixedController(5)", (1, 3), r"^limits=\(1, 3\): Constant\(steps=5\) gives 5, outside of them$"),
    ("FixedController(5)", (6, 9), r"^limits=\(6, 9\): .* gives 5"),
    ("StepDecayController(milestones={0: 9, 5: 2})", (1, 5), r"^limits=\(1, 5\): .* gives 9"),
    ("StepDecayController(milestones={0: 9, 5: 2})", (3, 9), r"^limits=\(3, 9\): .* gives 2"),
    ("StepDecayController(9, gamma=0.5, step_size=3)", (1, 5), r"^limits=\(1, 5\): .* gives 9"),
    ("WGANReferenceController()", (1, 50), r"^limits=\(1, 50\): .* gives 100"),
    ("AccuracyGateController(steps=3)", (1, 3), r"^limits=\(1, 3\): a closed gate makes 0"),
    ("AccuracyGateController(steps=3)", (0, 2), r"^steps=3 is outside limits=\(0, 2\)"),
    ("AccuracyLadderController()", (3, 4), r"^limits=\(3, 4\): expected a rung of the ladder within"),
]


@pytest.mark.parametrize(("code", "limits", "message"), REFUSED, ids=lambda value: str(value))
def test_what_the_constructor_refuses_an_assignment_refuses_too(code: str, limits: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(code, limits=limits)
    controller = make(code)
    feed(controller, healthy(3))
    before = controller.limits, snapshot(controller)
    with pytest.raises(ValueError, match=message):
        controller.limits = limits
    assert (controller.limits, snapshot(controller)) == before


@pytest.mark.parametrize(
    ("code", "limits"),
    [
        ("FixedController(5)", (5, 5)),
        ("StepDecayController(9, gamma=0.5, step_size=3)", (3, 9)),
        ("SchedulerAdapter(StepStateScheduler(param_name='n', initial_value=9.0, gamma=0.7, step_size=4))", (1, 3)),
        ("AccuracyGateController(steps=3)", (0, 3)),
        ("AccuracyLadderController()", (3, 5)),
    ],
)
def test_what_the_constructor_takes_an_assignment_takes_too(code: str, limits: Any) -> None:
    make(code, limits=limits)
    controller = make(code)
    controller.limits = limits
    assert controller.limits == limits


def test_a_gate_without_limits_has_its_own() -> None:
    controller = AccuracyGateController(steps=3, limits=(0, 9))
    controller.limits = None
    assert controller.limits == (0, 3) == AccuracyGateController(steps=3).limits
