"""The demonstration's table and its verdict in words, computed from the runs and from nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from experiments.demo.contenders import parse
from experiments.demo.training import Run, Settings

COLUMNS = (
    "contender",
    "quality",
    "cost to common target",
    "mean n",
    "critic updates",
    "generator updates",
    "cost",
    "CPU s",
)
LAST = 3
# Measured: between seeds 0 and 1 of `python -m experiments.demo`, quality differed by 11 % (n = 1), 3 % (n = 5) and 6 %
# (gap). A run has one seed, so it can't measure this for itself.
SEED_SPREAD = 0.10


def quality(run: Run) -> float:
    """Frechet distance at the end: the mean of the last three measurements, NaN for a run that diverged."""
    return float(np.mean(run.frechet[-LAST:]))


def common_target(runs: Sequence[Run]) -> float:
    """The quality that every contender that did not diverge reached: the worst of their best measurements."""
    reached = [np.nanmin(run.frechet) for run in runs if np.isfinite(run.frechet).any()]
    return float(max(reached, default=math.nan))


def cost_to(run: Run, target: float) -> float:
    """Cost at the first measurement at or under ``target``; NaN if there is none."""
    under = np.flatnonzero(run.frechet <= target)
    return float(run.quality_cost[under[0]]) if len(under) else math.nan


def ranked(runs: Sequence[Run]) -> list[Run]:
    """The runs from best to worst quality, diverged ones last."""
    return sorted(runs, key=lambda run: (math.isnan(quality(run)), quality(run)))


def rows(runs: Sequence[Run]) -> list[tuple[str, ...]]:
    """The cells of the table under ``COLUMNS``, one row per run, in the order given."""
    target = common_target(runs)
    return [
        (
            parse(run.name).title,
            _figure(quality(run)),
            _whole(cost_to(run, target)),
            f"{run.steps.mean():.2f}",
            _whole(run.critic_updates),
            _whole(run.generator_updates),
            _whole(run.cost[-1]),
            f"{run.cpu_seconds:.1f}",
        )
        for run in runs
    ]


def text_table(runs: Sequence[Run]) -> str:
    """The table for a terminal."""
    cells = [COLUMNS, *rows(runs)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(COLUMNS))]
    lines = []
    for row in cells:
        first, *others = (
            cell.ljust(width) if not column else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join([first, *others]))
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def verdict(runs: Sequence[Run], settings: Settings) -> list[str]:
    """Say who won and how little or much that means: a headline, then sentences."""
    order = ranked(runs)
    best, others = order[0], order[1:]
    label = {run.name: parse(run.name).title for run in runs}
    if math.isnan(quality(best)):
        return ["Every contender diverged.", _one_seed(settings)]
    if not others:
        return [
            f"{label[best.name]} reached {_figure(quality(best))}; alone, it is compared with nothing.",
            _one_seed(settings),
        ]
    if quality(others[0]) / quality(best) - 1.0 < SEED_SPREAD:
        close = [run for run in order if quality(run) / quality(best) - 1.0 < SEED_SPREAD]
        names = " and ".join(f"{label[run.name]} ({_figure(quality(run))})" for run in close)
        said = [f"No clear winner: {names} are within noise of each other."]
    else:
        kind = (
            "A fixed number"
            if best.name.startswith("fixed")
            else "The adaptive controller"
            if best.name in ("gap", "effort")
            else "A schedule"
        )
        said = [f"{kind} wins on this seed: {label[best.name]} has the best quality, {_figure(quality(best))}."]
    for run in others:
        if math.isnan(quality(run)):
            said.append(f"{label[run.name]} diverged.")
        else:
            times = quality(run) / quality(best)
            more = f"{times:.1f} times that of" if times >= 2.0 else f"{100 * (times - 1.0):.0f} % above"
            said.append(f"{label[run.name]} reached {_figure(quality(run))}, {more} {label[best.name]}.")
    said.append(
        f"All had the same compute, {_whole(settings.budget)} generator updates' worth. Smaller is better; quality is "
        f"the mean of the last {LAST} Frechet distances."
    )
    said.append(_one_seed(settings))
    return said


def _one_seed(settings: Settings) -> str:
    return (
        f"This is one seed ({settings.seed}) on one data set. Changing nothing but the seed moves these figures by "
        f"about {100 * SEED_SPREAD:.0f} %, so smaller differences rank no one: the ablation suite compares over many "
        "seeds."
    )


def _figure(value: float) -> str:
    return "diverged" if math.isnan(value) else f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _whole(value: float) -> str:
    return "never" if math.isnan(value) else f"{value:,.0f}"
