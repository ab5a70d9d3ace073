"""Goals figure by figure: what was aimed at, what was measured, and on which tasks it falls short."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from experiments.schema import TaskRecord
from experiments.statistics.comparison import Comparison, TaskComparison
from experiments.statistics.resampling import Estimate
from experiments.statistics.scores import SHARES, Table


@dataclass(frozen=True)
class Goal:
    """One goal and what came of it.

    Attributes:
        what: what is measured.
        target: what was aimed at, in words.
        figure: the figure and its interval; None where there is no result to compute it from.
        met: whether the target is met; None where there is no result.
        fell_short: names of the tasks on which it is not met (for a mean: tasks above the target on their
            own).
        tasks: number of tasks behind the figure.
        missing: names of the tasks without results for this goal.
        note: what a reader must know beside it, e.g. counts.
    """

    what: str
    target: str
    figure: Estimate | None
    met: bool | None
    fell_short: tuple[str, ...] = ()
    tasks: int = 0
    missing: tuple[str, ...] = ()
    note: str = ""


def goal(
    what: str,
    target: str,
    found: Comparison,
    build: Callable[[Sequence[TaskComparison]], tuple[Estimate, bool, list[str], str]],
) -> Goal:
    """Return a goal on one comparison; ``build`` gives figure, met, tasks that fall short, and note."""
    if not found.tasks:
        return Goal(what, target, None, None, missing=found.missing, note="no results")
    figure, met, short, note = build(found.tasks)
    return Goal(what, target, figure, met, tuple(short), len(found.tasks), found.missing, note)


def mean(what: str, found: Comparison, limit: float) -> Goal:
    """Return the goal that the geometric mean of cost ratios over tasks is at most ``limit``."""

    def build(tasks: Sequence[TaskComparison]) -> tuple[Estimate, bool, list[str], str]:
        figure, plain = found.cost(), found.cost("mean")
        wide = found.cost(resample_tasks=True)
        note = f"mean over seeds: {plain.value:.2f}; with tasks resampled too {span(wide)}"
        return figure, figure.value <= limit, [t.task for t in tasks if t.cost.value > limit], note

    return goal(what, f"<= {limit:.2f}", found, build)


def worst(what: str, found: Comparison, limit: float, end: str = "value") -> Goal:
    """Return the goal that no task's cost ratio is above ``limit``.

    Args:
        what: what is measured.
        found: the comparison.
        limit: a ratio.
        end: what is held against the limit: the "value", or the interval's "low" or "high" end.
    """

    def held(task: TaskComparison) -> float:
        # Without an interval (one seed) the figure itself has to stand in for its ends.
        return or_value(float(getattr(task.cost, end)), task.cost.value)

    def build(tasks: Sequence[TaskComparison]) -> tuple[Estimate, bool, list[str], str]:
        short = [t.task for t in tasks if not held(t) <= limit]
        highest = max(tasks, key=held)
        note = f"worst task: {highest.title}; geometric mean over tasks {found.cost().value:.2f}"
        return highest.cost, not short, short, note

    named = {"value": "<=", "low": "lower interval end <=", "high": "upper interval end <="}
    return goal(what, f"{named[end]} {limit:.2f}", found, build)


def quality(what: str, found: Comparison) -> Goal:
    """Return the goal that quality at the whole budget is nowhere shown to be more than 5 % worse."""
    whole = SHARES.index(1.0)

    def build(tasks: Sequence[TaskComparison]) -> tuple[Estimate, bool, list[str], str]:
        def upper(task: TaskComparison) -> float:
            return or_value(task.quality[whole].high, task.quality[whole].value)

        highest = max(tasks, key=upper)
        short = [t.task for t in tasks if not upper(t) <= 1.05]
        over = found.quality()
        note = f"worst task: {highest.title}; geometric mean of ratios {over.value:.2f} {span(over)}"
        return highest.quality[whole], not short, short, note

    return goal(what, "upper interval end <= 1.05 on every task", found, build)


def safety(
    what: str,
    table: Table,
    contender: str,
    tasks: Sequence[TaskRecord],
    kinds: Sequence[str] = ("fixed",),
    most: float = math.inf,
) -> Goal:
    """Return the goal that no more runs fall short than of the safest constant.

    Args:
        what: what is measured.
        table: scores of final seeds.
        contender: whose runs they are; each constant is counted on the very (task, seed) pairs that it ran too.
        tasks: those to count.
        kinds: of contenders that count as constants.
        most: share of the runs that may fall short.
    """
    noun = "constant" if "pair" in kinds else "fixed n"
    target = (f"<= {most:.0%}, and " if most < math.inf else "") + f"no more than the safest {noun}'s"
    mine = {t.name: s for t in tasks if t.targets is not None and (s := table.get(t.name, contender)) is not None}
    bad, total = sum(int(s.bad.sum()) for s in mine.values()), sum(len(s.seeds) for s in mine.values())
    fixed: dict[str, tuple[int, int, int]] = {}
    for other in (c.name for c in table.suite.contenders if c.kind in kinds):
        theirs = {name: s for name in mine if (s := table.get(name, other)) is not None}
        shared = {name: np.intersect1d(s.seeds, mine[name].seeds) for name, s in theirs.items()}
        # A constant that was run on a part of the tasks says nothing about the rest.
        if len(theirs) == len(mine) and all(len(seeds) for seeds in shared.values()):
            fixed[other] = (
                sum(int(theirs[name].at(seeds).bad.sum()) for name, seeds in shared.items()),
                sum(int(mine[name].at(seeds).bad.sum()) for name, seeds in shared.items()),
                sum(len(seeds) for seeds in shared.values()),
            )
    missing = tuple(t.name for t in tasks if t.name not in mine)
    if not total or not fixed:
        return Goal(what, target, None, None, missing=missing, note="no results")
    safest = min(fixed, key=lambda name: fixed[name][0] / fixed[name][2])
    theirs_bad, own_bad, count = fixed[safest]
    short = [name for name, s in mine.items() if s.bad.mean() > _share(table, name, safest)]
    note = f"{bad} of {total} runs; safest {noun}: {table.suite.contender(safest).title}, {theirs_bad} of {count}"
    if count != total:
        note += f"; on these {count}: {own_bad}"
    met = own_bad <= theirs_bad and bad <= most * total
    return Goal(what, target, Estimate(bad / total), met, tuple(short), len(mine), missing, note)


def _share(table: Table, task: str, contender: str) -> float:
    scores = table.get(task, contender)
    return math.nan if scores is None else float(scores.bad.mean())


def or_value(end: float, value: float) -> float:
    """Return the end of an interval, or the figure where there is no interval."""
    return value if math.isnan(end) else end


def span(estimate: Estimate) -> str:
    """Return an interval in brackets."""
    return "(no interval)" if math.isnan(estimate.low) else f"({estimate.low:.2f} to {estimate.high:.2f})"
