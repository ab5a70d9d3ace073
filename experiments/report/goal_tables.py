"""Tables of goals and of tasks."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.report import formatting
from experiments.report.heat import place
from experiments.report.markdown import NOTHING, cell, table
from experiments.schema import BestPair, Results, Suite
from experiments.statistics import BEST_FIXED, BEST_PAIR, Table, compare, effort_goals, number_goals

MOST = 4
"""More tasks than these are counted, not named: the table of tasks has a figure for each."""


def verdict_table(results: Results) -> str:
    """One row per goal of the laws on the number alone: figure, interval, met or not, on which tasks not."""
    rows = [
        [
            cell(row.what),
            cell(row.target),
            formatting.figure(row.figure),
            formatting.met(row.met) if row.met is not False else "**not met**",
            _named(results, row.fell_short),
            cell(row.note),
        ]
        for row in number_goals(Table.of(results))
    ]
    return table(["figure", "target", "measured (95 % interval)", "outcome", "falls short on", "note"], rows)


def targets_table(results: Results) -> str:
    """One row per goal of the law on rate and number: figure, interval, holds or falls short, on which tasks."""
    if all(c.name != results.suite.effort for c in results.suite.contenders):
        return NOTHING
    outcome = {None: "no results", True: "holds", False: "**falls short**"}
    rows = [
        [
            cell(row.what),
            cell(row.target),
            formatting.figure(row.figure),
            outcome[row.met],
            _named(results, row.fell_short) if len(row.fell_short) <= MOST else f"{len(row.fell_short)} of {row.tasks}",
            cell(f"{row.tasks} tasks; {row.note}" if row.tasks else row.note),
        ]
        for row in effort_goals(Table.of(results))
    ]
    return table(["critic effort", "goal", "measured (95 % interval)", "outcome", "not on these tasks", "note"], rows)


def _named(results: Results, tasks: Sequence[str]) -> str:
    return cell("; ".join(results.suite.task(name).title for name in tasks)) or "–"


def tasks_table(results: Results) -> str:
    """One row per task: what it is, its best constants, and how the laws of this library did against them."""
    scores, suite = Table.of(results), results.suite
    known = {c.name: c.title for c in suite.contenders}
    with_pairs = any(task.best_pair is not None for task in suite.tasks)
    # What each law is held against, and by what; the law on rate and number is left out where it did not run.
    shown = [
        (suite.effort, BEST_FIXED, "cost"),
        (suite.effort, BEST_PAIR, "cost"),
        (suite.effort, BEST_FIXED, "quality"),
    ]
    shown = shown if suite.effort in known else []
    shown += [(suite.gap, BEST_FIXED, "cost")]
    shown += (
        [] if suite.effort in known else [(suite.gap, BEST_FIXED, "quality"), (suite.loss_ratio, BEST_FIXED, "cost")]
    )
    shown = [each for each in shown if each[0] in known]
    rows = []
    for task in suite.tasks:
        cells = []
        for name, opponent, what in shown:
            found = compare(scores, name, opponent, [task]).tasks
            cells.append("–" if not found else formatting.figure(found[0].cost if what == "cost" else found[0].whole))
        best, pair = task.best_fixed_n, task.best_pair
        rows.append(
            [
                cell(task.title),
                task.suite,
                f"{task.objective}, {task.learning_rate_ratio:g}",
                "–" if best is None else f"{best.early} / {best.late} / {best.budget}",
                *([_pairs(suite, pair)] if with_pairs else []),
                *cells,
            ]
        )
    heads = [cell(f"{known[name]}: {what} to {opponent}") for name, opponent, what in shown]
    return table(
        [
            "task",
            "suite",
            "objective, learning-rate ratio",
            "best fixed n (early / late / quality)",
            *(["best constant pair, n x rate (early / late / quality)"] if with_pairs else []),
            *heads,
        ],
        rows,
    )


def _pairs(suite: Suite, pair: BestPair | None) -> str:
    if pair is None:
        return "–"
    places = [place(suite.contender(name)) for name in (pair.early, pair.late, pair.budget)]
    return " / ".join(f"{n:g}x{rate:g}" for n, rate in places)
