"""Aggregates over runs and tasks, with bootstrap intervals.

A sample of one task is an array (runs, targets) of logarithms of paired ratios: one row a seed. Bootstrap
resamples rows, each task on its own, so that pairs stay together and tasks keep their weight. Percentile
intervals are used
throughout: the bias-corrected ones are undefined for medians with ties, which unreached targets produce.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from experiments.statistics.resampling import SEED, Array, Estimate, interval

Groups = Sequence[Sequence[int]]


def _center(sample: Array, rows: NDArray[np.int64] | None, average: str) -> Array:
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
    arrays = [_sample(sample) for sample in samples]
    if not arrays:
        raise ValueError("no task to average over")

    def grouped(columns: Array) -> Array:
        return np.stack([columns[list(group)].mean(axis=0) for group in groups])

    def statistic(*rows: NDArray[np.int64]) -> Array:
        centers = np.stack([grouped(_center(a, r, average)) for a, r in zip(arrays, rows, strict=False)], axis=-1)
        if resample_tasks:
            centers = np.take_along_axis(centers, rows[-1][None], axis=-1)
        mean: Array = centers.mean(axis=-1)
        return mean

    sizes = [len(array) for array in arrays] + ([len(arrays)] if resample_tasks else [])
    low, high = np.exp(interval(sizes, statistic, seed=seed))
    values = np.exp(np.mean([grouped(_center(array, None, average)) for array in arrays], axis=0))
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
    return mean_ratio([_sample(log_ratios)], average, seed=seed)


def share_of_tasks(samples: Sequence[ArrayLike], below: float = 1.0, seed: int = SEED) -> Estimate:
    """Return the share of tasks whose :func:`task_estimate` is below a value, with its interval over seeds.

    Args:
        samples: per task (runs, targets) log ratios.
        below: a ratio, positive; equal to it is not below.
        seed: of the bootstrap.
    """
    arrays = [_sample(sample) for sample in samples]
    if not arrays:
        raise ValueError("no task to count")

    def statistic(*rows: NDArray[np.int64]) -> Array:
        wins = [_center(a, r, "median").mean(axis=0) < math.log(below) for a, r in zip(arrays, rows, strict=True)]
        share: Array = np.mean(np.stack(wins, axis=-1), axis=-1)
        return share

    value = float(np.mean([_center(array, None, "median").mean() < math.log(below) for array in arrays]))
    return Estimate(value, *map(float, interval([len(array) for array in arrays], statistic, seed=seed)))


def probability_of_improvement(
    contender: Sequence[ArrayLike], opponent: Sequence[ArrayLike], seed: int = SEED
) -> Estimate:
    """Return the probability that a run of the contender beats one of the opponent on a random task.

    Per task the Mann-Whitney statistic, mean over all pairs of runs of [x < y] + [x = y] / 2; then the mean
    over tasks (Agarwal and others 2021, "Deep reinforcement learning at the edge of the statistical
    precipice", section 4.3). Rows of contender and opponent are paired seeds and are resampled together.

    Args:
        contender: per task (runs,) costs or qualities, lower is better.
        opponent: likewise, the same seeds in the same order.
        seed: of the bootstrap.

    Example:
        >>> probability_of_improvement([[1.0, 2.0]], [[2.0, 3.0]]).value
        0.875
    """
    pairs = [(np.asarray(x, float), np.asarray(y, float)) for x, y in zip(contender, opponent, strict=True)]
    if not pairs or any(x.ndim != 1 or x.shape != y.shape or not x.size for x, y in pairs):
        raise ValueError(f"expected paired (runs,) per task, got {[(x.shape, y.shape) for x, y in pairs]}")
    wins = [np.where(x[:, None] < y, 1.0, np.where(x[:, None] == y, 0.5, 0.0)) for x, y in pairs]

    def statistic(*rows: NDArray[np.int64]) -> Array:
        per_task = [w[r[:, :, None], r[:, None, :]].mean(axis=(1, 2)) for w, r in zip(wins, rows, strict=True)]
        mean: Array = np.mean(np.stack(per_task, axis=-1), axis=-1)
        return mean

    value = float(np.mean([w.mean() for w in wins]))
    return Estimate(value, *map(float, interval([len(w) for w in wins], statistic, seed=seed)))


def interquartile_mean(values: Sequence[ArrayLike], seed: int = SEED) -> Estimate:
    """Return the mean of the middle half of all runs of all tasks; seeds are resampled per task.

    Args:
        values: per task (runs, targets) log ratios; a quarter of the pooled entries is cut at each end,
            rounded down.
        seed: of the bootstrap.

    Returns:
        exp of the interquartile mean of the log ratios, so a ratio.

    Example:
        >>> round(interquartile_mean([np.log([[1.0], [2.0], [2.0], [64.0]])]).value, 12)
        2.0
    """
    arrays = [_sample(sample) for sample in values]
    if not arrays:
        raise ValueError("no task to average over")

    def pooled(parts: Sequence[Array]) -> Array:
        flat = [part.reshape(*part.shape[:-2], -1) for part in parts]
        trimmed: Array = np.asarray(stats.trim_mean(np.concatenate(flat, axis=-1), 0.25, axis=-1))
        return trimmed

    low, high = interval(
        [len(array) for array in arrays],
        lambda *rows: pooled([a[r] for a, r in zip(arrays, rows, strict=True)]),
        seed=seed,
    )
    return Estimate(math.exp(float(pooled(arrays))), math.exp(low), math.exp(high))


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


def _sample(log_ratios: ArrayLike) -> Array:
    sample = np.asarray(log_ratios, dtype=np.float64)
    if sample.ndim != 2 or not sample.size:
        raise ValueError(f"expected (runs, targets) with at least one run, got shape {sample.shape}")
    if not np.isfinite(sample).all():
        raise ValueError("log ratios must be finite; settle runs without a value first, as log_ratio does")
    return sample
