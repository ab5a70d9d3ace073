"""Aggregates over runs and tasks, with bootstrap intervals.

A sample of one task is an array (runs, targets) of logarithms of paired ratios: one row a seed. Bootstrap
resamples rows, each task on its own, so that pairs stay together and tasks keep their weight. Percentile
intervals are used throughout: the bias-corrected ones are undefined for medians with ties, which unreached
targets produce.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.statistics.resampling import SEED, Array, Estimate, checked_sample, interval

Groups = Sequence[Sequence[int]]


def center(sample: Array, rows: NDArray[np.int64] | None, average: str) -> Array:
    """Median or mean over rows: (runs, columns) -> (columns,) or, with rows, (columns, resamples)."""
    if average not in ("median", "mean"):
        raise ValueError(f"average={average!r} must be 'median' or 'mean'")
    # Columns first, so that the runs to take the median of lie side by side in memory.
    columns = sample.T.copy() if rows is None else sample.T[:, rows]
    if average == "mean":
        return np.asarray(columns.mean(axis=-1))
    return np.asarray(np.median(columns, axis=-1, overwrite_input=True))


def mean_ratios(
    samples: Sequence[ArrayLike],
    groups: Groups,
    average: str = "median",
    resample_tasks: bool = False,
    seed: int = SEED,
) -> tuple[Estimate, ...]:
    """Return the geometric mean of paired ratios over tasks, for several groups of columns from one bootstrap.

    Per task and column the median over seeds of log ratios; then the mean over a group's columns; then the mean
    over tasks, every task with the same weight; then exp. Working on logarithms makes it symmetric: exchanging
    contender and opponent gives the reciprocal.

    Args:
        samples: per task (runs, columns), log of contender's over opponent's cost or quality, one row a seed;
            the number of runs may differ.
        groups: which columns make up each figure.
        average: "median" over seeds, or "mean" for the geometric mean.
        resample_tasks: False: the intervals say what other seeds on these very tasks would give. True
            (hierarchical): tasks are drawn as well, so they say what other tasks of the same kind would give.
            A task drawn twice brings the same resample of seeds both times.
        seed: of the bootstrap.

    Returns:
        One estimate per group.
    """
    arrays = [checked_sample(sample) for sample in samples]
    if not arrays:
        raise ValueError("no task to average over")

    def grouped(columns: Array) -> Array:
        return np.stack([columns[list(group)].mean(axis=0) for group in groups])

    def statistic(*rows: NDArray[np.int64]) -> Array:
        centers = np.stack([grouped(center(a, r, average)) for a, r in zip(arrays, rows, strict=False)], axis=-1)
        if resample_tasks:
            centers = np.take_along_axis(centers, rows[-1][None], axis=-1)
        mean: Array = centers.mean(axis=-1)
        return mean

    sizes = [len(array) for array in arrays] + ([len(arrays)] if resample_tasks else [])
    low, high = np.exp(interval(sizes, statistic, seed=seed))
    values = np.exp(np.mean([grouped(center(array, None, average)) for array in arrays], axis=0))
    ends = (np.broadcast_to(low, values.shape), np.broadcast_to(high, values.shape))
    return tuple(Estimate(float(v), float(lo), float(hi)) for v, lo, hi in zip(values, *ends, strict=True))


def mean_ratio(
    samples: Sequence[ArrayLike], average: str = "median", resample_tasks: bool = False, seed: int = SEED
) -> Estimate:
    """Return :func:`mean_ratios` of all columns (targets) together.

    Example:
        >>> round(mean_ratio([np.log([[2.0], [2.0]]), np.log([[8.0], [8.0]])]).value, 12)
        4.0
    """
    columns = range(np.asarray(samples[0]).shape[-1]) if len(samples) else range(0)
    return mean_ratios(samples, [columns], average, resample_tasks, seed)[0]


def task_estimate(log_ratios: ArrayLike, average: str = "median", seed: int = SEED) -> Estimate:
    """Return the typical paired ratio of one task: :func:`mean_ratio` of that task alone.

    Example:
        >>> task_estimate(np.log([[2.0], [8.0], [4.0]])).value
        4.0
    """
    return mean_ratio([checked_sample(log_ratios)], average, seed=seed)


def share_of_tasks(samples: Sequence[ArrayLike], below: float = 1.0, seed: int = SEED) -> Estimate:
    """Return the share of tasks whose :func:`task_estimate` is below a value, with its interval over seeds.

    Args:
        samples: per task (runs, targets) log ratios.
        below: a ratio, positive; equal to it is not below.
        seed: of the bootstrap.
    """
    arrays = [checked_sample(sample) for sample in samples]
    if not arrays:
        raise ValueError("no task to count")

    def statistic(*rows: NDArray[np.int64]) -> Array:
        wins = [center(a, r, "median").mean(axis=0) < math.log(below) for a, r in zip(arrays, rows, strict=True)]
        share: Array = np.mean(np.stack(wins, axis=-1), axis=-1)
        return share

    value = float(np.mean([center(array, None, "median").mean() < math.log(below) for array in arrays]))
    return Estimate(value, *map(float, interval([len(array) for array in arrays], statistic, seed=seed)))


def performance_profile(cost: ArrayLike, reached: ArrayLike, factors: ArrayLike) -> Array:
    """Return Dolan-More performance profiles: shares of problems solved within a factor of the cheapest.

    Dolan and More 2002, "Benchmarking optimization software with performance profiles", equation for
    rho_s(tau).

    Args:
        cost: (problems, contenders), positive.
        reached: (problems, contenders), whether it was solved; what was not is within no factor.
        factors: (factors,), each at least 1.

    Returns:
        (contenders, factors), shares between 0 and 1. A problem that nobody solved counts against all.

    Example:
        >>> performance_profile([[1.0, 2.0], [4.0, 1.0]], [[True, True], [True, True]], [1.0, 2.0])
        array([[0.5, 0.5],
               [0.5, 1. ]])
    """
    costs, solved = np.asarray(cost, np.float64), np.asarray(reached, np.bool_)
    if costs.ndim != 2 or costs.shape != solved.shape or not costs.size:
        raise ValueError(f"cost and reached must both be (problems, contenders), got {costs.shape}, {solved.shape}")
    usable = np.where(solved, costs, np.inf)
    cheapest = usable.min(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):  # inf / inf where nobody solved it: NaN compares as not within
        ratios = usable / cheapest
    within: Array = (ratios[:, :, None] <= np.asarray(factors, np.float64)).mean(axis=0)
    return within
