"""Another law for a controller in the middle of its work: checked as the constructor's arguments are."""

from __future__ import annotations

import dataclasses
import inspect
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from adaptive_critic.handlers.base import FeedbackController
from adaptive_critic.laws import AccuracyLadderLaw, GapShareLaw, RatesPIDLaw, SharePIDLaw
from adaptive_critic.signals import GeneratedAccuracy
from tests.handlers.table import FEEDBACK, feed, healthy, make_feedback, snapshot

STREAM = healthy(60)

BAD: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    ("gap", {"setpoint": 0.0}, ValueError, r"^setpoint=0\.0: expected a number above 0 and below 1$"),
    ("gap", {"setpoint": 1}, ValueError, "^setpoint=1: expected a number above 0 and below 1$"),
    ("gap", {"base": -0.5}, ValueError, r"^base=-0\.5: expected a number at least 0$"),
    ("gap", {"contrast": float("nan")}, ValueError, "^contrast=nan: expected a finite number$"),
    ("gap", {"gain": 0.0}, ValueError, r"^gain=0\.0: expected a number above 0$"),
    ("gap", {"window": 0.9}, ValueError, r"^window=0\.9: expected a number at least 1$"),
    ("gap", {"warmup": -1}, ValueError, "^warmup=-1: expected an int of at least 0$"),
    ("gap", {"warmup": 2.5}, TypeError, r"^warmup=2\.5: expected an int of at least 0, got float$"),
    ("PID, wasserstein", {"kp": -5}, ValueError, "^kp=-5: expected a number at least 0$"),
    ("PID, wasserstein", {"setpoint": -0.1}, ValueError, r"^setpoint=-0\.1: expected a number above 0 and below 1$"),
    ("PID, hinge", {"setpoint": 1.0}, ValueError, r"^setpoint=1\.0: expected a number above -1 and below 1$"),
    ("PID, hinge", {"ideal": 0.0}, ValueError, r"^ideal=0\.0: expected a number above 0$"),
    ("PID, hinge", {"ki": -0.1}, ValueError, r"^ki=-0\.1"),
    ("PID, hinge", {"kd": "1"}, TypeError, "^kd='1': expected a finite number, got str$"),
    ("PID, hinge", {"smoothing": 1.0}, ValueError, r"^smoothing=1\.0: expected a number at least 0 and below 1$"),
    ("PID, hinge", {"deadband": -1.0}, ValueError, r"^deadband=-1\.0"),
    ("PID, hinge", {"error_limit": 0.0}, ValueError, r"^error_limit=0\.0"),
    ("PID, hinge", {"slew": 0.0}, ValueError, r"^slew=0\.0"),
    ("PID, hinge", {"tracking_time": 0.5}, ValueError, r"^tracking_time=0\.5: expected a number at least 1$"),
    ("PID, hinge", {"kp": 1.7e308, "kd": 1.7e308}, ValueError, "^law=DistancePIDLaw.* can't go on from PIDState"),
    ("ladder", {"rungs": (1, 5, 2)}, ValueError, r"^rungs=\(1, 5, 2\): expected ints that ascend$"),
    ("ladder", {"rungs": (0, 5)}, ValueError, r"^rungs\[0\]=0: expected an int of at least 1$"),
    ("ladder", {"rungs": 5}, TypeError, "^rungs=5: expected a tuple of ints, got int$"),
    ("ladder within limits", {"rungs": (1,)}, ValueError, r"^law=AccuracyLadderLaw.* can't go on from LadderState"),
    ("ladder", {"grace": 0}, ValueError, "^grace=0"),
    ("ladder", {"smoothing": -0.1}, ValueError, r"^smoothing=-0\.1"),
    ("loss change rate", {"balance": 0.0}, ValueError, r"^balance=0\.0"),
    ("two thresholds", {"generator_threshold": float("inf")}, ValueError, "^generator_threshold=inf"),
    ("gate", {"threshold": 1.0}, ValueError, r"^threshold=1\.0"),
    ("gate", {"steps": 0}, ValueError, "^steps=0"),
    ("gate", {"steps": 3}, ValueError, r"^steps=3 is outside limits=\(0, 2\)"),
]


def used(code: str) -> FeedbackController:
    controller = make_feedback(code)
    feed(controller, STREAM[:30])
    return controller


@pytest.mark.parametrize(("name", "fields", "error", "message"), BAD)
def test_a_law_with_a_number_out_of_range_is_quoted_and_changes_nothing(
    name: str, fields: dict[str, Any], error: type[Exception], message: str
) -> None:
    controller = used(FEEDBACK[name])
    before = controller.law, snapshot(controller)
    law: Any = controller.law
    with pytest.raises(error, match=message):
        controller.law = replace(law, **fields)
    assert (controller.law, snapshot(controller)) == before


def arguments(controller: FeedbackController) -> list[str]:
    """Return the numbers of the law that the constructor takes."""
    law: Any = controller.law
    taken = inspect.signature(type(controller)).parameters
    return [field.name for field in dataclasses.fields(law) if field.name in taken]


