"""Open-loop laws: the ratio is a function of the iteration alone."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass


def half_up(value: float) -> int:
    """Round to the nearest int, halves upwards (Python's ``round`` sends 2.5 to 2 and 3.5 to 4)."""
    return math.floor(value + 0.5)


@dataclass(frozen=True)
class Constant:
    r"""Gives the same number at every iteration, or a fraction on average.

    .. math:: n(i) = \lfloor r (i + 1) + 1/2 \rfloor - \lfloor r i + 1/2 \rfloor

    so that 0.5 makes an update in every second iteration, from the first on.
    """

    steps: float

    def value(self, index: int) -> float:
        """Return ``steps``, or one of the two ints next to it."""
        return half_up(self.steps * (index + 1)) - half_up(self.steps * index)

    def extremes(self) -> tuple[float, float]:
        """Return the ints below and above ``steps``; both are ``steps`` if it is an int."""
        return math.floor(self.steps), math.ceil(self.steps)


@dataclass(frozen=True)
class ExponentialDecay:
    r"""Step decay, at least ``floor``.

    .. math:: n(i) = \lfloor \text{initial} \cdot \gamma^{\lfloor i / s \rfloor} + 1/2 \rfloor
    """

    initial: float
    gamma: float
    step_size: int
    floor: int = 1

    def value(self, index: int) -> float:
        """Return the decayed value at ``index`` (from 0), rounded half up."""
        exponent = index // self.step_size
        try:
            decayed = self.initial * self.gamma**exponent
        except OverflowError:  # gamma > 1 for very long: limits, if any, will hold it
            decayed = math.inf
        return max(self.floor, half_up(min(decayed, float(2**63))))

    def extremes(self) -> tuple[float, float]:
        """Return the range of values over all iterations; decays end at ``floor``."""
        start = self.value(0)
        if self.gamma < 1:
            return self.floor, start
        return (start, start) if self.gamma == 1 else (start, math.inf)


@dataclass(frozen=True)
class Milestones:
    """Piecewise constant: ``values[k]`` from index ``starts[k]`` on. ``starts`` ascends from 0."""

    starts: tuple[int, ...]
    values: tuple[int, ...]

    def value(self, index: int) -> float:
        """Return the value of the last milestone at or before ``index``."""
        return self.values[max(bisect_right(self.starts, index) - 1, 0)]

    def extremes(self) -> tuple[float, float]:
        """Return the smallest and the largest value."""
        return min(self.values), max(self.values)


@dataclass(frozen=True)
class WGANReference:
    """100 critic updates at iterations 1 to 25, 501, 1001, 1501, ..., else 5.

    Source: martinarjovsky/WassersteinGAN, main.py: ``gen_iterations < 25 or gen_iterations % 500 == 0``, counted from
    0. One difference: the original cuts the inner loop at the end of the epoch, this schedule does not.
    """

    steps: int = 5
    boosted: int = 100
    boosted_until: int = 25
    boost_every: int = 500

    def value(self, index: int) -> float:
        """Return 100 or 5 at ``index`` (from 0)."""
        return self.boosted if index < self.boosted_until or index % self.boost_every == 0 else self.steps

    def extremes(self) -> tuple[float, float]:
        """Return ``(5, 100)``."""
        return min(self.steps, self.boosted), max(self.steps, self.boosted)
