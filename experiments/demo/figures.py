"""The demonstration's charts and image grids, drawn by matplotlib without a display."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from experiments.demo.contenders import colours, parse
from experiments.demo.summary import quality
from experiments.demo.training import Run

STYLE: Any = {
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "legend.frameon": False,
    "legend.fontsize": 10,
    "svg.hashsalt": "demo",
}
BINS = 120


class Chart(NamedTuple):
    """One chart: its title, what it means in a sentence, and a function that draws it."""

    title: str
    caption: str
    draw: Callable[[Axes, Sequence[Run]], None]


def _binned(run: Run, values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Middle, mean, tenth and ninetieth percentile of the iterations in each of 120 equal bins of cost with any."""
    edges = np.linspace(0.0, run.cost[-1], BINS + 1)
    which = np.clip(np.searchsorted(edges, run.cost) - 1, 0, BINS - 1)
    full = np.unique(which)
    parts = [values[which == index] for index in full]
    middle = (edges[full] + edges[full + 1]) / 2.0
    low, high = (np.array([np.percentile(part, share) for part in parts]) for share in (10, 90))
    return middle, np.array([part.mean() for part in parts]), low, high


def _curves(ax: Axes, runs: Sequence[Run], values: Callable[[Run], NDArray[Any]]) -> None:
    for run, colour in zip(runs, colours(len(runs)), strict=True):
        middle, mean, low, high = _binned(run, values(run))
        ax.fill_between(middle, low, high, color=colour, alpha=0.15, linewidth=0)
        ax.plot(middle, mean, color=colour, linewidth=1.8, label=parse(run.name).title)


def _draw_quality(ax: Axes, runs: Sequence[Run]) -> None:
    for run, colour in zip(runs, colours(len(runs)), strict=True):
        ax.plot(
            run.quality_cost,
            run.frechet,
            color=colour,
            marker="o",
            markersize=3.5,
            linewidth=1.8,
            label=parse(run.name).title,
        )
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())


def _draw_steps(ax: Axes, runs: Sequence[Run]) -> None:
    _curves(ax, runs, lambda run: run.steps)
    ax.set_ylim(0, 1.08 * max(run.steps.max() for run in runs))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_classes(ax: Axes, runs: Sequence[Run]) -> None:
    for run, colour in zip(runs, colours(len(runs)), strict=True):
        ax.plot(
            run.quality_cost,
            run.class_distance,
            color=colour,
            marker="o",
            markersize=3.5,
            linewidth=1.8,
            label=parse(run.name).title,
        )
    ax.set_ylim(0, 1)


CHARTS = (
    Chart(
        "Quality (smaller is better)",
        "Frechet distance between generated and real images in a small classifier's features; logarithmic axis.",
        _draw_quality,
    ),
    Chart(
        "Critic updates per generator update, n",
        "What each controller chose: the mean over a stretch of the run, in a band that holds four fifths of it.",
        _draw_steps,
    ),
    Chart(
        "Gap",
        "Mean critic score of real minus generated images, at the first critic update of each iteration.",
        lambda ax, runs: _curves(ax, runs, lambda run: run.gap),
    ),
    Chart(
        "Critic loss",
        "At the last critic update of each iteration, without the penalty.",
        lambda ax, runs: _curves(ax, runs, lambda run: run.critic_loss),
    ),
    Chart(
        "Generator loss",
        "A Wasserstein critic's scores have no zero, so neither has this curve: only its movement means something.",
        lambda ax, runs: _curves(ax, runs, lambda run: run.generator_loss),
    ),
    Chart(
        "Classes (smaller is better)",
        "Share of generated images that are too many in some classes and lack in others; 0: as among real images.",
        _draw_classes,
    ),
)


def _finish(ax: Axes, chart: Chart, runs: Sequence[Run]) -> None:
    chart.draw(ax, runs)
    ax.set_title(chart.title)
    ax.set_xlabel("compute spent, in generator updates")
    ax.set_xlim(left=0)
    ax.xaxis.set_major_locator(MaxNLocator(6))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _legend(figure: FigureBase, ax: Axes) -> None:
    """One legend under everything, where it hides no curve."""
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=4)


def chart_svg(chart: Chart, runs: Sequence[Run]) -> str:
    """Draw one chart as an SVG element for a page; text becomes outlines, so it looks the same everywhere."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.6, 3.8), layout="constrained")
        ax = figure.subplots()
        _finish(ax, chart, runs)
        _legend(figure, ax)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    return svg[svg.index("<svg") :]


def tiled(samples: NDArray[Any], across: int = 8) -> NDArray[Any]:
    """Tile images (n, side, side) into one (side * rows, side * across), with n = rows * across."""
    count, side, _ = samples.shape
    return samples.reshape(count // across, across, side, side).swapaxes(1, 2).reshape(-1, across * side)


def grid_png(samples: NDArray[Any]) -> bytes:
    """Encode a grid of images as PNG."""
    buffer = io.BytesIO()
    mpl.image.imsave(buffer, tiled(samples), cmap="gray", vmin=0, vmax=255, format="png")
    return buffer.getvalue()


def overview(runs: Sequence[Run], real: NDArray[Any], headline: str) -> Figure:
    """Draw the whole report as one picture: four charts above the image grids of all contenders and of real images."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(12.0, 11.4), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
        halves: Any = figure.subfigures(2, 1, height_ratios=(7.2, 4.0))
        top, bottom = halves
        top.suptitle(headline, fontsize=14, fontweight="bold")
        axes = top.subplots(2, 2)
        for ax, chart in zip(axes.flat, CHARTS, strict=False):
            _finish(ax, chart, runs)
        _legend(top, axes[0, 0])
        grids = [(parse(run.name).title + f": {quality(run):.3g}", run.samples) for run in runs] + [
            ("real images", real)
        ]
        shown = [*colours(len(runs)), "#444444"]
        for ax, (title, samples), colour in zip(
            bottom.subplots(1, len(grids), squeeze=False).flat, grids, shown, strict=True
        ):
            ax.imshow(tiled(samples), cmap="gray", vmin=0, vmax=255)
            ax.set_title(title, color=colour)
            ax.set_axis_off()
    return figure
