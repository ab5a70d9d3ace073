"""What the demonstration draws over cost, for the page and for the picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.demo.training import Run

BINS = 120


class Chart(NamedTuple):
    """One chart: title, meaning in a sentence, a value for each iteration, whether its axis is logarithmic."""

    title: str
    caption: str
    values: Callable[[Run], NDArray[Any]]
    log: bool = False


QUALITY = "Fréchet distance (lower is better)"
CLASSES = "Classes (lower is better)"
MEASURED: dict[str, tuple[str, Callable[[Run], NDArray[Any]]]] = {
    QUALITY: (
        "Between generated and real images, in a small classifier's features. Logarithmic axis.",
        lambda run: run.frechet,
    ),
    CLASSES: (
        "Share of generated images that are too many in some classes and lack in others. 0: as among real images.",
        lambda run: run.class_distance,
    ),
}
CHARTS = (
    Chart(
        "Critic updates per generator update, n",
        "Mean over a stretch of the run. The band holds four fifths of it.",
        lambda run: run.steps,
    ),
    Chart(
        "Critic's learning rate, as a multiple of its setting",
        "Only the critic-effort controller changes it. Logarithmic axis.",
        lambda run: run.rate,
        log=True,
    ),
    Chart(
        "The controller's signal",
        "Share of the critic's advantage that one generator update uses up. A fixed number has no signal.",
        lambda run: run.signal,
    ),
    Chart(
        "Gap",
        "Mean critic score of real minus generated images, at the first critic update of each iteration.",
        lambda run: run.gap,
    ),
    Chart(
        "Critic loss", "At the last critic update of each iteration, without the penalty.", lambda run: run.critic_loss
    ),
    Chart(
        "Generator loss",
        "A Wasserstein critic's scores have no zero, so neither has this curve: only its movement means something.",
        lambda run: run.generator_loss,
    ),
)


class Band(NamedTuple):
    """A curve in equal bins of cost: middle of each bin, mean, tenth and ninetieth percentile of the values in it."""

    cost: NDArray[Any]
    mean: NDArray[Any]
    low: NDArray[Any]
    high: NDArray[Any]


def binned(run: Run, values: NDArray[Any]) -> Band:
    """Sum up the values of iterations in 120 equal bins of cost; bins without a finite value are left out."""
    finite = np.isfinite(values)
    cost, values = run.cost[finite], values[finite]
    edges = np.linspace(0.0, run.cost[-1], BINS + 1)
    which = np.clip(np.searchsorted(edges, cost) - 1, 0, BINS - 1)
    full = np.unique(which)
    parts = [values[which == index] for index in full]
    low, high = (np.array([np.percentile(part, share) for part in parts]) for share in (10, 90))
    return Band((edges[full] + edges[full + 1]) / 2.0, np.array([part.mean() for part in parts]), low, high)
