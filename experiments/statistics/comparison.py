"""One contender against one opponent, task by task and over all tasks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from experiments.schema import TARGETS, TaskRecord
from experiments.statistics.aggregates import mean_ratio, mean_ratios, task_estimate
from experiments.statistics.resampling import Estimate, log_ratio
from experiments.statistics.robust import interquartile_mean, median_task, probability_of_improvement
from experiments.statistics.scores import SHARES, Scores, Table

BEST_FIXED = "best fixed n"
"""Opponent: the fixed n that was best on the task's tuning seeds, per target and at the budget."""

BEST_PAIR = "best constant pair"
"""Opponent: the constant n and critic's rate that were best on tuning seeds, per target and at the budget."""

OWN_MEAN = "own mean n"
"""Opponent: the contender's own mean n (and mean rate) of the same task and seed, held by error-diffused rounding."""


@dataclass(frozen=True)
class TaskComparison:
    """A contender against an opponent on one task; ratios below 1 are wins.

    Attributes:
        task: its name.
        title: its title.
        opponent: contender names per target, then at the budget (they differ where the best fixed n does).
        unpaired: number of seeds that one of the two lacks; they are left out.
        mine: the contender's runs, by the seeds that both have.
        theirs: the opponent's runs of the same seeds, per target, then at the budget.
    """

    task: str
    title: str
    opponent: tuple[str, ...]
    unpaired: int
    mine: Scores
    theirs: tuple[Scores, ...]

    @property
    def pairs(self) -> int:
        """Number of seeds that both have."""
        return len(self.mine.seeds)

    @cached_property
    def opponent_costs(self) -> NDArray[np.float64]:
        """(pairs, targets), the opponent's cost to each target."""
        return np.stack([scores.cost[:, c] for c, scores in enumerate(self.theirs[:-1])], axis=1)

    @cached_property
    def log_cost(self) -> NDArray[np.float64]:
        """(pairs, targets), logs of the ratios of costs."""
        return log_ratio(self.mine.cost, self.opponent_costs)

    @cached_property
    def log_quality(self) -> NDArray[np.float64]:
        """(pairs, shares), logs of the ratios of qualities at each of SHARES of the budget."""
        return log_ratio(self.mine.quality, self.theirs[-1].quality)

    @cached_property
    def cost(self) -> Estimate:
        """Paired ratio of costs over both targets."""
        return task_estimate(self.log_cost)

    @cached_property
    def per_target(self) -> tuple[Estimate, ...]:
        """Paired ratio of costs to each of TARGETS."""
        return mean_ratios([self.log_cost], [[c] for c in range(len(TARGETS))])

    @cached_property
    def quality(self) -> tuple[Estimate, ...]:
        """Paired ratio of qualities at each of SHARES of the budget."""
        return mean_ratios([self.log_quality], [[c] for c in range(len(SHARES))])

    @cached_property
    def log_ratios(self) -> NDArray[np.float64]:
        """(pairs, targets + shares), ``log_cost`` and ``log_quality`` side by side."""
        return np.hstack([self.log_cost, self.log_quality])

    @property
    def whole(self) -> Estimate:
        """Paired ratio of qualities at the whole budget."""
        return self.quality[SHARES.index(1.0)]

    @property
    def reached(self) -> tuple[int, ...]:
        """Number of the contender's runs that reached each of TARGETS."""
        return tuple(int(n) for n in self.mine.reached.sum(axis=0))

    @property
    def opponent_reached(self) -> tuple[int, ...]:
        """Number of the opponent's runs that reached each of TARGETS."""
        return tuple(int(scores.reached[:, c].sum()) for c, scores in enumerate(self.theirs[:-1]))


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
        """Return the interquartile mean of all cost ratios: every run and target of every task pooled."""
        return interquartile_mean([t.log_cost for t in self.tasks])

    def median(self) -> Estimate:
        """Return the median over tasks of their cost ratios over both targets."""
        return median_task([t.log_cost for t in self.tasks])

    def improvement(self) -> Estimate:
        """Return the probability of improvement in cost, mean over targets and tasks."""
        return probability_of_improvement([t.mine.cost for t in self.tasks], [t.opponent_costs for t in self.tasks])

    def worst(self) -> TaskComparison:
        """Return the task with the highest cost ratio."""
        return max(self.tasks, key=lambda t: t.cost.value)


def opponents(table: Table, task: TaskRecord, contender: str, opponent: str) -> tuple[str, ...] | None:
    """Return the names of the contenders that play the opponent: per target, then at the budget.

    Args:
        table: knows which contender holds n at which number, and which one matches which.
        task: knows its best fixed n.
        contender: whose opponents they are.
        opponent: :data:`BEST_FIXED`, :data:`BEST_PAIR`, :data:`OWN_MEAN`, or a contender's name.

    Returns:
        A tuple of len(TARGETS) + 1 names, or None where there is no such opponent on this task.
    """
    if opponent == BEST_FIXED:
        best = task.best_fixed_n
        return None if best is None else tuple(table.suite.fixed(n).name for n in (best.early, best.late, best.budget))
    if opponent == BEST_PAIR:
        pair = task.best_pair
        return None if pair is None else (pair.early, pair.late, pair.budget)
    if opponent == OWN_MEAN:
        own = [c.name for c in table.suite.contenders if c.kind == "matched" and c.matches == contender]
        return (own[0],) * (len(TARGETS) + 1) if own else None
    return (table.suite.contender(opponent).name,) * (len(TARGETS) + 1)


def compare(table: Table, contender: str, opponent: str, tasks: Iterable[TaskRecord]) -> Comparison:
    """Compare a contender with an opponent on tasks, by paired seeds.

    Args:
        table: scores of one seed role.
        contender: a contender's name.
        opponent: :data:`BEST_FIXED`, :data:`BEST_PAIR`, :data:`OWN_MEAN`, or a contender's name.
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
            TaskComparison(
                task=task.name,
                title=task.title,
                opponent=names,
                unpaired=len(everyone - set(shared)),
                mine=mine.at(shared),
                theirs=tuple(scores.at(shared) for scores in others),
            )
        )
    return Comparison(contender, opponent, tuple(found), tuple(missing))
