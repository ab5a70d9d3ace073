"""The verdict: what the project aims at, figure by figure, on evaluation tasks and final seeds."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatch

from experiments.schema import TaskRecord
from experiments.statistics import goals
from experiments.statistics.aggregates import share_of_tasks
from experiments.statistics.comparison import (
    BEST_FIXED,
    BEST_PAIR,
    OWN_MEAN,
    Comparison,
    TaskComparison,
    compare,
)
from experiments.statistics.goals import Goal
from experiments.statistics.resampling import Estimate
from experiments.statistics.scores import Table

AT_LIMIT = ("pinwheel-clipping", "published-*", "two-moons-fast-critic")
"""Tasks whose critic's rate is at its limit already, by pattern of the name."""

_PUBLISHED = "< 1 on at least 80 % of tasks"


def verdict(table: Table) -> list[Goal]:
    """Return all goals: of the law on rate and number where the suite has it, else of the laws on the number alone.

    Args:
        table: scores of final seeds. Tasks without targets or runs make no goal fail: they are listed as missing.
    """
    names = {contender.name for contender in table.suite.contenders}
    return effort_goals(table) if table.suite.effort in names else number_goals(table)


def effort_goals(table: Table) -> list[Goal]:
    """Return the goals of the law that sets the critic's rate and the number of its updates."""
    suite = table.suite
    tasks = [t for t in suite.tasks if t.suite == "evaluation"]
    names = {c.name for c in suite.contenders}
    effort, what = suite.effort, "cost against"
    best, pair = compare(table, effort, BEST_FIXED, tasks), compare(table, effort, BEST_PAIR, tasks)
    five = [c.name for c in suite.contenders if c.kind == "fixed" and c.steps == 5]
    at_limit = [t for t in tasks if any(fnmatch(t.name, pattern) for pattern in AT_LIMIT)]
    rows = [
        goals.mean(f"{what} the best fixed n at the task's rates, geometric mean", best, 0.42),
        goals.worst(f"{what} the best fixed n at the task's rates, worst task", best, 1.05, "high"),
        *(
            goals.mean(f"{what} n = 5 at the task's rates, geometric mean", compare(table, effort, n, tasks), 0.30)
            for n in five
        ),
        goals.mean(f"{what} the best constant pair of each task in hindsight, geometric mean", pair, 1.05),
        goals.worst(f"{what} the best constant pair of each task in hindsight, worst task", pair, 1.50),
        _every_constant(f"{what} every constant pair, one for all tasks, geometric mean", table, tasks),
    ]
    if suite.two_time_scales in names:
        ttur = compare(table, effort, suite.two_time_scales, tasks)
        rows.append(goals.mean(f"{what} {suite.contender(suite.two_time_scales).title}, geometric mean", ttur, 0.70))
    rows += [
        goals.safety(
            "runs that diverged, failed or never reached the late target", table, effort, tasks, ("fixed", "pair"), 0.02
        ),
        goals.quality("quality at equal cost against the best fixed n, worst task", best),
    ]
    if suite.gap in names:
        title = suite.contender(suite.gap).title
        found = compare(table, effort, suite.gap, at_limit)
        rows.append(goals.worst(f"{what} {title} where rates are at their limit already, worst task", found, 1.05))
    return rows


def _every_constant(what: str, table: Table, tasks: Sequence[TaskRecord]) -> Goal:
    """The ratio to the constant that comes closest, of those that ran wherever the contender did."""
    suite = table.suite
    ran = [t for t in tasks if t.targets is not None and table.get(t.name, suite.effort) is not None]
    found = [compare(table, suite.effort, c.name, ran) for c in suite.contenders if c.kind in ("fixed", "pair")]
    whole = [f for f in found if f.tasks and not f.missing]
    missing = tuple(t.name for t in tasks if t not in ran)
    if not whole:
        return Goal(what, "< 0.90", None, None, missing=missing, note="no results")
    closest = max(whole, key=lambda f: f.cost().value)
    figure = closest.cost()
    left_out = len(found) - len(whole)
    note = f"closest: {suite.contender(closest.opponent).title}, of {len(whole)} constants that ran on all these tasks"
    note += f"; {left_out} ran on a part of them or on none" if left_out else ""
    short = tuple(t.task for t in closest.tasks if not t.cost.value < 0.9)
    return Goal(what, "< 0.90", figure, figure.value < 0.9, short, len(ran), missing, note)


