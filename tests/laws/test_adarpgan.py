"""AdaRpGAN's rule against what its source says, in numbers."""

from __future__ import annotations

import itertools
import math
import random
import statistics
from collections import deque
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptive_critic import LossVarianceController
from adaptive_critic.laws import Observation
from adaptive_critic.laws.adarpgan import LossVarianceLaw


def seen(*losses: float) -> Observation:
    mean, square = statistics.fmean(losses), statistics.fmean([loss * loss for loss in losses])
    return Observation((mean,), (square,), len(losses))


def run(law: LossVarianceLaw, losses: list[float], ratio: float) -> list[float]:
    state, ratios = law.init(ratio), []
    for loss in losses:
        state, ratio = law.update(state, seen(loss), ratio)
        ratios.append(ratio)
    return ratios


def original(losses: list[float], n: int) -> list[int]:
    """The rule with its window of 50, from the source's description."""
    window: deque[float] = deque(maxlen=50)
    wait, ran = 0, []
    for loss in losses:
        window.append(loss)
        variance = statistics.variance(window) if len(window) > 1 else 0.0
        if wait > 0:
            wait -= 1
        elif variance > 0.50 and n < 5:
            n, wait = n + 1, 100
        elif variance < 0.05 and n > 1:
            n, wait = n - 1, 100
        ran.append(n)
    return ran


def wave(amplitude: float, count: int) -> list[float]:
    """Losses of variance amplitude**2 / 2."""
    return [amplitude * math.sin(0.7 * k) for k in range(count)]


@pytest.mark.parametrize(
    ("losses", "n"),
    [
        (wave(2.0, 700), 1),  # up to 5, a step in 101
        (wave(0.2, 700), 5),  # down to 1
        (wave(0.6, 300), 1),  # between the thresholds: stays
        (wave(2.0, 250) + wave(0.0, 600), 1),  # up and down again
        (wave(0.0, 3), 2),  # a single loss has no variance, and n sinks at once
    ],
)
def test_it_moves_as_the_original_does(losses: list[float], n: int) -> None:
    expected, found = original(losses, n), run(LossVarianceLaw(), losses, float(n))
    assert found[-1] == expected[-1]
    changes = [[k for k in range(1, len(ran)) if ran[k] != ran[k - 1]] for ran in (expected, found)]
    assert len(changes[0]) == len(changes[1])
    assert all(abs(one - other) <= 60 for one, other in zip(*changes, strict=True)), changes


def test_the_cooldown_is_exact() -> None:
    ran = run(LossVarianceLaw(cooldown=3), wave(5.0, 20), 1.0)
    changes = [k for k in range(1, len(ran)) if ran[k] != ran[k - 1]]
    assert len(changes) == 4
    assert {later - earlier for earlier, later in itertools.pairwise(changes)} == {4}
    assert ran[-1] == 5.0


@pytest.mark.parametrize(("variance", "ratio"), [(0.0499, 2.0), (0.0501, 3.0), (0.499, 3.0), (0.501, 4.0)])
def test_the_thresholds(variance: float, ratio: float) -> None:
    law = LossVarianceLaw()
    losses = [1.0 + variance**0.5, 1.0 - variance**0.5]
    state, found = law.update(law.init(3.0), seen(*losses), 3.0)
    assert law.measurement(state) == pytest.approx(variance)
    assert found == ratio


def test_a_decision_over_several_losses_forgets_as_much_as_several() -> None:
    law = LossVarianceLaw(window=9, cooldown=0)
    one = law.init(2.0)
    for loss in [0.0] * 50 + [1.0] * 4:
        one, _ = law.update(one, seen(loss), 2.0)
    several, _ = law.update(law.init(2.0), seen(*[0.0] * 50), 2.0)
    several, _ = law.update(several, seen(*[1.0] * 4), 2.0)
    assert one.loss == pytest.approx(several.loss)
    assert one.observed == several.observed == 54
    assert law.measurement(law.init(1.0)) != law.measurement(law.init(1.0)), "NaN before the first"


@given(st.lists(st.floats(-1e100, 1e100), max_size=40), st.integers(1, 8))
def test_it_stays_within_its_range_and_moves_by_one(losses: list[float], start: int) -> None:
    ratios = [float(start), *run(LossVarianceLaw(cooldown=1), losses, float(start))]
    assert all(abs(later - earlier) <= 1.0 for earlier, later in itertools.pairwise(ratios))
    assert all(1.0 <= ratio <= max(5.0, start) for ratio in ratios)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"low": -0.1}, "low=-0.1: expected a number at least 0"),
        ({"high": 0.05}, "high=0.05: expected a number above 0.05"),
        ({"window": 1}, "window=1: expected an int of at least 2"),
        ({"cooldown": 1.5}, "cooldown=1.5: expected an int"),
        ({"highest": 0}, "highest=0: expected an int of at least 1"),
    ],
)
def test_numbers_out_of_range(arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises((ValueError, TypeError), match=complaint):
        LossVarianceLaw(**arguments)


def test_assigned_limits_move_the_largest_number() -> None:
    def last(controller: LossVarianceController) -> int:
        source = random.Random(0)
        for _ in range(100):
            controller.observe({"d_loss": [source.gauss(0.0, 10.0)]})
        return controller.num_discriminator_steps

    made, assigned = (LossVarianceController(cooldown=0, window=4, limits=limits) for limits in ((1, 10), (1, 5)))
    assigned.limits = (1, 10)
    assert last(made) == last(assigned) == 10
    with pytest.raises(ValueError, match="lower must not be above upper"):
        assigned.limits = (9, 3)
    assert assigned.limits == (1, 10)
