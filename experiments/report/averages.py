"""Several ways to put all tasks into one figure, side by side: where they disagree, a few runs or tasks decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from experiments.report.numbers import triple
from experiments.schema import SUITES, Results, Suite
from experiments.statistics import BEST_FIXED, BEST_PAIR, OWN_MEAN, Comparison, Estimate, Table, compare


@dataclass(frozen=True)
class Average:
    """One column of the table.

    Attributes:
        title: its head.
        meaning: what it is, in plain words.
        draw: the value of a draw; below it the contender is ahead, or above it where ``higher`` says so.
        higher: whether higher is better.
    """

    title: str
    meaning: str
    draw: float = 1.0
    higher: bool = False


AVERAGES: Mapping[str, Average] = {
    "geometric": Average(
        "Geometric mean",
        "Every task and target gives the median over seeds of the paired cost ratios; this is their geometric mean, so "
        "that half the cost on one task and twice the cost on another cancel. Every task counts alike. The figure of "
        "the verdict.",
    ),
    "median": Average(
        "Median task",
        "The cost ratio of the task in the middle: on half of the tasks the contender does better than this. A few "
        "very good or very bad tasks do not move it.",
    ),
    "middle": Average(
        "Interquartile mean",
        "All single runs of all tasks, each at both targets, are sorted by their cost ratio; the best and the worst "
        "quarter are left out, and this is the geometric mean of the middle half. Lucky and broken runs do not move "
        "it, and every task counts alike.",
    ),
    "improvement": Average(
        "Probability of improvement",
        "Pick a task, a target, a run of the contender and a run of the opponent at random: how likely is the "
        "contender's the cheaper one? A tie counts half, so 50 % is a draw. It says how often, not by how much.",
        draw=0.5,
        higher=True,
    ),
}
SOURCE = (
    "Interquartile mean and probability of improvement as in Agarwal and others 2021, “Deep reinforcement learning "
    "at the edge of the statistical precipice”."
)


def denominators(suite: Suite) -> dict[str, str]:
    """Return what every cost is divided by, with titles: best fixed n, n = 5, and best pair where there is one."""
    five = {c.name: c.title for c in suite.contenders if c.steps == 5}
    has_pairs = any(task.best_pair is not None for task in suite.tasks)
    return {BEST_FIXED: BEST_FIXED, **five, **({BEST_PAIR: BEST_PAIR} if has_pairs else {})}


def default_opponents(results: Results) -> dict[str, str]:
    """Return those that every contender is held against, with titles: denominators, own mean, reference, rivals."""
    suite = results.suite
    known = {c.name: c.title for c in suite.contenders}
    ran = {run.config.contender for run in results.runs if run.config.seed_role == "final"}
    named = [name for name in (suite.reference, suite.two_time_scales) if name in ran]
    return {
        **denominators(suite),
        OWN_MEAN: "its own means, held",
        **{name: known[name] for name in named if name in known},
    }


def averages(results: Results, table: Table) -> dict[str, Any]:
    """Return the table's rows as plain values: by opponent and suite, one row per contender.

    Args:
        results: knows the contenders and their order.
        table: scores of final seeds.
    """
    return {
        opponent: {
            suite: [
                _row(found)
                for contender in results.suite.contenders
                if contender.name != opponent
                and (found := compare(table, contender.name, opponent, table.tasks(suite))).tasks
                # Pairs that ran where they are the best alone would have a mean over other tasks each.
                and not (contender.kind == "pair" and found.missing)
            ]
            for suite in SUITES
        }
        for opponent in default_opponents(results)
    }


def _row(found: Comparison) -> dict[str, Any]:
    pairs = [task.pairs for task in found.tasks]
    figures = {
        "geometric": found.cost(),
        "median": found.median(),
        "middle": found.middle(),
        "improvement": found.improvement(),
    }
    return {
        "contender": found.contender,
        "tasks": len(found.tasks),
        "missing": len(found.missing),
        "pairs": [min(pairs), max(pairs)],
        "unpaired": sum(task.unpaired for task in found.tasks),
        "figures": {
            name: {"value": triple(figures[name]), "outcome": outcome(figures[name], average)}
            for name, average in AVERAGES.items()
        },
    }


def outcome(estimate: Estimate, average: Average) -> str:
    """Return "won" or "lost" where the whole interval is on one side of a draw, else "open"; so without an interval."""
    below, above = estimate.high < average.draw, estimate.low > average.draw
    ahead, behind = (above, below) if average.higher else (below, above)
    return "won" if ahead else "lost" if behind else "open"
