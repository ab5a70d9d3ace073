"""Aggregates that a few extreme runs or tasks do not move, with bootstrap intervals.

Agarwal and others 2021, "Deep reinforcement learning at the edge of the statistical precipice", section 4.3: the
interquartile mean and the probability of improvement. As in :mod:`experiments.statistics.aggregates`, the bootstrap
resamples seeds within each task, a seed with both its targets and both contenders.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.statistics.aggregates import center
from experiments.statistics.resampling import SEED, Array, Estimate, checked_sample, interval


def probability_of_improvement(
    contender: Sequence[ArrayLike], opponent: Sequence[ArrayLike], seed: int = SEED
) -> Estimate:
    """Return the probability that a run of the contender beats one of the opponent on a random task.

    Per task and target the Mann-Whitney statistic, mean over all pairs of runs, also of different seeds, of
    [x < y] + [x = y] / 2; then the mean over targets and tasks. 0.5 is a draw; the size of a difference has no say.

    Args:
        contender: per task (runs, targets) costs or qualities, lower is better; infinite ones tie with each other.
        opponent: likewise, the same seeds in the same order.
        seed: of the bootstrap.

    Example:
        >>> probability_of_improvement([[[1.0], [2.0]]], [[[2.0], [3.0]]]).value
        0.875
    """
    pairs = [(np.asarray(x, float), np.asarray(y, float)) for x, y in zip(contender, opponent, strict=True)]
    if not pairs or any(x.ndim != 2 or x.shape != y.shape or not x.size for x, y in pairs):
        raise ValueError(f"expected paired (runs, targets) per task, got {[(x.shape, y.shape) for x, y in pairs]}")
    # Both targets of a seed are drawn together, so their mean can be taken before the draw: (runs, runs) per task.
    wins = [((x[:, None] < y) + 0.5 * (x[:, None] == y)).mean(axis=-1) for x, y in pairs]

    def statistic(*rows: NDArray[np.int64]) -> Array:
        counts = [_counts(r) for r in rows]
        per_task = [((c @ w) * c).sum(axis=-1) / len(w) ** 2 for w, c in zip(wins, counts, strict=True)]
        mean: Array = np.mean(per_task, axis=0)
        return mean

    value = float(np.mean([w.mean() for w in wins]))
    return Estimate(value, *map(float, interval([len(w) for w in wins], statistic, seed=seed)))


def _counts(rows: NDArray[np.int64]) -> Array:
    """How often each row was drawn: (resamples, rows) -> (resamples, rows)."""
    resamples, size = rows.shape
    flat = rows + size * np.arange(resamples)[:, None]
    return np.bincount(flat.ravel(), minlength=rows.size).reshape(rows.shape).astype(np.float64)


def interquartile_mean(values: Sequence[ArrayLike], seed: int = SEED) -> Estimate:
    """Return the mean of the middle half of all runs of all tasks.

    With as many runs on every task and their number a multiple of four this is ``scipy.stats.trim_mean(values, 0.25)``,
    as the paper defines it. Beyond that, every task has the same weight whatever its number of runs, and a run on the
    edge of the middle half counts by the part of it that lies within.

    Args:
        values: per task (runs, targets) log ratios; the number of runs may differ.
        seed: of the bootstrap.

    Returns:
        exp of the interquartile mean of the log ratios, so a ratio.

    Example:
        >>> round(interquartile_mean([np.log([[1.0], [2.0], [2.0], [64.0]])]).value, 12)
        2.0
    """
    arrays = [checked_sample(sample) for sample in values]
    if not arrays:
        raise ValueError("no task to average over")
    weights = np.concatenate([np.full(array.size, 1 / (len(arrays) * array.size)) for array in arrays])

    def middle(parts: Sequence[Array]) -> Array:
        pooled = np.concatenate([part.reshape(*part.shape[:-2], -1) for part in parts], axis=-1)
        order = np.argsort(pooled, axis=-1)
        weight = weights[order]
        end = np.cumsum(weight, axis=-1)
        within = np.clip(end, 0.25, 0.75) - np.clip(end - weight, 0.25, 0.75)
        mean: Array = (within * np.take_along_axis(pooled, order, axis=-1)).sum(axis=-1) / within.sum(axis=-1)
        return mean

    low, high = interval(
        [len(array) for array in arrays],
        lambda *rows: middle([a[r] for a, r in zip(arrays, rows, strict=True)]),
        seed=seed,
    )
    return Estimate(math.exp(float(middle(arrays))), math.exp(low), math.exp(high))


def median_task(values: Sequence[ArrayLike], seed: int = SEED) -> Estimate:
    """Return the median over tasks of each task's typical ratio: half of the tasks are below it.

    Args:
        values: per task (runs, targets) log ratios; a task's typical ratio is the geometric mean over targets of the
            median over seeds.
        seed: of the bootstrap.

    Example:
        >>> round(median_task([np.log([[0.5]]), np.log([[2.0]]), np.log([[64.0]])]).value, 12)
        2.0
    """
    arrays = [checked_sample(sample) for sample in values]
    if not arrays:
        raise ValueError("no task to take the median of")

    def statistic(*rows: NDArray[np.int64]) -> Array:
        typical = [center(a, r, "median").mean(axis=0) for a, r in zip(arrays, rows, strict=True)]
        found: Array = np.median(typical, axis=0)
        return found

    low, high = interval([len(array) for array in arrays], statistic, seed=seed)
    value = float(np.median([center(array, None, "median").mean() for array in arrays]))
    return Estimate(math.exp(value), math.exp(low), math.exp(high))
