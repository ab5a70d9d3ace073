"""What the gap law has to do beyond the contract: edges that a stream reaches once in many runs."""

from __future__ import annotations

import math

import pytest

from adaptive_critic.laws import GapShareLaw, Observation
from adaptive_critic.laws.gap import GapShareState

LAW = GapShareLaw(setpoint=0.05, base=2.0, contrast=2.5)


def state(used: float, gap: float, noise: float = 0.0, variance: float = 0.0) -> GapShareState:
    """Return a state with these averages, and these variances of both."""
    return GapShareState(used, used * used + noise, gap, gap * gap + variance, 100)


def test_before_the_first_observation_nothing_is_known() -> None:
    assert LAW.init(3.0) == (0.0, 0.0, 0.0, 0.0, 0)
    assert math.isnan(LAW.measurement(LAW.init(3.0)))


@pytest.mark.parametrize("gap", [0.0, -0.5])
def test_a_critic_without_advantage(gap: float) -> None:
    assert LAW.measurement(state(0.1, gap)) == math.inf
    assert LAW.target(state(0.1, gap)) == math.inf


@pytest.mark.parametrize(
    ("averages", "expected"),
    [
        (state(0.0, 1.0), 2.0),
        (state(0.1, 1.0), 4.0),
        (state(-0.1, 1.0), 0.0),
        (state(0.1, 1.0, variance=0.16), 4.0),  # 0.4 of the gap: 2.5 times that is 1
        (state(0.1, 1.0, variance=0.64), 8.0),
        (state(0.1, 1.0, noise=0.48, variance=0.64), 4.0),  # most of it is noise of the batches
        (state(0.1, 1.0, noise=1.0, variance=0.64), 4.0),
    ],
)
def test_target_follows_the_equation(averages: GapShareState, expected: float) -> None:
    assert LAW.target(averages) == pytest.approx(expected)


def test_a_square_that_overflowed_asks_for_nothing() -> None:
    assert LAW.target(GapShareState(1e200, math.inf, 1e201, math.inf, 100)) == pytest.approx(4.0)  # inf - inf
    assert LAW.target(GapShareState(1e99, 1.0, 1e100, math.inf, 100)) == pytest.approx(4.0)


def test_steps_grow_with_the_number_from_three_to_six() -> None:
    far = Observation((1.0, 1.0), (1.0, 1.0))  # kappa 1: r* is 22
    for ratio, factor in [(1.0, 1.0), (3.0, 1.0), (4.5, 1.5), (6.0, 2.0), (7.0, 2.0)]:
        _, moved = LAW.update(state(1.0, 1.0), far, ratio)
        assert math.log(moved / ratio) == pytest.approx(0.05 * factor)
