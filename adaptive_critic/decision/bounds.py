"""Bounds of a ratio and of a rate: what limits on the integer mean for the real-valued number behind it."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

from adaptive_critic.checks import real

Limits: TypeAlias = "tuple[int, int] | None"
LOWEST_RATIO = 0.1


def any_limits(law: Any, limits: Limits) -> Limits:
    """Return the limits: most laws can keep all."""
    return limits


class Bounds:
    """Clamps a ratio to limits, and a rate to its range.

    Args:
        limits: (lower, upper) of the integer. With lower = 0 the ratio may sink to ``lowest``, so that some iterations
            skip the critic. None bounds it below only: at 1, or at 0 for whole numbers.
        lowest: lowest ratio if the lower limit is below it; above 0.
        whole: whether the law proposes whole numbers, 0 included.
        rates: (low, high) of the rate, None if there is none.
    """

    def __init__(self, limits: Limits, lowest: float, whole: bool, rates: tuple[float, float] | None) -> None:
        self._lowest = 0.0 if whole else lowest
        self._unlimited = 0.0 if whole else 1.0
        self.rates = rates
        self.change(limits)

    def change(self, limits: Limits) -> None:
        """Set the limits of the integer, None for none."""
        self.limits = limits
        self.lower, self.upper = self._unlimited, math.inf
        if limits is not None:
            self.lower, self.upper = max(float(limits[0]), self._lowest), float(limits[1])

    def initial(self, initial: float, limits: Limits) -> float:
        """Return an initial ratio, checked; ``limits`` as they were given, for the message.

        Raises:
            TypeError: if it is not a number.
            ValueError: if it is out of range.
        """
        ratio = real("initial", initial, at_least=self._lowest)
        if not self.lower <= ratio <= self.upper:
            where = f"limits={limits!r}" if limits is not None else "the law's range"
            raise ValueError(
                f"initial={initial!r} is outside {where}: expected a ratio in [{self.lower:g}, {self.upper:g}]"
            )
        return ratio

    def clamped(self, ratio: float, rate: float | None = None) -> tuple[float, float | None]:
        """Return ratio and rate, or the bounds that they are beyond."""
        ratio = min(max(ratio, self.lower), self.upper)
        if rate is not None and self.rates is not None:
            rate = min(max(rate, self.rates[0]), self.rates[1])
        return ratio, rate
