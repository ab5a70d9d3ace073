"""What one run is worth: cost to a target, quality at a cost."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

UNREACHED = 2.0
"""A run that never reaches its target counts as this many budgets."""


def cost_to_target(cost: ArrayLike, quality: ArrayLike, target: float, budget: float) -> tuple[float, bool]:
    """Return the cost at which a run reached its target, and whether it did.

    Reached is the first of two consecutive evaluations at or under the target: one lucky evaluation of a
    noisy metric is not enough, so neither is the very last evaluation alone.

    Args:
        cost: (evaluations,), increasing, in generator updates.
        quality: (evaluations,), lower is better; NaN or infinite is never under a target.
        target: the quality to reach, positive.
        budget: the run's budget, in generator updates.

    Returns:
        The cost of the first of the two evaluations, or twice the budget where there are no such two; and
        whether there are.

    Raises:
        ValueError: shapes differ, or target or budget is not positive.

    Example:
        >>> cost_to_target([1, 2, 3, 4], [9, 2, 9, 9], target=3, budget=4)
        (8.0, False)
        >>> cost_to_target([1, 2, 3, 4], [9, 2, 3, 9], target=3, budget=4)
        (2.0, True)
    """
    spent, seen = _curves(cost, quality)
    if not (target > 0 and budget > 0):
        raise ValueError(f"target={target!r} and budget={budget!r} must be positive")
    under = np.isfinite(seen) & (seen <= target)
    first = np.flatnonzero(under[:-1] & under[1:])
    if first.size:
        return float(spent[first[0]]), True
    return UNREACHED * budget, False


def quality_at_cost(cost: ArrayLike, quality: ArrayLike, at: float, grid: float, window: int = 3) -> float:
    """Return a run's quality at a cost: the median of the last evaluations up to it.

    Contenders end an iteration at slightly different costs, so an evaluation belongs to the grid point
    nearest to it.

    Args:
        cost: (evaluations,), increasing, in generator updates.
        quality: (evaluations,), lower is better.
        at: the cost, in generator updates.
        grid: distance of two evaluations, in generator updates.
        window: number of evaluations in the median, at least 1; fewer where fewer are there.

    Returns:
        The quality; infinite where the run ended more than half a grid step earlier (it failed: it has no
        quality at this cost). An evaluation that is not finite enters the median as infinite.

    Raises:
        ValueError: shapes differ, or grid or window is not positive.

    Example:
        >>> quality_at_cost([10, 20, 30, 40], [5.0, 3.0, 4.0, 1.0], at=30, grid=10)
        4.0
    """
    spent, seen = _curves(cost, quality)
    if not (grid > 0 and window >= 1):
        raise ValueError(f"grid={grid!r} must be positive and window={window!r} at least 1")
    if not spent.size or spent[-1] < at - grid / 2:
        return math.inf
    within = seen[spent <= at + grid / 2][-window:]
    return float(np.median(np.where(np.isfinite(within), within, math.inf))) if within.size else math.inf


def _curves(cost: ArrayLike, quality: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    spent, seen = np.asarray(cost, dtype=np.float64), np.asarray(quality, dtype=np.float64)
    if spent.ndim != 1 or spent.shape != seen.shape:
        raise ValueError(f"cost and quality must both be (evaluations,), got {spent.shape} and {seen.shape}")
    return spent, seen
