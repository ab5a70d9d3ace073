"""The verdict: what the project aims at, figure by figure, on evaluation tasks and final seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from experiments.schema import TaskRecord
from experiments.statistics.aggregates import share_of_tasks
from experiments.statistics.comparison import BEST_FIXED, OWN_MEAN, Comparison, TaskComparison, compare
from experiments.statistics.resampling import Estimate
from experiments.statistics.scores import SHARES, Table

_PUBLISHED = "< 1 on at least 80 % of tasks"


@dataclass(frozen=True)
class VerdictRow:
    """One row of the verdict.

    Attributes:
        what: what is measured.
        target: what was aimed at, in words.
        figure: the figure and its interval; None where there is no result to compute it from.
        met: whether the target is met; None where there is no result.
        fell_short: names of the tasks on which it is not met (for a mean: tasks above the target on their
            own).
        tasks: number of tasks behind the figure.
        missing: names of the tasks without results for this row.
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


def verdict(table: Table) -> list[VerdictRow]:
    """Return all rows of the verdict.

    Args:
        table: scores of final seeds. Tasks without targets or runs make no row fail: they are listed as
            missing.
    """
    suite = table.suite
    tasks = [t for t in suite.tasks if t.suite == "evaluation"]
    titles = {c.name: c.title for c in suite.contenders}
    gap, ratio = suite.gap, suite.loss_ratio
    rows: list[VerdictRow] = []
    if gap in titles:
        best = compare(table, gap, BEST_FIXED, tasks)
        own = compare(table, gap, OWN_MEAN, tasks)
        rows += [
            _mean(
                f"{titles[gap]}: cost against the best fixed n, geometric mean over tasks and both targets",
                best,
                0.90,
            ),
            _worst(f"{titles[gap]}: cost against the best fixed n, worst task", best, 1.10),
        ]
        five = [c.name for c in suite.contenders if c.kind == "fixed" and c.steps == 5]
        rows += [
            _mean(f"{titles[gap]}: cost against n = 5, geometric mean", compare(table, gap, n, tasks), 0.55)
            for n in five
        ]
        if suite.reference in titles:
            reference = compare(table, gap, suite.reference, tasks)
            rows.append(
                _mean(f"{titles[gap]}: cost against the WGAN reference schedule, geometric mean", reference, 0.25)
            )
        rows += _all_published(table, gap, tasks)
        rows += [
            _own_mean(
                f"{titles[gap]}: cost against its own mean n held fixed, share of tasks with an interval below 1", own
            ),
            _quality(f"{titles[gap]}: quality at equal cost against the best fixed n, worst task", best),
            _safety(f"{titles[gap]}: runs that diverged, failed or never reached the late target", table, gap, tasks),
        ]
    if ratio in titles:
        suited = [t for t in tasks if t.objective != "wasserstein"]
        found = compare(table, ratio, BEST_FIXED, suited)
        rows.append(
            _mean(
                f"{titles[ratio]}: cost against the best fixed n on objectives with a loss ratio, geometric mean",
                found,
                1.10,
            )
        )
    return rows


def _row(
    what: str,
    target: str,
    found: Comparison,
    build: Callable[[Sequence[TaskComparison]], tuple[Estimate, bool, list[str], str]],
) -> VerdictRow:
    if not found.tasks:
        return VerdictRow(what, target, None, None, missing=found.missing, note="no results")
    figure, met, short, note = build(found.tasks)
    return VerdictRow(what, target, figure, met, tuple(short), len(found.tasks), found.missing, note)


def _mean(what: str, found: Comparison, limit: float) -> VerdictRow:
    def build(tasks: Sequence[TaskComparison]) -> tuple[Estimate, bool, list[str], str]:
        figure, plain = found.cost(), found.cost("mean")
        wide = found.cost(resample_tasks=True)
        note = f"mean over seeds: {plain.value:.2f}; with tasks resampled too {_span(wide)}"
        return figure, figure.value <= limit, [t.task for t in tasks if t.cost.value > limit], note

    return _row(what, f"<= {limit:.2f}", found, build)


def _worst(what: str, found: Comparison, limit: float) -> VerdictRow:
    def build(tasks: Sequence[TaskComparison]) -> tuple[Estimate, bool, list[str], str]:
        # Without an interval (one seed) the figure itself has to stand in for its lower end.
        short = [t.task for t in tasks if not _or_value(t.cost.low, t.cost.value) <= limit]
        return found.worst().cost, not short, short, f"worst task: {found.worst().title}"

    return _row(what, f"lower interval end <= {limit:.2f}", found, build)


