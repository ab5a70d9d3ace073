from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptive_critic.rounding import carry_over, rounded
from tests.streams import streams

RATIO = st.floats(0.0, 1e6)


def diffuse(ratio: float, carry: float) -> tuple[int, float]:
    """Return the number of an iteration and the carry after it."""
    n = rounded(ratio, carry)
    return n, carry_over(ratio, carry, n)


@given(ratios=streams([RATIO], longest=100))
def test_sums_differ_by_at_most_a_half(ratios: list[tuple[float]]) -> None:
    """In exact arithmetic, for every prefix; each carry is a float and adds its own rounding of half an ulp."""
    carry, total, exact = 0.0, 0, Fraction(0)
    for (ratio,) in ratios:
        n, carry = diffuse(ratio, carry)
        total, exact = total + n, exact + Fraction(ratio)
        assert abs(total - exact) <= Fraction(1, 2) + Fraction(1, 10**6)
        assert -0.5 <= carry <= 0.5


@given(ratio=RATIO, carry=st.floats(-0.5, 0.5))
def test_the_integers_next_to_the_ratio(ratio: float, carry: float) -> None:
    n, following = diffuse(ratio, carry)
    assert type(n) is int
    assert math.floor(ratio) <= n <= math.ceil(ratio)
    assert -0.5 <= following <= 0.5


@given(lower=st.integers(0, 50), width=st.integers(0, 50), data=st.data())
def test_whole_limits_hold(lower: int, width: int, data: st.DataObject) -> None:
    """The adversarial case: long at a limit, where every error of rounding is on one side."""
    carry = 0.0
    for (ratio,) in data.draw(streams([st.floats(lower, lower + width)], longest=60)):
        n, carry = diffuse(ratio, carry)
        assert lower <= n <= lower + width


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (2.4, [2, 3, 2, 3, 2]),
        (0.1, [0, 0, 0, 0, 1, 0, 0, 0, 0, 0]),
        (0.5, [1, 0, 1, 0]),
        (2.5, [3, 2, 3, 2]),
        (3.0, [3, 3, 3]),
        (0.0, [0, 0]),
    ],
)
def test_values(ratio: float, expected: list[int]) -> None:
    carry, steps = 0.0, []
    for _ in expected:
        n, carry = diffuse(ratio, carry)
        steps.append(n)
    assert steps == expected


def test_a_half_below_the_limit_does_not_step_over_it() -> None:
    """Python's half-to-even round gives 10 for 9.5 and 4 for 3.5; here the carry decides, and the limit holds."""
    assert diffuse(9.5, 0.5) == (10, 0.0)
    assert diffuse(10.0, 0.5)[0] == 10


@pytest.mark.parametrize(("carry", "following"), [(0.5, 0.5), (-0.5, -0.5)])
def test_the_carry_stays_within_a_half_where_a_float_is_coarser_than_that(carry: float, following: float) -> None:
    """Without limits a ratio may grow so large; the sum of ratio and carry is then off by up to 1/2 by itself."""
    ratio = 2.0**52 + 1.0
    assert diffuse(ratio, carry) == (2**52 + 1, following)


def test_many_roundings_do_not_drift() -> None:
    carry, total, ratio = 0.0, 0, 2.3
    for _ in range(200_000):
        n, carry = diffuse(ratio, carry)
        total += n
    assert abs(total - 200_000 * Fraction(ratio)) <= 0.5 + 1e-6
