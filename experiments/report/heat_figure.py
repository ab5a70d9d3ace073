"""The heat map of n and rate as a PNG: one small map a task, with the controller's path drawn into it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, Stroke
from matplotlib.ticker import FixedLocator, NullLocator

from experiments.report.heat import Cell, Path, cells, grid, path
from experiments.report.palette import styles
from experiments.schema import Results
from experiments.statistics import Table

COLUMNS = 5
DEAREST = 8.0
"""Ratios to the best pair above this have the colour of it."""
LOWEST_N = 0.25
GREY, MISSED, BEST = "#d5d9de", "#fff3d1", "#ffb400"


def heat_figure(results: Results) -> Figure | None:
    """Return a map of every evaluation task; None where no constant ran on any."""
    tuning, tasks = Table.of(results, "tuning"), [t for t in results.suite.tasks if t.suite == "evaluation"]
    found = {task.name: cells(results, tuning, task) for task in tasks}
    shown = [task for task in tasks if found[task.name]]
    if not shown:
        return None
    columns, rows = min(COLUMNS, len(shown)), math.ceil(len(shown) / COLUMNS)
    figure = Figure(figsize=(2.75 * columns + 0.9, 2.75 * rows + 1.15), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    colors: Any = None
    drawn = styles(results.suite)
    color = drawn[results.suite.effort].color if results.suite.effort in drawn else ""
    for index, (task, place) in enumerate(zip(shown, axes.flat, strict=False)):
        walked = path(results, task, results.suite.effort)
        best = task.best_pair.late if task.best_pair is not None else None
        colors = _map(place, found[task.name], grid(results), best)
        if walked is not None:
            _walk(place, walked, color)
        place.set_title(task.title, fontsize=9.5, pad=5)
        if index % columns == 0:
            place.set_ylabel("critic updates n")
        if index >= len(shown) - columns:
            place.set_xlabel("critic's rate, times the task's")
    for place in list(axes.flat)[len(shown) :]:
        place.set_axis_off()
    bar = figure.colorbar(colors, ax=axes, shrink=min(1.0, 1.3 / rows), aspect=18, pad=0.015, extend="max")
    ticks = [1, 1.5, 2, 3, 5, DEAREST]
    bar.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.set_label("cost to the late target, over the best pair's")
    _legend(figure, color)
    return figure


def _map(axes: Axes, found: Sequence[Cell], levels: tuple[list[float], list[float]], best: str | None) -> Any:
    numbers, rates = levels
    axes.set_xscale("log")
    axes.set_yscale("log")
    y, x = _edges(numbers), _edges(rates)
    values = np.full((len(numbers), len(rates)), np.nan)
    for cell in found:
        if not cell.missed:
            values[numbers.index(cell.n), rates.index(cell.rate)] = min(cell.ratio, DEAREST)
    axes.set_facecolor(GREY)
    norm = LogNorm(1, DEAREST)
    mesh = axes.pcolormesh(x, y, np.ma.masked_invalid(values), cmap="YlGnBu_r", norm=norm, edgecolors="white", lw=1.2)
    for cell in found:
        i, j = numbers.index(cell.n), rates.index(cell.rate)
        corner, size = (x[j], y[i]), (x[j + 1] - x[j], y[i + 1] - y[i])
        if cell.missed:
            axes.add_patch(Rectangle(corner, *size, facecolor=MISSED, edgecolor="white", linewidth=1.2))
        text = "missed" if cell.missed else f"{cell.ratio:.1f}" if cell.ratio < 9.95 else f"{cell.ratio:.0f}"
        pale = cell.missed or min(cell.ratio, DEAREST) > 2.4
        style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 6.5 - cell.missed, "zorder": 3}
        axes.text(cell.rate, cell.n, text, color="#2b3640" if pale else "white", **style)
        if cell.contender == best:
            axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor=BEST, linewidth=2.4, zorder=4))
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(LOWEST_N * 0.84, y[-1])
    axes.xaxis.set_major_locator(FixedLocator(rates))
    axes.set_xticklabels([f"{rate:g}" for rate in rates])
    ticks = [LOWEST_N, 0.5, *numbers]
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.set_yticklabels([f"{tick:g}" for tick in ticks])
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
    axes.tick_params(length=2, labelsize=8)
    axes.grid(visible=False)
    return mesh


def _walk(axes: Axes, walked: Path, color: str) -> None:
    halo = [Stroke(linewidth=3.4, foreground="white"), Normal()]
    end = len(walked.n) if walked.arrived is None else walked.arrived + 1
    style: dict[str, Any] = {"color": color, "linewidth": 1.7, "path_effects": halo, "zorder": 5}
    axes.plot(walked.rate[:end], walked.n[:end], solid_joinstyle="round", **style)
    # Beyond the late target the path has no say in the cost that the colours show.
    axes.plot(walked.rate[end - 1 :], walked.n[end - 1 :], **{**style, "linewidth": 1.0, "linestyle": (0, (1, 1))})
    dot: dict[str, Any] = {"markeredgecolor": color, "markeredgewidth": 1.6, "zorder": 6, "linestyle": "none"}
    axes.plot(walked.rate[:1], walked.n[:1], "o", markersize=5.5, markerfacecolor="white", **dot)
    axes.plot(walked.rate[-1:], walked.n[-1:], "s", markersize=5.5, markerfacecolor=color, **dot)


def _legend(figure: Figure, color: str) -> None:
    """Say what is what; ``color`` is the path's, empty where no map has one."""
    dot: dict[str, Any] = {"markeredgecolor": color or "none", "linestyle": "none"}
    paths = [
        Line2D([], [], color=color or "none", linewidth=1.8, label="critic effort, one run, up to the late target"),
        Line2D([], [], color=color or "none", linewidth=1.0, linestyle=(0, (1, 1)), label="after it"),
        Line2D([], [], marker="o", markerfacecolor="white", label="start", **dot),
        Line2D([], [], marker="s", markerfacecolor=color or "none", label="end", **dot),
    ]
    entries = [
        *(paths if color else []),
        Rectangle((0, 0), 1, 1, fill=False, edgecolor=BEST, linewidth=2.2, label="best pair"),
        Rectangle((0, 0), 1, 1, facecolor=MISSED, label="missed by most runs"),
        Rectangle((0, 0), 1, 1, facecolor=GREY, label="not run"),
    ]
    figure.legend(handles=entries, loc="outside lower center", ncols=len(entries), fontsize=9)


def _edges(levels: Sequence[float]) -> list[float]:
    """Edges of cells around levels, halfway between them on a logarithmic axis."""
    between = [math.sqrt(a * b) for a, b in itertools.pairwise(levels)]
    first = levels[0] ** 2 / between[0] if between else levels[0] / math.sqrt(2)
    last = levels[-1] ** 2 / between[-1] if between else levels[-1] * math.sqrt(2)
    return [first, *between, last]
