"""Distances between samples, all independent of the critic that is being trained. Numpy and scipy only.

Points are arrays or tensors of shape (n, dimension); each function also says what it is 0 for and in which
units it is. Values in the feature space of one network can't be compared with values from another network.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

Floats = NDArray[np.float64]


def _points(name: str, values: ArrayLike, least: int = 1) -> Floats:
    """Values as (n, dimension) float64; refuses other shapes, too few rows, and what is not finite."""
    points = np.asarray(values, dtype=np.float64)
    if points.ndim != 2 or len(points) < least:
        raise ValueError(f"{name} of shape {points.shape}: must be (n, dimension) with n >= {least}")
    if not np.isfinite(points).all():
        raise ValueError(f"{name}: {int((~np.isfinite(points)).sum())} of {points.size} values are not finite")
    return points


def _pair(a: ArrayLike, b: ArrayLike, least: int = 1) -> tuple[Floats, Floats]:
    first, second = _points("first sample", a, least), _points("second sample", b, least)
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"dimensions {first.shape[1]} and {second.shape[1]} differ")
    return first, second


def directions(dimension: int, count: int) -> Floats:
    """Unit vectors (count, dimension) to project on: evenly spaced in 2-D, else fixed pseudo-random ones."""
    if dimension == 2:
        angle = np.pi * (np.arange(count) + 0.5) / count
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)
    drawn = np.random.default_rng(20170).standard_normal((count, dimension))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def sliced_w1(a: ArrayLike, b: ArrayLike, projections: int = 100) -> float:
    r"""Sliced 1-Wasserstein distance, the mean of :math:`W_1` over fixed one-dimensional projections.

    A shift by v in two dimensions gives 2/pi |v|. The directions are the same at every call.

    Args:
        a: One sample, (n, dimension).
        b: The other, (m, dimension). Unequal sizes are compared through their quantile functions at max(n, m)
            midpoints.
        projections: How many directions.

    Source: Rabin, Peyre, Delon, Bernot, "Wasserstein barycenter and its application to texture mixing", 2011;
    here with the first power.
    """
    first, second = _pair(a, b)
    axes = directions(first.shape[1], projections).T
    sorted_a, sorted_b = np.sort(first @ axes, axis=0), np.sort(second @ axes, axis=0)
    size = max(len(sorted_a), len(sorted_b))
    middle = (np.arange(size) + 0.5) / size
    quantiles_a = sorted_a[(middle * len(sorted_a)).astype(int)]
    quantiles_b = sorted_b[(middle * len(sorted_b)).astype(int)]
    return float(np.abs(quantiles_a - quantiles_b).mean())


def energy_distance(a: ArrayLike, b: ArrayLike) -> float:
    r"""Energy distance :math:`2 E|X-Y| - E|X-X'| - E|Y-Y'|` (not its root), 0 for equal samples.

    Source: Szekely, Rizzo, "Energy statistics", 2013 (the V-statistic).
    """
    first, second = _pair(a, b)
    within = cdist(first, first).mean() + cdist(second, second).mean()
    return float(max(2.0 * cdist(first, second).mean() - within, 0.0))


def exact_w1(a: ArrayLike, b: ArrayLike) -> float:
    """Exact 1-Wasserstein distance of two samples of the same size, in the units of the points.

    Solves the assignment problem: 2,000 points in 2-D take a good third of a second. Two true samples differ
    by a floor that shrinks slowly with n; report the excess over it.
    """
    first, second = _pair(a, b)
    if len(first) != len(second):
        raise ValueError(f"samples of {len(first)} and {len(second)} points: must be of the same size")
    cost = cdist(first, second)
    return float(cost[linear_sum_assignment(cost)].mean())


class Modes(NamedTuple):
    """What :func:`modes_covered` found: modes with enough points, and the share of points near any mode."""

    covered: int
    share_near: float


def modes_covered(points: ArrayLike, modes: ArrayLike, radius: float, least: int = 1) -> Modes:
    """Count the modes, shape (k, dimension), that have at least ``least`` points closer than ``radius``.

    A point counts for its nearest mode only. For Gaussian modes take three standard deviations as radius.
    """
    given, centres = _pair(points, modes)
    distance = cdist(given, centres)
    near = distance.min(axis=1) < radius
    counts = np.bincount(distance.argmin(axis=1)[near], minlength=len(centres))
    return Modes(int((counts >= least).sum()), float(near.mean()))


def frechet_distance(mean_a: ArrayLike, cov_a: ArrayLike, mean_b: ArrayLike, cov_b: ArrayLike) -> float:
    r"""Squared 2-Wasserstein distance of two Gaussians.

    .. math:: |\mu_a-\mu_b|^2 + \mathrm{tr}(C_a + C_b - 2 (C_a^{1/2} C_b C_a^{1/2})^{1/2})

    Args:
        mean_a: Mean of the first, (dimension,).
        cov_a: Its covariance, (dimension, dimension), positive semi-definite; a singular one is fine.
        mean_b: Mean of the second.
        cov_b: Its covariance.
    """
    root = _square_root(np.asarray(cov_a, dtype=np.float64))
    product = root @ np.asarray(cov_b, dtype=np.float64) @ root
    cross = np.sqrt(np.clip(np.linalg.eigvalsh((product + product.T) / 2.0), 0.0, None)).sum()
    shift = np.asarray(mean_a, dtype=np.float64) - np.asarray(mean_b, dtype=np.float64)
    return float(max(shift @ shift + np.trace(cov_a) + np.trace(cov_b) - 2.0 * cross, 0.0))


def _square_root(matrix: Floats) -> Floats:
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T)


def moments(features: ArrayLike) -> tuple[Floats, Floats]:
    """Mean (dimension,) and covariance (dimension, dimension) of features (n, dimension), n >= 2."""
    points = _points("features", features, least=2)
    return points.mean(axis=0), np.atleast_2d(np.cov(points, rowvar=False))


def frechet_distance_of_samples(a: ArrayLike, b: ArrayLike) -> float:
    """Frechet distance of two samples of features, (n, dimension) and (m, dimension): FID in those features.

    Biased upwards for small samples: compare values for the same n only.
    Source: Heusel et al., "GANs trained by a two time-scale update rule", 2017, with other features than
    Inception's.
    """
    first, second = _pair(a, b, least=2)
    return frechet_distance(*moments(first), *moments(second))


def kernel_distance(a: ArrayLike, b: ArrayLike) -> float:
    r"""Unbiased squared MMD with the kernel :math:`(x^T y / d + 1)^3`: KID in the given features.

    Source: Binkowski, Sutherland, Arbel, Gretton, "Demystifying MMD GANs", 2018 (over the whole sample, no
    blocks).
    """
    first, second = _pair(a, b, least=2)

    def kernel(x: Floats, y: Floats) -> Floats:
        return np.asarray((x @ y.T / x.shape[1] + 1.0) ** 3)

    def within(x: Floats) -> float:
        values = kernel(x, x)
        return float((values.sum() - np.trace(values)) / (len(x) * (len(x) - 1)))

    return within(first) + within(second) - 2.0 * float(kernel(first, second).mean())


class Support(NamedTuple):
    """What :func:`support` found; each is 1 at best (density may exceed 1)."""

    precision: float
    recall: float
    density: float
    coverage: float


def support(real: ArrayLike, generated: ArrayLike, neighbours: int = 5) -> Support:
    """Precision, recall, density and coverage from balls that reach to the k-th nearest neighbour.

    Args:
        real: (n, dimension) with n > ``neighbours``.
        generated: (m, dimension) with m > ``neighbours``.
        neighbours: k.

    Source: Kynkaanniemi et al., "Improved precision and recall metric", 2019; Naeem et al., "Reliable
    fidelity and diversity metrics", 2020.
    """
    if neighbours < 1:
        raise ValueError(f"neighbours={neighbours}: must be at least 1")
    first, second = _pair(real, generated, least=neighbours + 1)
    radius_real, radius_generated = _radii(first, neighbours), _radii(second, neighbours)
    distance = cdist(first, second)
    inside_real = distance < radius_real[:, None]
    return Support(
        precision=float(inside_real.any(axis=0).mean()),
        recall=float((distance < radius_generated[None, :]).any(axis=1).mean()),
        density=float(inside_real.sum(axis=0).mean() / neighbours),
        coverage=float(inside_real.any(axis=1).mean()),
    )


def _radii(points: Floats, neighbours: int) -> Floats:
    """Distance of each point to its k-th nearest other point, shape (n,)."""
    return np.asarray(np.partition(cdist(points, points), neighbours, axis=1)[:, neighbours])


def class_histogram(labels: ArrayLike, classes: int) -> Floats:
    """Shares of the classes 0 .. ``classes`` - 1 among labels (n,): shape (classes,), summing to 1."""
    values: NDArray[Any] = np.asarray(labels)
    if values.ndim != 1 or not len(values) or values.min() < 0 or values.max() >= classes:
        raise ValueError(f"labels: must be (n,), n >= 1, each in 0..{classes - 1}; got shape {values.shape}")
    return np.asarray(np.bincount(values.astype(np.int64), minlength=classes) / len(values))


def total_variation(p: ArrayLike, q: ArrayLike) -> float:
    """Half the sum of absolute differences between two histograms (k,): 0 if equal, 1 if disjoint."""
    return float(0.5 * np.abs(np.asarray(p, dtype=np.float64) - np.asarray(q, dtype=np.float64)).sum())
