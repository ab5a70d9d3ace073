"""The demonstration's table and its verdict in words, computed from the runs and from nothing else."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.demo.contenders import parse
from experiments.demo.training import Run, Settings

REFERENCE = "fixed:5"  # what WGAN and WGAN-GP were published with
LAST = 3
# Measured: between seeds 0 and 1 of `python -m experiments.demo`, quality differed by 11 % (n = 1), 3 % (n = 5) and 6 %
# (gap). A run has one seed, so it can't measure this for itself.
SEED_SPREAD = 0.10
NARROWEST = 10  # characters of a column whose title is wrapped


class Goal(NamedTuple):
    """A Fréchet distance that contenders are to reach, and whose it is."""

    value: float
    what: str


def quality(run: Run) -> float:
    """Fréchet distance at the end: the mean of the last three measurements, NaN for a run that diverged."""
    return float(np.mean(run.frechet[-LAST:]))


def goal(runs: Sequence[Run]) -> Goal:
    """The final quality of n = 5. Without it, the quality that every contender reached that did not diverge."""
    for run in runs:
        if run.name == REFERENCE and not math.isnan(quality(run)):
            return Goal(quality(run), "n = 5's final quality")
    reached = [np.nanmin(run.frechet) for run in runs if not math.isnan(quality(run))]
    return Goal(float(max(reached, default=math.nan)), "the quality that all reached")


def cost_to(run: Run, target: float) -> float:
    """Cost at the first measurement at or under ``target``; NaN if there is none."""
    under = np.flatnonzero(run.frechet <= target)
    return float(run.quality_cost[under[0]]) if len(under) else math.nan


def ranked(runs: Sequence[Run]) -> list[Run]:
    """The runs from best to worst quality, diverged ones last."""
    return sorted(runs, key=lambda run: (math.isnan(quality(run)), quality(run)))


def columns(runs: Sequence[Run]) -> tuple[str, ...]:
    """The titles of the table's columns."""
    return (
        "contender",
        "Fréchet distance",
        f"compute to {goal(runs).what}",
        "mean n",
        "mean critic's rate",
        "generator updates",
        "CPU seconds",
    )


def rows(runs: Sequence[Run]) -> list[tuple[str, ...]]:
    """The cells of the table, one row per run, in the order given."""
    target = goal(runs).value
    return [
        (
            parse(run.name).title,
            figure(quality(run)),
            whole(cost_to(run, target)),
            f"{run.steps.mean():.2f}",
            f"x {run.rate.mean():.3g}",
            whole(run.generator_updates),
            f"{run.cpu_seconds:.1f}",
        )
        for run in runs
    ]


def text_table(runs: Sequence[Run]) -> str:
    """The table for a terminal of 80 columns; long titles take several lines."""
    body = rows(runs)
    titles = columns(runs)
    widths = [max(len(row[at]) for row in body) for at in range(len(titles))]
    wrapped = [textwrap.wrap(title, max(width, NARROWEST)) for title, width in zip(titles, widths, strict=True)]
    widths = [max(width, *map(len, lines)) for width, lines in zip(widths, wrapped, strict=True)]
    height = max(map(len, wrapped))
    head = [tuple(([""] * (height - len(lines)) + lines)[row] for lines in wrapped) for row in range(height)]

    def line(cells: tuple[str, ...]) -> str:
        first, *others = zip(cells, widths, strict=True)
        return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)])

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    return "\n".join([*map(line, head), rule, *map(line, body)])


def verdict(runs: Sequence[Run], settings: Settings) -> list[str]:
    """Say who won and how little or much that means: a headline, then sentences."""
    order = ranked(runs)
    best, others = order[0], order[1:]
    label = {run.name: parse(run.name).title for run in runs}
    if math.isnan(quality(best)):
        return ["Every contender diverged.", _one_seed(settings)]
    if not others:
        return [
            f"{label[best.name]} reached {figure(quality(best))}; alone, it is compared with nothing.",
            _one_seed(settings),
        ]
    close = [run for run in order if quality(run) / quality(best) - 1.0 < SEED_SPREAD]
    if len(close) > 1:
        named = " and ".join(f"{label[run.name]} ({figure(quality(run))})" for run in close)
        said = [f"No clear winner: {named} are within noise of each other."]
    else:
        kind = {"fixed": "A fixed number", "schedule": "A schedule", "adaptive": "An adaptive controller"}
        won = kind[parse(best.name).kind]
        said = [f"{won} wins on this seed: {label[best.name]} has the best quality, {figure(quality(best))}."]
    for run in others:
        if math.isnan(quality(run)):
            said.append(f"{label[run.name]} diverged.")
        else:
            times = quality(run) / quality(best)
            said.append(
                f"{label[run.name]} ended at {figure(quality(run))}, {figure(times)} times as large as that of "
                f"{label[best.name]}."
            )
    said += [
        _compute(runs, settings),
        f"All had the same compute, {whole(settings.budget)} generator updates' worth. Quality is a Fréchet distance, "
        f"the mean of the last {LAST} measured. Lower is better.",
        _one_seed(settings),
    ]
    return said


def _compute(runs: Sequence[Run], settings: Settings) -> str:
    target = goal(runs)
    reached = {parse(run.name).title: cost_to(run, target.value) / settings.budget for run in runs}
    parts = [f"{name} {100 * share:.0f} %" for name, share in reached.items() if not math.isnan(share)]
    never = [name for name, share in reached.items() if math.isnan(share)]
    said = f"Compute spent when {target.what}, {figure(target.value)}, was first measured: {', '.join(parts)}"
    return said + (f"; {', '.join(never)} never reached it." if never else ".")


def _one_seed(settings: Settings) -> str:
    return (
        f"This is one seed ({settings.seed}) on one data set. Changing nothing but the seed moves these figures by "
        f"about {100 * SEED_SPREAD:.0f} %, so smaller differences rank no one: the ablation suite compares over many "
        "seeds."
    )


def figure(value: float) -> str:
    """A number with three digits."""
    return "diverged" if math.isnan(value) else f"{value:.3g}" if value < 100 else f"{value:.0f}"


def whole(value: float) -> str:
    """A whole number, with commas."""
    return "never" if math.isnan(value) else f"{value:,.0f}"
