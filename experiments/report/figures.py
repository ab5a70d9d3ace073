"""PNGs for README and docs: the same figures as on the page, for print."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from experiments.report.averages import denominators
from experiments.report.data import FACTORS, profiles
from experiments.report.heat_figure import heat_figure
from experiments.report.outcomes import outcomes, tally
from experiments.report.palette import Style, styles
from experiments.report.series import band, grid_of
from experiments.schema import ContenderRecord, Results, TaskRecord
from experiments.statistics import BEST_FIXED, Comparison, Table, compare, runs_of

_LINES: dict[str, Any] = {
    "solid": "-",
    "dash": "--",
    "dot": ":",
    "dashdot": "-.",
    "longdash": (0, (8, 3)),
    "longdashdot": (0, (8, 2, 1.5, 2)),
}
_STYLE: dict[Any, Any] = {
    # Titles come from result files: a dollar sign in one is a dollar sign.
    "text.parse_math": False,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e9ed",
    "axes.axisbelow": True,
    "axes.edgecolor": "#8a94a0",
    "legend.frameon": False,
    "savefig.dpi": 108,
}
_TASKS_SHOWN = 4
_PROFILES_SHOWN = 12  # the page has them all, and can leave some out


def draw(results: Results, out_dir: Path) -> list[Path]:
    """Write ``evidence.png``, ``heat_map.png``, ``over_cost.png`` and ``profiles.png``; return their paths.

    Args:
        results: may hold no runs; every figure then says so.
        out_dir: an existing folder.
    """
    table = Table.of(results)
    drawings: dict[str, Callable[[], Figure]] = {
        "evidence.png": lambda: evidence(results, table),
        "heat_map.png": lambda: heat_figure(results) or _nothing("No constants on tuning seeds yet."),
        "over_cost.png": lambda: over_cost(results, table),
        "profiles.png": lambda: profile_figure(table),
    }
    paths = []
    with mpl.rc_context(_STYLE):
        for name, make in drawings.items():
            figure = make()
            FigureCanvasAgg(figure)
            # No date or version in the file: the same results give the same bytes.
            figure.savefig(out_dir / name, bbox_inches="tight", pad_inches=0.15, metadata={"Software": None})
            paths.append(out_dir / name)
    return paths


def _nothing(text: str) -> Figure:
    figure = Figure(figsize=(7, 1.6))
    figure.text(0.5, 0.5, text, ha="center", va="center", color="#56606e")
    return figure


def _ratio_axis(axes: Axes, values: Sequence[float]) -> None:
    """A logarithmic axis with plain numbers; 1 always on it."""
    axes.set_xscale("log")
    low, high = min([0.8, *values]) * 0.93, max([1.25, *values]) * 1.07
    axes.set_xlim(low, high)
    ticks = [t for t in (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20, 50, 100) if low <= t <= high]
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.axvline(1, color="#1c2430", linewidth=1.2, linestyle=":")


def evidence(results: Results, table: Table) -> Figure:
    """Forest plots: every contender's cost against each denominator, and beside them all that went against it."""
    tasks, suite = table.tasks("evaluation"), results.suite
    found = [compare(table, c.name, BEST_FIXED, tasks) for c in suite.contenders if is_shown(table, c, tasks)]
    rows = sorted((c for c in found if c.tasks), key=lambda c: -c.cost().value)
    if not rows:
        return _nothing("No results on evaluation tasks yet.")
    against = denominators(suite)
    figure = Figure(figsize=(5.2 + 3.1 * len(against), 1.3 + 0.3 * len(rows)))
    width = 0.72 / len(against)
    for index, (opponent, title) in enumerate(against.items()):
        axes = figure.add_axes((index * (width + 0.015), 0.0, width, 1.0))
        _forest(axes, [compare(table, row.contender, opponent, tasks) for row in rows], styles(suite))
        axes.set_title(f"over {title}", fontsize=10)
        axes.set_ylim(-0.7, len(rows) - 0.3)
        axes.set_yticks(range(len(rows)), [""] * len(rows))
        axes.grid(axis="y", visible=False)
    counts = {a.contender: a for a in outcomes(results, table, tasks)}
    _columns(axes, rows, {name: (a.bad, a.runs) for name, a in counts.items()}, 1 / (width * figure.get_figwidth()))
    titles = [suite.contender(row.contender).title for row in rows]
    figure.axes[0].set_yticks(
        range(len(rows)), [t + ("*" if r.missing else "") for t, r in zip(titles, rows, strict=True)]
    )
    note = "; * hollow: not run on every task" if any(row.missing for row in rows) else ""
    figure.text(
        0.36,
        -0.45 / figure.get_figheight(),
        f"cost to target as a ratio, 95 % interval; geometric mean over {len(tasks)} evaluation tasks and two targets\n"
        f"below 1 is cheaper; the best constants were picked on tuning seeds{note}",
        ha="center",
        va="top",
    )
    return figure