def number_goals(table: Table) -> list[Goal]:
    """Return the goals of the laws that set the number alone."""
    suite = table.suite
    tasks = [t for t in suite.tasks if t.suite == "evaluation"]
    titles = {c.name: c.title for c in suite.contenders}
    gap, ratio = suite.gap, suite.loss_ratio
    rows: list[Goal] = []
    if gap in titles:
        best = compare(table, gap, BEST_FIXED, tasks)
        own = compare(table, gap, OWN_MEAN, tasks)
        rows += [
            goals.mean(
                f"{titles[gap]}: cost against the best fixed n, geometric mean over tasks and both targets",
                best,
                0.90,
            ),
            goals.worst(f"{titles[gap]}: cost against the best fixed n, worst task", best, 1.10, "low"),
        ]
        five = [c.name for c in suite.contenders if c.kind == "fixed" and c.steps == 5]
        rows += [
            goals.mean(f"{titles[gap]}: cost against n = 5, geometric mean", compare(table, gap, n, tasks), 0.55)
            for n in five
        ]
        if suite.reference in titles:
            reference = compare(table, gap, suite.reference, tasks)
            rows.append(
                goals.mean(f"{titles[gap]}: cost against the WGAN reference schedule, geometric mean", reference, 0.25)
            )
        rows += _all_published(table, gap, tasks)
        rows += [
            _own_mean(
                f"{titles[gap]}: cost against its own mean n held fixed, share of tasks with an interval below 1", own
            ),
            goals.quality(f"{titles[gap]}: quality at equal cost against the best fixed n, worst task", best),
            goals.safety(
                f"{titles[gap]}: runs that diverged, failed or never reached the late target", table, gap, tasks
            ),
        ]
    if ratio in titles:
        suited = [t for t in tasks if t.objective != "wasserstein"]
        found = compare(table, ratio, BEST_FIXED, suited)
        rows.append(
            goals.mean(
                f"{titles[ratio]}: cost against the best fixed n on objectives with a loss ratio, geometric mean",
                found,
                1.10,
            )
        )
    return rows


def _all_published(table: Table, contender: str, tasks: Sequence[TaskRecord]) -> list[Goal]:
    """One row per published rule that ran on any of the tasks, and one that names those that did not."""
    suite = table.suite
    published = [c for c in suite.contenders if c.kind == "published"]
    found = [(c, compare(table, contender, c.name, tasks)) for c in published]
    title = suite.contender(contender).title
    rows = [_published(f"{title}: cost against {c.title}, share of tasks below 1", f) for c, f in found if f.tasks]
    if absent := [c.title for c, f in found if not f.tasks]:
        what = f"{title}: cost against rules without runs on evaluation tasks: {', '.join(absent)}"
        rows.append(Goal(what, _PUBLISHED, None, None, missing=tuple(t.name for t in tasks), note="no results"))
    return rows


def _published(what: str, found: Comparison) -> Goal:
    def build(tasks: Sequence[TaskComparison]) -> tuple[Estimate, bool, list[str], str]:
        share = share_of_tasks([t.log_cost for t in tasks])
        over = found.cost()
        short = [t.task for t in tasks if not t.cost.value < 1]
        return share, share.value >= 0.8, short, f"geometric mean of ratios {over.value:.2f} {goals.span(over)}"

    return goals.goal(what, _PUBLISHED, found, build)


def _own_mean(what: str, found: Comparison) -> Goal:
    def build(tasks: Sequence[TaskComparison]) -> tuple[Estimate, bool, list[str], str]:
        short = [t.task for t in tasks if not t.cost.high < 1]
        over = found.cost()
        share = Estimate(1 - len(short) / len(tasks))
        lost = [t.task for t in tasks if t.cost.low > 1]
        note = f"geometric mean of ratios {over.value:.2f} {goals.span(over)}; interval above 1 on {len(lost)}"
        return share, share.value >= 0.5, short, note

    return goals.goal(what, "interval below 1 on at least half of the tasks", found, build)
