"""Numbers and names as people read them, the same in the page, the PNGs and the tables."""

from __future__ import annotations

import math
from collections.abc import Iterable

from experiments.statistics import Estimate


def number(value: float, digits: int = 2) -> str:
    """Return a ratio or share with a fixed number of decimals; an en dash where there is none."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "–"


def figure(estimate: Estimate | None) -> str:
    """Return "0.91 (0.85 to 0.97)", without the brackets where there is no interval."""
    if estimate is None:
        return "–"
    if math.isnan(estimate.low):
        return number(estimate.value)
    return f"{number(estimate.value)} ({number(estimate.low)} to {number(estimate.high)})"


def met(value: bool | None) -> str:
    """Return the outcome of a target in words."""
    return "no results" if value is None else "met" if value else "not met"


def seeds(values: Iterable[int]) -> str:
    """Return seeds as ranges: 0-4, 100-119.

    Example:
        >>> seeds([3, 0, 1, 2, 7])
        '0-3, 7'
    """
    ranges: list[list[int]] = []
    for seed in sorted(set(values)):
        if ranges and seed == ranges[-1][1] + 1:
            ranges[-1][1] = seed
        else:
            ranges.append([seed, seed])
    return ", ".join(f"{a}-{b}" if a != b else str(a) for a, b in ranges) or "none"