def is_shown(table: Table, contender: ContenderRecord, tasks: Sequence[TaskRecord]) -> bool:
    """Whether a contender has a row of its own: pairs that ran on a part of the tasks are many, and not comparable."""
    return contender.kind != "pair" or all(table.get(task.name, contender.name) is not None for task in tasks)


def _forest(axes: Axes, rows: Sequence[Comparison], drawn: Mapping[str, Style]) -> None:
    ends: list[float] = []
    for y, row in enumerate(rows):
        if not row.tasks:
            continue
        cost, style = row.cost(), drawn[row.contender]
        ends += [v for v in (cost.value, cost.low, cost.high) if not math.isnan(v)]
        if not math.isnan(cost.low):
            axes.plot([cost.low, cost.high], [y, y], color="#6c757d", linewidth=2, solid_capstyle="butt")
        face = "white" if row.missing else style.color
        axes.plot([cost.value], [y], "o", color=style.color, markerfacecolor=face, markersize=7, markeredgewidth=1.8)
    _ratio_axis(axes, ends)


def _columns(axes: Axes, rows: Sequence[Comparison], bad: dict[str, tuple[int, int]], inch: float) -> None:
    """Counts to the right of the plot, of tasks and of runs that fell short; ``inch`` in widths of the axes."""
    places, at = (1 + 0.2 * inch, 1 + 1.5 * inch), axes.get_yaxis_transform()
    heads = ("won / open / lost\n(to best fixed n)", "missed, failed,\ndiverged")
    for x, head in zip(places, heads, strict=True):
        axes.text(x, len(rows) - 0.2, head, transform=at, va="bottom", fontsize=9, color="#56606e")
    for y, row in enumerate(rows):
        counts = tally(row)
        cells = (
            f"{len(counts.won)} / {len(counts.undecided)} / {len(counts.lost)}",
            f"{bad[row.contender][0]} of {bad[row.contender][1]}",
        )
        for x, cell in zip(places, cells, strict=True):
            axes.text(x, y, cell, transform=at, va="center", fontsize=9)


def over_cost(results: Results, table: Table) -> Figure:
    """Chosen n and rate above quality, over cost: the law, its best constants and n = 5 on the first tasks."""
    suite = results.suite
    law = suite.effort if any(c.name == suite.effort for c in suite.contenders) else suite.gap
    tasks = [t for t in table.tasks("evaluation") if table.get(t.name, law) is not None][:_TASKS_SHOWN]
    if not tasks:
        return _nothing("No results of the law on evaluation tasks yet.")
    curves = ("n", "rate", "quality") if law == suite.effort else ("n", "quality")
    figure = Figure(figsize=(3.4 * len(tasks) + 0.6, 1.6 + 1.8 * len(curves)), layout="constrained")
    grid = figure.subplots(
        len(curves), len(tasks), sharex="col", squeeze=False, height_ratios=(*[1.0] * (len(curves) - 1), 1.4)
    )
    labels: dict[str, Artist] = {}
    for column, task in enumerate(tasks):
        rows = dict(zip(curves, grid[:, column], strict=True))
        _task_column(rows, results, task, law, labels)
        grid[0, column].set_title(task.title, fontsize=10, wrap=True)
        grid[-1, column].set_xlabel("cost, generator updates")
        grid[-1, column].set_ylabel(task.metric)
    for row, text in zip(grid[:-1, 0], ("critic updates n", "critic's rate,\ntimes the task's"), strict=False):
        row.set_ylabel(text)
    order = [c.title for c in suite.contenders if c.title in labels]
    figure.legend([labels[title] for title in order], order, loc="outside lower center", ncols=4)
    return figure