@pytest.mark.parametrize("name", FEEDBACK)
def test_a_number_of_the_law_can_be_read_and_assigned_by_its_name(name: str) -> None:
    controller = used(FEEDBACK[name])
    names = arguments(controller)
    assert names
    for field in names:
        law: Any = controller.law
        number = getattr(law, field)
        assert getattr(controller, field) == number
        less = max(number - 1, 1) if isinstance(number, int) else number * 0.96875
        setattr(controller, field, less)
        assert controller.law == replace(law, **{field: less})
        assert getattr(controller, field) == less
        assert field not in vars(controller)


@pytest.mark.parametrize(
    ("name", "fields", "error", "message"),
    [row for row in BAD if len(row[1]) == 1 and not {"ideal", "rungs"} & set(row[1])],  # which no constructor takes
)
def test_a_number_out_of_range_is_refused_by_its_name_too(
    name: str, fields: dict[str, Any], error: type[Exception], message: str
) -> None:
    ((field, number),) = fields.items()
    controller = used(FEEDBACK[name])
    before = controller.law, snapshot(controller)
    with pytest.raises(error, match=message):
        setattr(controller, field, number)
    assert (controller.law, snapshot(controller)) == before


@pytest.mark.parametrize("law", [SharePIDLaw(0.05, 0.1, 0.02), 5, None, GapShareLaw], ids=str)
def test_a_law_of_another_kind_is_refused(law: Any) -> None:
    """The gap's and the share PID's have the same inputs, but not the same state."""
    controller = used(FEEDBACK["gap"])
    before = controller.law, snapshot(controller)
    with pytest.raises(
        TypeError, match=r"expected a GapShareLaw, such as dataclasses\.replace\(controller\.law"
    ) as told:
        controller.law = law
    assert repr(law) in str(told.value)
    assert (controller.law, snapshot(controller)) == before


def test_another_law_is_in_force_from_the_next_decision_on() -> None:
    controller, twin = used(FEEDBACK["gap"]), used(FEEDBACK["gap"])
    law: Any = controller.law
    before = snapshot(controller)
    controller.law = replace(law, setpoint=0.5)
    assert snapshot(controller) == before
    for one in (controller, twin):
        feed(one, STREAM[30:60])
    assert controller.ratio < twin.ratio


def test_numbers_of_any_kind_become_plain_ones() -> None:
    """A checkpoint that is loaded with weights_only=True holds no NumPy scalars, and the state comes of these."""
    controller = used(FEEDBACK["PID, hinge"])
    law: Any = controller.law
    controller.law = replace(law, kp=np.float64(0.25), slew=np.float32(0.5), ki=1)
    law = controller.law
    assert [type(value) for value in dataclasses.astuple(law)] == [float] * 10
    assert (law.kp, law.slew, law.ki) == (0.25, 0.5, 1.0)


def test_a_law_of_your_own_brings_its_own_ranges() -> None:
    @dataclasses.dataclass(frozen=True)
    class Own(AccuracyLadderLaw):
        threshold: float = 2.0  # never left: outside of what the published rule takes

        def __post_init__(self) -> None:
            assert self.threshold > 0.0

    own = FeedbackController(Own(), GeneratedAccuracy(), initial=1, limits=None)
    own.law = Own(threshold=3.0)
    assert own.law == Own(threshold=3.0)


def laws_of_the_handlers() -> list[Any]:
    laws = {type(make_feedback(code).law): make_feedback(code).law for code in FEEDBACK.values()}
    return [*laws.values(), RatesPIDLaw(1.0, 0.1, 0.02)]


@pytest.mark.parametrize("law", laws_of_the_handlers(), ids=lambda law: type(law).__name__)
def test_a_law_checks_every_field_itself(law: Any) -> None:
    for field in dataclasses.fields(law):
        with pytest.raises(TypeError, match=f"^{field.name}='one'"):
            replace(law, **{field.name: "one"})


@pytest.mark.parametrize("limits", [(5, 1), (0, 0), 5, (1, 2.5)])
def test_bad_limits_are_refused_and_change_nothing(limits: Any) -> None:
    controller = used(FEEDBACK["gap"])
    before = controller.limits, snapshot(controller)
    with pytest.raises((TypeError, ValueError), match="^limits="):
        controller.limits = limits
    assert (controller.limits, snapshot(controller)) == before


def test_other_limits_are_in_force_from_the_next_decision_on() -> None:
    controller = used(FEEDBACK["gap"])
    controller.limits = [7, 9]  # type: ignore[assignment]  # as a checkpoint's configuration may have it
    assert controller.limits == (7, 9)
    feed(controller, STREAM[30:31])
    assert controller.num_discriminator_steps >= 7


def test_another_update_every_needs_another_controller() -> None:
    controller, twin = used(FEEDBACK["gap"]), make_feedback(FEEDBACK["gap"], update_every=4)
    with pytest.raises(AttributeError):
        controller.update_every = 0  # type: ignore[misc]  # mypy sees it, too
    assert controller.update_every == 1
    twin.load_state_dict(controller.state_dict())
    assert (twin.update_every, twin.ratio) == (4, controller.ratio)
