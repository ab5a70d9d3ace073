"""Curves of many seeds as a median and a band on one cost grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.schema import Run

Array = NDArray[np.float64]
QUALITIES = ("quality", "ema_quality")
"""Curves in which what is not finite is the worst there is."""


@dataclass(frozen=True)
class Band:
    """Median and quartiles over seeds, each (points,); NaN where there is nothing to show."""

    middle: Array
    low: Array
    high: Array


def grid_of(runs: Sequence[Run]) -> Array:
    """Return the grid of costs (points,) up to the budget that the runs were evaluated on."""
    if not runs:
        return np.empty(0)
    step = max(run.cost.grid for run in runs)
    budget = max(run.cost.budget for run in runs)
    grid: Array = step * np.arange(1, math.floor(budget / step + 1e-9) + 1, dtype=np.float64)
    return grid


def on_grid(run: Run, name: str, grid: Array) -> Array:
    """Return a run's curve at each point of a grid: its last evaluation up to half a step later.

    Args:
        run: any run.
        name: a field of its curve, e.g. "quality".
        grid: (points,), evenly spaced costs.

    Returns:
        (points,), NaN before the first evaluation and infinite after the end of a run that stopped early; for quality,
        what is not finite is infinite too: it is the worst there is, and a median has to see it.
    """
    cost = np.asarray(run.curve.cost, dtype=np.float64)
    values = np.asarray(getattr(run.curve, name), dtype=np.float64)
    if not cost.size or not grid.size:
        return np.full(grid.shape, np.inf)
    if name in QUALITIES:
        values = np.where(np.isfinite(values), values, np.inf)
    reach = grid + (grid[1] - grid[0] if grid.size > 1 else grid[0]) / 2
    index = np.searchsorted(cost, reach, side="right") - 1
    found = np.where(index >= 0, values[np.maximum(index, 0)], np.nan)
    ended: Array = np.where(cost[-1] < grid - (reach - grid), np.inf, found)
    return ended


def band(runs: Sequence[Run], name: str, grid: Array) -> Band:
    """Return median and quartiles over runs at each point of the grid.

    For quality a run that ended or diverged counts as infinite, so that it pulls the median; for everything else it is
    left out once it has ended.
    """
    if not runs or not grid.size:
        empty = np.full(grid.shape, np.nan)
        return Band(empty, empty, empty)
    stacked = np.stack([on_grid(run, name, grid) for run in runs])
    if name not in QUALITIES:
        stacked = np.where(np.isinf(stacked), np.nan, stacked)
    ends = np.full((3, grid.size), np.nan)
    for point, column in enumerate(stacked.T):
        there = np.sort(column[~np.isnan(column)])
        if there.size:
            # Without interpolation: between a finite and an infinite value there is nothing to interpolate.
            rows = [(there.size - 1) // 2, there.size // 2, (there.size - 1) // 4, (3 * (there.size - 1) + 3) // 4]
            ends[:, point] = [(there[rows[0]] + there[rows[1]]) / 2, there[rows[2]], there[rows[3]]]
    ends[np.isinf(ends)] = np.nan
    return Band(*ends)
