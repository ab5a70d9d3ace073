"""What a PID has to have beyond the contract: bumpless changes, derivative on the measurement, limits, anti-windup."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptive_critic.laws import DistancePIDLaw, Observation, PIDLaw, RatesPIDLaw, SharePIDLaw
from tests.streams import streams

# No averaging, and room to move: what is tested shows at once.
LAW = DistancePIDLaw(setpoint=0.3, kp=0.5, ki=0.02, smoothing=0.0, slew=10.0, ideal=2.0)


def loss(strength: float) -> Observation:
    """Return an observation of a critic of this strength."""
    value = 2.0 * (1.0 - strength)
    return Observation((value,), (value * value,))


def settle(law: PIDLaw, strength: float, times: int = 50, ratio: float = 5.0) -> tuple[Any, float]:
    state = law.init(ratio)
    for _ in range(times):
        state, ratio = law.update(state, loss(strength), ratio)
    return state, ratio


@pytest.mark.parametrize("law", [LAW, SharePIDLaw(0.05, 0.1, 0.02), RatesPIDLaw(1.0, 0.1, 0.02)])
def test_nothing_moves_at_the_setpoint(law: PIDLaw) -> None:
    mean = {DistancePIDLaw: (1.4,), SharePIDLaw: (0.05, 1.0), RatesPIDLaw: (0.7, 0.7)}[type(law)]
    state, ratio = law.init(5.0), 5.0
    for _ in range(100):
        state, ratio = law.update(state, Observation(mean, mean), ratio)
    assert ratio == pytest.approx(5.0)
    assert state.error == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("law", "mean", "strength"),
    [
        (DistancePIDLaw(0.3, 1, 1, ideal=math.log(4.0)), (math.log(4.0),), 0.0),
        (DistancePIDLaw(0.3, 1, 1, ideal=math.log(4.0)), (0.0,), 1.0),
        (DistancePIDLaw(0.3, 1, 1, ideal=2.0), (1.0,), 0.5),
        (DistancePIDLaw(0.3, 1, 1, ideal=2.0), (100.0,), -1.0),
        (DistancePIDLaw(0.3, 1, 1, ideal=2.0), (-100.0,), 1.0),
        (SharePIDLaw(0.05, 1, 1), (0.1, 1.0), -math.log(0.1)),
        (SharePIDLaw(0.05, 1, 1, error_limit=1.0), (-0.1, 1.0), -math.log(0.05) + 1.0),
        (SharePIDLaw(0.05, 1, 1, error_limit=1.0), (0.1, -1.0), -math.log(0.05) - 1.0),
        (SharePIDLaw(0.05, 1, 1, error_limit=1.0, deadband=0.5), (-0.1, 1.0), -math.log(0.05) + 1.5),
        (RatesPIDLaw(1.0, 1, 1), (1.0, 2.0), math.log(2.0)),
        (RatesPIDLaw(1.0, 1, 1), (2.0, 1.0), -math.log(2.0)),
        (RatesPIDLaw(1.0, 1, 1), (0.0, 1.0), 1.0),
        (RatesPIDLaw(1.0, 1, 1), (1.0, 0.0), -1.0),
        (RatesPIDLaw(1.0, 1, 1, error_limit=1.0, deadband=0.5), (0.0, 1.0), 1.5),
        (RatesPIDLaw(2.0, 1, 1), (2.0, 1.0), -math.log(2.0)),  # the setpoint is critic's change over generator's
    ],
)
def test_strength(law: PIDLaw, mean: tuple[float, ...], strength: float) -> None:
    state, _ = law.update(law.init(5.0), Observation(mean, mean), 5.0)
    assert state.strength == pytest.approx(strength)
    assert law.measurement(state) == state.strength


def test_terms_are_those_of_the_equation() -> None:
    """Against the documented equation, written out with plain variables."""
    law = dataclasses.replace(LAW, kd=0.3, smoothing=0.8, deadband=0.02, error_limit=0.5, slew=0.15, tracking_time=4.0)
    strengths = [0.3 + 0.6 * math.sin(0.9 * k) for k in range(60)]
    iterations = [1 + k % 3 for k in range(60)]
    state, ratio = law.init(3.0), 3.0
    # the equation's own variables
    average = weight = 0.0
    integral = output = math.log(3.0)
    y_last = math.nan
    expected = 3.0
    for index, (strength, k) in enumerate(zip(strengths, iterations, strict=True)):
        state, proposed = law.update(state, loss(strength)._replace(iterations=k), ratio)
        ratio = min(max(proposed, 1.0), 10.0)

        kept = 0.8**k
        average = kept * average + (1 - kept) * 2.0 * (1.0 - strength)
        weight = kept * weight + (1 - kept)
        y = min(max((2.0 - average / weight) / 2.0, -1.0), 1.0)
        e = 0.3 - y
        e = 0.0 if abs(e) <= 0.02 else e - math.copysign(0.02, e)
        e = min(max(e, -0.5), 0.5)
        if index == 0:
            integral, output = math.log(expected) - 0.5 * e, math.log(expected)
        else:
            integral += (math.log(expected) - output) / 4.0 + 0.02 * k * e
            output = 0.5 * e + integral - 0.3 * (y - y_last) / k
        y_last = y
        bounded = min(max(output, math.log(expected) - k * 0.15), math.log(expected) + k * 0.15)
        assert proposed == pytest.approx(math.exp(bounded), rel=1e-9), index
        expected = min(max(math.exp(bounded), 1.0), 10.0)


@given(strength=st.floats(-1.0, 1.0), kp=st.floats(0.0, 5.0), ki=st.floats(0.0, 0.5), kd=st.floats(0.0, 5.0))
def test_a_change_of_gains_is_bumpless(strength: float, kp: float, ki: float, kd: float) -> None:
    """With the measurement at rest, new gains move the output only as far as the new integral gain says."""
    state, ratio = settle(LAW, strength, times=5, ratio=5.0)
    changed = dataclasses.replace(LAW, kp=kp, ki=ki, kd=kd)
    _, proposed = changed.update(state, loss(strength), ratio)
    assert math.log(proposed) == pytest.approx(math.log(ratio) + ki * LAW.error(strength), abs=1e-9)


def test_a_new_setpoint_gives_no_derivative_kick() -> None:
    law = dataclasses.replace(LAW, kd=50.0)
    state, ratio = settle(law, 0.5, times=5)
    state, _ = dataclasses.replace(law, setpoint=-0.5).update(state, loss(0.5), ratio)
    assert state.derivative == 0.0
    moved, _ = law.update(state, loss(0.6), ratio)
    assert moved.derivative == pytest.approx(-50.0 * 0.1)  # the measurement does


def test_the_first_observation_gives_no_derivative() -> None:
    law = dataclasses.replace(LAW, kd=50.0)
    state, _ = law.update(law.init(5.0), loss(1.0), 5.0)
    assert state.derivative == 0.0


@pytest.mark.parametrize(("strength", "error"), [(0.35, 0.0), (0.25, 0.0), (0.2, 0.0), (0.5, -0.1), (0.0, 0.2)])
def test_deadband(strength: float, error: float) -> None:
    assert dataclasses.replace(LAW, deadband=0.1).error(strength) == pytest.approx(error, abs=1e-12)


@given(
    streams([st.floats(-1.0, 1.0), st.integers(1, 20)], longest=30, least=1),
    st.floats(0.001, 1.0),
)
def test_slew_limit(steps: list[tuple[float, int]], slew: float) -> None:
    law = dataclasses.replace(LAW, kp=20.0, kd=20.0, slew=slew)
    state, ratio = law.init(5.0), 5.0
    for strength, k in steps:
        state, proposed = law.update(state, loss(strength)._replace(iterations=k), ratio)
        assert abs(math.log(proposed / ratio)) <= k * slew * (1 + 1e-9) + 1e-12
        ratio = min(max(proposed, 1.0), 10.0)


@pytest.mark.parametrize("tracking_time", [1.0, 2.0, 5.0, 20.0])
@pytest.mark.parametrize(("ki", "kp"), [(0.02, 0.0), (0.02, 0.5), (0.5, 0.0)])
@pytest.mark.parametrize("duration", [200, 2_000])
@pytest.mark.parametrize("upper", [True, False])
def test_leaves_saturation_within_tracking_time(
    tracking_time: float, ki: float, kp: float, duration: int, upper: bool
) -> None:
    r"""Within ceil(T ln 2) + 1 decisions, whatever the gains and however long it sat there.

    In saturation the output's excess over the limit settles at X = T ki e. Once the error is -e, it follows
    X <- X (1 - 1/T) - ki e, which is below 0 as soon as (1 - 1/T)^j < 1/2, so for j > T ln 2 at the latest; kp > 0
    only makes that sooner.
    """
    law = dataclasses.replace(LAW, setpoint=0.0, kp=kp, ki=ki, tracking_time=tracking_time)
    far, limit = (-0.9, 10.0) if upper else (0.9, 1.0)
    state, ratio = law.init(5.0), 5.0
    for _ in range(duration):
        state, proposed = law.update(state, loss(far), ratio)
        ratio = min(max(proposed, 1.0), 10.0)
    assert ratio == limit
    decisions = 0
    while ratio == limit:
        state, proposed = law.update(state, loss(-far), ratio)
        ratio = min(max(proposed, 1.0), 10.0)
        decisions += 1
        assert decisions <= math.ceil(tracking_time * math.log(2.0)) + 1


def test_an_average_starts_at_its_first_value() -> None:
    law = dataclasses.replace(LAW, smoothing=0.99)
    state, _ = law.update(law.init(5.0), loss(0.7), 5.0)
    assert state.strength == pytest.approx(0.7)


def test_the_base_class_has_no_strength_of_its_own() -> None:
    with pytest.raises(TypeError, match="abstract"):
        PIDLaw(0.3, 0.5, 0.02)  # type: ignore[abstract]  # what is tested


def test_a_pause_does_not_kick_the_derivative() -> None:
    """The strength that changed over 300 iterations has not changed so much in one."""
    law = DistancePIDLaw(setpoint=0.0, kp=0.0, ki=0.0, kd=1.0, smoothing=0.0, slew=10.0)
    before, ratio = law.update(law.init(3.0), Observation((1.0,), (1.0,)), 3.0)
    _, at_once = law.update(before, Observation((0.5,), (0.25,)), ratio)
    _, paused = law.update(before, Observation((0.5,), (0.25,), elapsed=300), ratio)
    assert at_once < 2.2
    assert paused == pytest.approx(3.0, abs=0.01)
