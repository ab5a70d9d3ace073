"""A figure with its interval, and the bootstrap behind it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Array = NDArray[np.float64]
RESAMPLES = 2000
CAP = 100.0
"""A single paired ratio counts as no more than this, and no less than its reciprocal."""
LEVEL = 0.95
SEED = 20_240


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval.

    ``low`` and ``high`` are NaN where fewer than two runs leave no interval.
    """

    value: float
    low: float = math.nan
    high: float = math.nan


def interval(
    sizes: Sequence[int], statistic: Callable[..., Array], resamples: int = RESAMPLES, seed: int = SEED
) -> tuple[Any, Any]:
    """Return the percentile bootstrap interval of a statistic of row numbers.

    Resampling row numbers instead of values lets one draw pick all that belongs to a seed: both targets,
    both contenders.

    Args:
        sizes: number of rows of each sample.
        statistic: takes one integer array (resamples, rows) per sample, returns (..., resamples).
        resamples: number of bootstrap resamples.
        seed: of the generator; the same seed gives the same interval.

    Returns:
        Lower and upper end, each (...); NaN, NaN where any sample has fewer than two rows: one run shows no spread, and
        an interval that leaves it out would be too narrow.
    """
    if not sizes or min(sizes) < 2:
        return math.nan, math.nan

    def by_rows(*rows: NDArray[Any], axis: int = -1) -> Array:
        return statistic(*(np.moveaxis(r, axis, -1).astype(np.int64) for r in rows))

    found = stats.bootstrap(
        tuple(np.arange(size) for size in sizes),
        by_rows,
        n_resamples=resamples,
        confidence_level=LEVEL,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return found.low, found.high


def log_ratio(contender: ArrayLike, opponent: ArrayLike) -> Array:
    """Return the log of contender over opponent, finite whatever happened to the runs.

    Args:
        contender: any shape; infinite for a run without a finite quality.
        opponent: the same shape.

    Returns:
        log(contender / opponent), cut at +-log(:data:`CAP`). A run without a finite value so counts as
        :data:`CAP` times worse, and one at or below 0 (an estimate of a distance may get there) as
        :data:`CAP` times better; 0 where that holds for both.

    Example:
        >>> np.exp(log_ratio([2.0, np.inf, np.inf], [1.0, 1.0, np.inf])).round(9)
        array([  2., 100.,   1.])
    """
    x, y = np.asarray(contender, np.float64), np.asarray(opponent, np.float64)
    if x.shape != y.shape or np.isnan(x).any() or np.isnan(y).any():
        raise ValueError(f"expected values of one shape without NaN, got {x.shape} and {y.shape}: {x}, {y}")
    x, y = np.maximum(x, 0.0), np.maximum(y, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(x == y, 0.0, np.log(x) - np.log(y))
    cut: Array = np.clip(ratio, -math.log(CAP), math.log(CAP))
    return cut


def checked_sample(log_ratios: ArrayLike) -> Array:
    """Return one task's log ratios as an array (runs, columns), which must be finite and hold a run."""
    sample = np.asarray(log_ratios, dtype=np.float64)
    if sample.ndim != 2 or not sample.size:
        raise ValueError(f"expected (runs, targets) with at least one run, got shape {sample.shape}")
    if not np.isfinite(sample).all():
        raise ValueError("log ratios must be finite; settle runs without a value first, as log_ratio does")
    return sample