def _all_published(table: Table, contender: str, tasks: Sequence[TaskRecord]) -> list[VerdictRow]:
    """One row per published rule that ran on any of the tasks, and one that names those that did not."""
    suite = table.suite
    published = [c for c in suite.contenders if c.kind == "published"]
    found = [(c, compare(table, contender, c.name, tasks)) for c in published]
    title = suite.contender(contender).title
    rows = [_published(f"{title}: cost against {c.title}, share of tasks below 1", f) for c, f in found if f.tasks]
    if absent := [c.title for c, f in found if not f.tasks]:
        what = f"{title}: cost against rules without runs on evaluation tasks: {', '.join(absent)}"
        rows.append(VerdictRow(what, _PUBLISHED, None, None, missing=tuple(t.name for t in tasks), note="no results"))
    return rows


def _published(what: str, found: Comparison) -> VerdictRow:
    def build(tasks: Sequence[TaskComparison]) -> tuple[Estimate, bool, list[str], str]:
        share = share_of_tasks([t.log_cost for t in tasks])
        mean = found.cost()
        short = [t.task for t in tasks if not t.cost.value < 1]
        return share, share.value >= 0.8, short, f"geometric mean of ratios {mean.value:.2f} {_span(mean)}"

    return _row(what, _PUBLISHED, found, build)


def _own_mean(what: str, found: Comparison) -> VerdictRow:
    def build(tasks: Sequence[TaskComparison]) -> tuple[Estimate, bool, list[str], str]:
        short = [t.task for t in tasks if not t.cost.high < 1]
        mean = found.cost()
        share = Estimate(1 - len(short) / len(tasks))
        lost = [t.task for t in tasks if t.cost.low > 1]
        note = f"geometric mean of ratios {mean.value:.2f} {_span(mean)}; interval above 1 on {len(lost)}"
        return share, share.value >= 0.5, short, note

    return _row(what, "interval below 1 on at least half of the tasks", found, build)


def _quality(what: str, found: Comparison) -> VerdictRow:
    whole = SHARES.index(1.0)

    def build(tasks: Sequence[TaskComparison]) -> tuple[Estimate, bool, list[str], str]:
        def upper(task: TaskComparison) -> float:
            return _or_value(task.quality[whole].high, task.quality[whole].value)

        worst = max(tasks, key=upper)
        short = [t.task for t in tasks if not upper(t) <= 1.05]
        mean = found.quality()
        note = f"worst task: {worst.title}; geometric mean of ratios {mean.value:.2f} {_span(mean)}"
        return worst.quality[whole], not short, short, note

    return _row(what, "upper interval end <= 1.05 on every task", found, build)


def _safety(what: str, table: Table, contender: str, tasks: Sequence[TaskRecord]) -> VerdictRow:
    """Shares of bad runs, each fixed n counted on the very (task, seed) pairs that the contender ran too."""
    target = "no more than the safest fixed n's"
    mine = {t.name: s for t in tasks if t.targets is not None and (s := table.get(t.name, contender)) is not None}
    bad, total = sum(int(s.bad.sum()) for s in mine.values()), sum(len(s.seeds) for s in mine.values())
    fixed: dict[str, tuple[int, int, int]] = {}
    for other in (c.name for c in table.suite.contenders if c.kind == "fixed"):
        theirs = {name: s for name in mine if (s := table.get(name, other)) is not None}
        shared = {name: np.intersect1d(s.seeds, mine[name].seeds) for name, s in theirs.items()}
        # A fixed n that was run on a part of the tasks says nothing about the rest.
        if len(theirs) == len(mine) and all(len(seeds) for seeds in shared.values()):
            fixed[other] = (
                sum(int(theirs[name].at(seeds).bad.sum()) for name, seeds in shared.items()),
                sum(int(mine[name].at(seeds).bad.sum()) for name, seeds in shared.items()),
                sum(len(seeds) for seeds in shared.values()),
            )
    missing = tuple(t.name for t in tasks if t.name not in mine)
    if not total or not fixed:
        return VerdictRow(what, target, None, None, missing=missing, note="no results")
    safest = min(fixed, key=lambda name: fixed[name][0] / fixed[name][2])
    theirs_bad, own_bad, count = fixed[safest]
    short = [name for name, s in mine.items() if s.bad.mean() > _share(table, name, safest)]
    note = f"{bad} of {total} runs; safest fixed n: {table.suite.contender(safest).title}, {theirs_bad} of {count}"
    if count != total:
        note += f"; on these {count}: {own_bad}"
    return VerdictRow(
        what, target, Estimate(bad / total), own_bad <= theirs_bad, tuple(short), len(mine), missing, note
    )


def _share(table: Table, task: str, contender: str) -> float:
    scores = table.get(task, contender)
    return math.nan if scores is None else float(scores.bad.mean())


def _or_value(end: float, value: float) -> float:
    return value if math.isnan(end) else end


def _span(estimate: Estimate) -> str:
    return "(no interval)" if math.isnan(estimate.low) else f"({estimate.low:.2f} to {estimate.high:.2f})"
