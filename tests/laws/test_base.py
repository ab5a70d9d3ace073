"""The window of running averages and the checks of fields, which all laws share."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest

from adaptive_critic.checks import between
from adaptive_critic.laws.base import check_fields, exp_clamped, kept_of_average


def test_the_first_iteration_is_the_average() -> None:
    assert kept_of_average(0, 1, 20.0) == 0.0
    assert kept_of_average(0, 7, 20.0) == 0.0
    assert kept_of_average(1, 1, 20.0) == pytest.approx(0.4)  # the average reaches back over a third of the iterations


@pytest.mark.parametrize("window", [1.0, 5.0, 20.0])
def test_iterations_one_by_one_or_at_once_weigh_the_same(window: float) -> None:
    one_by_one = math.prod(kept_of_average(count, 1, window) for count in range(2, 40))
    assert kept_of_average(2, 38, window) == pytest.approx(one_by_one)
    assert kept_of_average(1000, 1, window) == pytest.approx(1.0 - 1.0 / window)


def test_a_field_out_of_range_is_named_and_quoted() -> None:
    @dataclass(frozen=True)
    class Law:
        gain: float

        def __post_init__(self) -> None:
            check_fields(self, gain=between(0.0, 1.0))

    assert Law(0.5).gain == 0.5
    with pytest.raises(ValueError, match=r"^gain=2: expected a number above 0 and below 1"):
        Law(2)


def test_exponents_are_clamped() -> None:
    assert exp_clamped(1e6) == exp_clamped(700.0) == math.exp(700.0)
    assert exp_clamped(-1e6) == exp_clamped(-700.0) == math.exp(-700.0) > 0.0
    assert exp_clamped(1.0) == math.e
