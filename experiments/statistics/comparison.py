"""One contender against one opponent, task by task and over all tasks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.schema import TARGETS, Task
from experiments.statistics.aggregates import (
    interquartile_mean,
    mean_ratio,
    probability_of_improvement,
    task_estimate,
)
from experiments.statistics.resampling import Estimate, log_ratio
from experiments.statistics.scores import SHARES, Scores, Table

BEST_FIXED = "best fixed n"
"""Opponent: the fixed n that was best on the task's tuning seeds, per target and at the budget."""

OWN_MEAN = "own mean n"
"""Opponent: the contender's own mean n of the same task and seed, held fixed by error-diffused rounding."""


@dataclass(frozen=True)
class TaskComparison:
    """A contender against an opponent on one task; ratios below 1 are wins.

    Attributes:
        task: its name.
        opponent: contender names per target, then at the budget (they differ where the best fixed n does).
        pairs: number of seeds that both have.
        unpaired: number of seeds that one of them lacks; they are left out.
        cost: paired ratio of costs over both targets.
        per_target: the same for each of TARGETS.
        quality: paired ratio of qualities at each of SHARES of the budget.
        reached: contender's runs that reached each of TARGETS.
        opponent_reached: opponent's.
        bad: contender's runs that diverged, failed or never reached the late target.
        log_cost: (pairs, targets), log ratios behind ``cost``.
        log_quality: (pairs, shares), log ratios behind ``quality``.
        costs: (pairs, targets) of the contender, for other aggregates.
        opponent_costs: (pairs, targets).
    """

    task: str
    opponent: tuple[str, ...]
    pairs: int
    unpaired: int
    cost: Estimate
    per_target: tuple[Estimate, ...]
    quality: tuple[Estimate, ...]
    reached: tuple[int, ...]
    opponent_reached: tuple[int, ...]
    bad: int
    log_cost: NDArray[np.float64]
    log_quality: NDArray[np.float64]
    costs: NDArray[np.float64]
    opponent_costs: NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """A contender against an opponent over tasks.

    Attributes:
        tasks: those where both ran on a common seed.
        missing: names of tasks that one of them did not run on; they are in no figure.
    """

    contender: str
    opponent: str
    tasks: tuple[TaskComparison, ...]
    missing: tuple[str, ...]

    def cost(self, average: str = "median", resample_tasks: bool = False) -> Estimate:
        """Return the geometric mean of cost ratios over tasks and targets; needs at least one task."""
        return mean_ratio([t.log_cost for t in self.tasks], average, resample_tasks)

    def quality(self) -> Estimate:
        """Return the geometric mean over tasks of the ratio of qualities at the whole budget."""
        return mean_ratio([t.log_quality[:, [SHARES.index(1.0)]] for t in self.tasks])

    def middle(self) -> Estimate:
        """Return the interquartile mean of all cost ratios, every run of every task pooled."""
        return interquartile_mean([t.log_cost for t in self.tasks])

    def improvement(self) -> Estimate:
        """Return the probability of improvement in cost, mean over tasks and targets."""
        columns = range(len(TARGETS))
        return probability_of_improvement(
            [t.costs[:, c] for t in self.tasks for c in columns],
            [t.opponent_costs[:, c] for t in self.tasks for c in columns],
        )

    def worst(self) -> TaskComparison:
        """Return the task with the highest cost ratio."""
        return max(self.tasks, key=lambda t: t.cost.value)


def opponents(table: Table, task: Task, contender: str, opponent: str) -> tuple[str, ...] | None:
    """Return the names of the contenders that play the opponent: per target, then at the budget.

    Args:
        table: knows which contender holds n at which number, and which one matches which.
        task: knows its best fixed n.
        contender: whose opponents they are.
        opponent: :data:`BEST_FIXED`, :data:`OWN_MEAN`, or a contender's name.

    Returns:
        A tuple of len(TARGETS) + 1 names, or None where there is no such opponent on this task.
    """
    if opponent == BEST_FIXED:
        best = task.best_fixed_n
        return (
            None
            if best is None
            else tuple(table.suite.fixed(n).name for n in (best.early, best.late, best.budget))
        )
    if opponent == OWN_MEAN:
        own = [c.name for c in table.suite.contenders if c.kind == "matched" and c.matches == contender]
        return (own[0],) * (len(TARGETS) + 1) if own else None
    return (table.suite.contender(opponent).name,) * (len(TARGETS) + 1)


def compare(table: Table, contender: str, opponent: str, tasks: Iterable[Task]) -> Comparison:
    """Compare a contender with an opponent on tasks, by paired seeds.

    Args:
        table: scores of one seed role.
        contender: a contender's name.
        opponent: :data:`BEST_FIXED`, :data:`OWN_MEAN`, or a contender's name.
        tasks: with targets; those where one of the two has no run, or no seed in common, are listed as
            missing.
    """
    table.suite.contender(contender)
    found: list[TaskComparison] = []
    missing: list[str] = []
    for task in tasks:
        names = opponents(table, task, contender, opponent)
        mine = table.get(task.name, contender)
        theirs = [table.get(task.name, name) for name in names or ()]
        others = [scores for scores in theirs if scores is not None]
        if task.targets is None or mine is None or names is None or len(others) != len(names):
            missing.append(task.name)
            continue
        shared = sorted(set(mine.seeds.tolist()).intersection(*(o.seeds.tolist() for o in others)))
        if not shared:
            missing.append(task.name)
            continue
        everyone = set(mine.seeds.tolist()).union(*(o.seeds.tolist() for o in others))
        found.append(
            _on_task(
                task, names, mine.at(shared), [o.at(shared) for o in others], len(everyone - set(shared))
            )
        )
    return Comparison(contender, opponent, tuple(found), tuple(missing))


def _on_task(
    task: Task, names: tuple[str, ...], mine: Scores, theirs: list[Scores], unpaired: int
) -> TaskComparison:
    columns = range(len(TARGETS))
    opponent_costs = np.stack([theirs[c].cost[:, c] for c in columns], axis=1)
    log_cost = log_ratio(mine.cost, opponent_costs)
    log_quality = log_ratio(mine.quality, theirs[-1].quality)
    return TaskComparison(
        task=task.name,
        opponent=names,
        pairs=len(mine.seeds),
        unpaired=unpaired,
        cost=task_estimate(log_cost),
        per_target=tuple(task_estimate(log_cost[:, [c]]) for c in columns),
        quality=tuple(task_estimate(log_quality[:, [c]]) for c in range(len(SHARES))),
        reached=tuple(int(mine.reached[:, c].sum()) for c in columns),
        opponent_reached=tuple(int(theirs[c].reached[:, c].sum()) for c in columns),
        bad=int(mine.bad.sum()),
        log_cost=log_cost,
        log_quality=log_quality,
        costs=mine.cost,
        opponent_costs=opponent_costs,
    )
