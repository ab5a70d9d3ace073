"""The published rules against what their sources say, in numbers."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from adaptive_critic.laws import AccuracyLadderLaw, LossChangeRateLaw, Observation, TwoThresholdLaw


def seen(*mean: float, iterations: int = 1) -> Observation:
    return Observation(mean, tuple(value * value for value in mean), iterations)


def test_the_ladder_is_climbed_at_the_update_that_ends_the_grace_and_not_before() -> None:
    law = AccuracyLadderLaw(grace=3)
    state, ratio, ratios = law.init(1.0), 1.0, []
    for _ in range(7):
        state, ratio = law.update(state, seen(0.5), ratio)
        ratios.append(ratio)
    assert ratios == [1, 1, 2, 2, 2, 5, 5]


def test_the_ladder_is_not_climbed_on_behind_a_limit() -> None:
    law = AccuracyLadderLaw(grace=1, smoothing=0.0)
    state = law.init(10.0)
    for _ in range(9):
        state, ratio = law.update(state, seen(0.5), 10.0)  # a limit holds it
        assert ratio == 20.0
    assert law.update(state, seen(1.0), 10.0)[1] == 10.0
    state, ratio = law.update(law.init(10.0), seen(0.5), 15.0)  # a limit between two rungs
    assert law.update(state, seen(1.0), 15.0)[1] == ratio == 20.0


@pytest.mark.parametrize(("ratio", "after"), [(1.0, 2.0), (5.0, 10.0), (7.0, 10.0), (0.5, 2.0)])
def test_the_ladder_is_climbed_from_the_rung_of_the_ratio_or_the_one_below(ratio: float, after: float) -> None:
    law = AccuracyLadderLaw(grace=1)
    assert law.update(law.init(ratio), seen(0.5), ratio)[1] == after


@pytest.mark.parametrize(("accuracy", "ratio"), [(0.5, 2.0), (0.75, 2.0), (0.7500001, 1.0)])
def test_the_ladder_is_climbed_at_the_threshold_and_below(accuracy: float, ratio: float) -> None:
    law = AccuracyLadderLaw(threshold=0.75, grace=1)
    assert law.update(law.init(1.0), seen(accuracy), 1.0)[1] == ratio


def test_the_ladders_average_forgets_per_iteration() -> None:
    """Starts at the first value; a decision over two iterations forgets as much as two decisions."""
    law = AccuracyLadderLaw(smoothing=0.5)
    state, _ = law.update(law.init(1.0), seen(1.0), 1.0)
    assert law.measurement(state) == 1.0
    twice, _ = law.update(law.update(state, seen(0.0), 1.0)[0], seen(0.0), 1.0)
    once, _ = law.update(state, seen(0.0, iterations=2), 1.0)
    assert law.measurement(once) == law.measurement(twice) == 0.25
    assert once.updates == twice.updates == 3


@pytest.mark.parametrize(("ratio", "proposed"), [(3.0, 2.0), (2.0, 1.0), (1.0, 1.0)])
def test_one_fewer_but_never_below_one_critic_update(ratio: float, proposed: float) -> None:
    rates = LossChangeRateLaw(balance=2.0)
    assert rates.update(rates.init(ratio), seen(0.5, 1.0), ratio)[1] == proposed
    thresholds = TwoThresholdLaw(critic_threshold=1.0, generator_threshold=1.0)
    assert thresholds.update(thresholds.init(ratio), seen(0.5, 1.5), ratio)[1] == proposed


@pytest.mark.parametrize(("d_rate", "proposed"), [(1.9, 2.0), (2.0, 2.0), (2.1, 4.0)])
def test_rates_are_balanced_when_the_critics_is_so_many_times_the_generators(d_rate: float, proposed: float) -> None:
    law = LossChangeRateLaw(balance=2.0)
    assert law.update(law.init(3.0), seen(d_rate, 1.0), 3.0)[1] == proposed


def test_the_measured_ratio_of_rates() -> None:
    """Both rates are 1 at first; a generator's loss that did not change leaves no ratio to show."""
    law = LossChangeRateLaw()
    assert law.measurement(law.init(3.0)) == 1.0
    assert law.measurement(law.update(law.init(3.0), seen(0.5, 0.25), 3.0)[0]) == 2.0
    assert math.isnan(law.measurement(law.update(law.init(3.0), seen(0.5, 0.0), 3.0)[0]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AccuracyLadderLaw(threshold=1.0), "threshold=1.0: expected a number above 0 and below 1"),
        (lambda: TwoThresholdLaw(critic_threshold=math.nan, generator_threshold=0.0), "critic_threshold=nan: expected"),
        (
            lambda: TwoThresholdLaw(critic_threshold=0.0, generator_threshold=math.inf),
            "generator_threshold=inf: expect",
        ),
    ],
)
def test_fields_out_of_range_are_quoted(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
