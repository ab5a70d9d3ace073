"""What went wrong and what made no difference: counted for every contender."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.schema import TARGETS, Results, Run, TaskRecord
from experiments.statistics import Comparison, Table, TaskComparison, runs_of


@dataclass(frozen=True)
class Outcomes:
    """Counts over the final runs of one contender on the tasks of one suite."""

    contender: str
    runs: int
    failed: int
    diverged: int
    missed_early: int
    missed_late: int
    interventions: int | None
    bad: int


def outcomes(results: Results, table: Table, tasks: Sequence[TaskRecord]) -> list[Outcomes]:
    """Return the counts of every contender that ran on any of these tasks, in the suite's order.

    Args:
        results: where the guard's interventions are.
        table: scores of final seeds.
        tasks: those to count.
    """
    names, grouped = [task.name for task in tasks], runs_of(results, table.role)
    found = []
    for contender in results.suite.contenders:
        scores = [s for task in tasks if (s := table.get(task.name, contender.name)) is not None]
        if scores:
            watched = [run.interventions for name in names for run in grouped.get((name, contender.name), [])]
            counts = [count for count in watched if count is not None]
            missed = [sum(int((~s.reached[:, c]).sum()) for s in scores) for c in range(len(TARGETS))]
            found.append(
                Outcomes(
                    contender=contender.name,
                    runs=sum(len(s.seeds) for s in scores),
                    failed=sum(int(s.failed.sum()) for s in scores),
                    diverged=sum(int(s.diverged.sum()) for s in scores),
                    missed_early=missed[TARGETS.index("early")],
                    missed_late=missed[TARGETS.index("late")],
                    interventions=sum(counts) if counts else None,
                    bad=sum(int(s.bad.sum()) for s in scores),
                )
            )
    return found


@dataclass(frozen=True)
class Tally:
    """Names of the tasks that a contender won or lost, by the interval of its cost ratio over both targets."""

    won: tuple[str, ...]
    undecided: tuple[str, ...]
    lost: tuple[str, ...]
    missing: tuple[str, ...]


def tally(comparison: Comparison) -> Tally:
    """Sort tasks by where 1 lies: above the interval (won), below it (lost), in it or no interval (undecided)."""

    def names(keep: Sequence[TaskComparison]) -> tuple[str, ...]:
        return tuple(task.task for task in keep)

    won = [t for t in comparison.tasks if t.cost.high < 1]
    lost = [t for t in comparison.tasks if t.cost.low > 1]
    rest = [t for t in comparison.tasks if t not in won and t not in lost]
    return Tally(names(won), names(rest), names(lost), comparison.missing)


def failures(results: Results) -> list[Run]:
    """Return all runs that an exception ended, of both seed roles."""
    return [run for run in results.runs if run.status == "failed"]