def _task_column(
    rows: Mapping[str, Axes], results: Results, task: TaskRecord, law: str, labels: dict[str, Artist]
) -> None:
    suite, drawn = results.suite, styles(results.suite)
    best, pair = task.best_fixed_n, task.best_pair
    names = [law]
    names += [suite.fixed(best.late).name] if best is not None else []
    names += [pair.late] if pair is not None and law == suite.effort else []
    names += [c.name for c in suite.contenders if c.steps == 5]
    grouped = runs_of(results)
    for name in dict.fromkeys(names):
        runs = grouped.get((task.name, name), [])
        points, style = grid_of(runs), drawn[name]
        for key, axes in rows.items():
            found = band(runs, key, points)
            axes.fill_between(points, found.low, found.high, color=style.color, alpha=0.15, linewidth=0)
            (line,) = axes.plot(
                points, found.middle, _LINES[style.dash], color=style.color, linewidth=style.width * 0.7
            )
            labels.setdefault(suite.contender(name).title, line)
    for key, axes in rows.items():
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
        if key == "n":
            axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
            axes.set_ylim(bottom=0)
        else:
            _plain_log_axis(axes, LogLocator(subs=(1.0, 2.0, 5.0)) if key == "quality" else LogLocator(base=2))
    for name, value in (task.targets or {}).items():
        rows["quality"].axhline(value, color="#1c2430", linewidth=0.9, linestyle=":")
        rows["quality"].annotate(
            name,
            (1, value),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="bottom",
            fontsize=8,
            color="#1c2430",
            # Above the curves, which would cross the word out.
            zorder=5,
            bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1},
        )


def _plain_log_axis(axes: Axes, locator: LogLocator) -> None:
    """A logarithmic axis with plain numbers: values seldom span more than a decade or two, and decades are too few."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(locator)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def profile_figure(table: Table) -> Figure:
    """Dolan-More profiles over evaluation tasks and both targets, of the contenders that solve the most."""
    found = profiles(table, table.tasks("evaluation"))
    if not found["shares"]:
        return _nothing("No contender has runs on every evaluation task yet.")
    drawn = styles(table.suite)
    figure = Figure(figsize=(9.5, 4.6))
    axes = figure.add_subplot()
    most = sorted(found["shares"], key=lambda name: -sum(found["shares"][name]))[:_PROFILES_SHOWN]
    for contender in table.suite.contenders:
        if contender.name in most:
            style = drawn[contender.name]
            axes.step(
                FACTORS,
                np.array(found["shares"][contender.name], dtype=np.float64),
                where="post",
                label=contender.title,
                color=style.color,
                linestyle=_LINES[style.dash],
                linewidth=style.width * 0.75,
            )
    axes.set_xscale("log")
    axes.set_xticks([1, 1.5, 2, 3, 5, 10], ["1", "1.5", "2", "3", "5", "10"])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(1, FACTORS[-1])
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
    axes.set_xlabel("factor of the cheapest contender's cost")
    axes.set_ylabel(f"share of {found['problems']} problems\n(evaluation task with one target)")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.02), fontsize=9)
    return figure
