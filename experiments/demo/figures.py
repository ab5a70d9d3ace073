"""The demonstration as one picture, drawn by matplotlib without a display."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from experiments.demo.contenders import colours, parse
from experiments.demo.curves import CHARTS, QUALITY, Chart, binned
from experiments.demo.summary import figure, goal, quality
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
}


def _plain_logarithms(ax: Axes) -> None:
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())


def _draw_quality(ax: Axes, runs: Sequence[Run]) -> None:
    target = goal(runs)
    ax.axhline(target.value, color="#777777", linewidth=1.0, linestyle=":")
    ax.annotate(
        target.what, (0.01, target.value), (0, -4), ("axes fraction", "data"), "offset points", va="top", size=9
    )
    for run, colour in zip(runs, colours(len(runs)), strict=True):
        label = parse(run.name).title
        ax.plot(run.quality_cost, run.frechet, color=colour, marker="o", markersize=3.5, linewidth=1.8, label=label)
    _plain_logarithms(ax)
    ax.set_title(QUALITY)


def _draw_curves(ax: Axes, runs: Sequence[Run], chart: Chart) -> None:
    for run, colour in zip(runs, colours(len(runs)), strict=True):
        band = binned(run, chart.values(run))
        ax.fill_between(band.cost, band.low, band.high, color=colour, alpha=0.15, linewidth=0)
        ax.plot(band.cost, band.mean, color=colour, linewidth=1.8)
    if chart.log:
        _plain_logarithms(ax)
    ax.set_title(chart.title)


def tiled(samples: NDArray[Any]) -> NDArray[Any]:
    """Tile images (n * n, side, side) into one (side * n, side * n)."""
    count, side, _ = samples.shape
    across = round(count**0.5)
    return samples.reshape(across, across, side, side).swapaxes(1, 2).reshape(across * side, across * side)


def overview(runs: Sequence[Run], real: NDArray[Any], headline: str) -> Figure:
    """Draw four charts above the image grids of all contenders and of real images."""
    with mpl.rc_context(STYLE):
        whole = Figure(figsize=(12.0, 9.8), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
        halves: Any = whole.subfigures(2, 1, height_ratios=(7.4, 2.4))
        top: FigureBase = halves[0]
        top.suptitle(textwrap.fill(headline, 100), fontsize=14, fontweight="bold")
        axes: list[Axes] = list(np.asarray(top.subplots(2, 2)).flat)
        _draw_quality(axes[0], runs)
        for ax, chart in zip(axes[1:], CHARTS, strict=False):
            _draw_curves(ax, runs, chart)
        for ax in axes:
            ax.set_xlabel("compute spent, in generator updates")
            ax.set_xlim(left=0)
            ax.xaxis.set_major_locator(MaxNLocator(6))
            ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        top.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(runs))
        grids = [(f"{parse(run.name).title}: {figure(quality(run))}", run.samples[-1]) for run in runs]
        shown = [*colours(len(runs)), "#444444"]
        places = halves[1].subplots(1, len(runs) + 1, squeeze=False).flat
        for ax, (title, samples), colour in zip(places, [*grids, ("real images", real)], shown, strict=True):
            ax.imshow(tiled(samples), cmap="gray", vmin=0, vmax=255)
            ax.set_title(title, color=colour, fontsize=10)
            ax.set_axis_off()
    return whole
