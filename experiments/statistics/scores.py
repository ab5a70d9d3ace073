"""All runs of one seed role as arrays, task by task and contender by contender."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from experiments.schema import TARGETS, Results, Run, Suite, TaskRecord
from experiments.statistics.measures import UNREACHED, cost_to_target, quality_at_cost

SHARES = (0.25, 0.5, 1.0)
"""Shares of the budget at which quality is compared."""


@dataclass(frozen=True)
class Scores:
    """Runs of one contender on one task, ordered by seed.

    Attributes:
        seeds: (runs,).
        cost: (runs, targets), cost to each target of :data:`experiments.schema.TARGETS`, in generator
            updates; NaN where the task has no targets yet.
        reached: (runs, targets), whether it was reached; False counts as twice the budget in ``cost``.
        quality: (runs, shares), quality at each share of the budget in :data:`SHARES`.
        failed: (runs,), ended by an exception.
        diverged: (runs,), called diverged by the guard or the task.
        mean_n: (runs,), critic updates per iteration.
    """

    seeds: NDArray[np.int64]
    cost: NDArray[np.float64]
    reached: NDArray[np.bool_]
    quality: NDArray[np.float64]
    failed: NDArray[np.bool_]
    diverged: NDArray[np.bool_]
    mean_n: NDArray[np.float64]

    @property
    def bad(self) -> NDArray[np.bool_]:
        """(runs,), diverged, failed, or never reached the late target (which lies below the early one)."""
        missed: NDArray[np.bool_] = self.failed | self.diverged | ~self.reached[:, TARGETS.index("late")]
        return missed

    def at(self, seeds: Sequence[int] | NDArray[np.int64]) -> Scores:
        """Return the runs of these seeds alone, in this order; each must be there."""
        where = {int(seed): row for row, seed in enumerate(self.seeds)}
        if unknown := [int(seed) for seed in seeds if int(seed) not in where]:
            raise ValueError(f"no runs of seeds {unknown}; there are {sorted(where)}")
        rows = np.array([where[int(seed)] for seed in seeds], dtype=np.int64)
        return Scores(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Table:
    """Scores of all runs of one seed role."""

    suite: Suite
    role: str
    scores: dict[tuple[str, str], Scores]

    @classmethod
    def of(cls, results: Results, role: str = "final") -> Table:
        """Score all runs of a seed role, "final" or "tuning", as :func:`runs_of` picks them."""
        grouped = runs_of(results, role)
        scores = {key: score_runs(runs, results.suite.task(key[0])) for key, runs in sorted(grouped.items())}
        return cls(results.suite, role, scores)

    def get(self, task: str, contender: str) -> Scores | None:
        """Return the scores, or None where this contender has no run on this task."""
        return self.scores.get((task, contender))

    def contenders(self, tasks: Iterable[str]) -> list[str]:
        """Return the contenders, in the suite's order, that have a run on every one of these tasks."""
        wanted = list(tasks)
        return [c.name for c in self.suite.contenders if wanted and all((t, c.name) in self.scores for t in wanted)]

    def tasks(self, suite: str) -> list[TaskRecord]:
        """Return the tasks of a suite ("evaluation" or "development") that have targets and any run."""
        ran = {task for task, _ in self.scores}
        return [t for t in self.suite.tasks if t.suite == suite and t.targets is not None and t.name in ran]


def averaged_generator(results: Results) -> Results:
    """Return the results with the averaged generator's quality in place of the live one's.

    Runs that judged no averaged generator are left out. One without any finite quality of either is kept: it is the
    worst there is with both.
    """
    judged = [run for run in results.runs if np.isfinite(run.curve.ema_quality).any()]
    broken = [run for run in results.runs if judged and not np.isfinite(run.curve.quality).any()]
    runs = [replace(run, curve=replace(run.curve, quality=run.curve.ema_quality)) for run in (*judged, *broken)]
    return replace(results, runs=tuple(runs))


def runs_of(results: Results, role: str = "final") -> dict[tuple[str, str], list[Run]]:
    """Return the runs of a seed role by (task, contender).

    A development task without any run on final seeds gives its tuning runs instead: laws were tuned on it, so it is
    in no headline and has no use for seeds that nobody has seen. An evaluation task never does.
    """
    final = {run.config.task for run in results.runs if run.config.seed_role == "final"}
    found: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in results.runs:
        instead = run.config.suite == "development" and run.config.task not in final and role == "final"
        if run.config.seed_role == role or instead:
            found[run.config.task, run.config.contender].append(run)
    return dict(found)


def score_runs(runs: Iterable[Run], task: TaskRecord) -> Scores:
    """Score the runs of one contender on one task.

    Args:
        runs: at least one, each of another seed.
        task: without targets, costs are NaN and nothing counts as reached.
    """
    ordered = sorted(runs, key=lambda run: run.config.seed)
    cost = np.full((len(ordered), len(TARGETS)), np.nan)
    reached = np.zeros((len(ordered), len(TARGETS)), dtype=np.bool_)
    for row, run in enumerate(ordered):
        for column, name in enumerate(TARGETS):
            if task.targets is not None:
                cost[row, column], reached[row, column] = cost_to_target(
                    run.curve.cost, run.curve.quality, task.targets[name], run.cost.budget
                )
    quality = [
        [quality_at_cost(r.curve.cost, r.curve.quality, s * r.cost.budget, r.cost.grid) for s in SHARES]
        for r in ordered
    ]
    return Scores(
        seeds=np.array([run.config.seed for run in ordered], dtype=np.int64),
        cost=cost,
        reached=reached,
        quality=np.array(quality, dtype=np.float64).reshape(len(ordered), len(SHARES)),
        failed=np.array([run.status == "failed" for run in ordered], dtype=np.bool_),
        diverged=np.array([run.diverged for run in ordered], dtype=np.bool_),
        mean_n=np.array([run.summary.mean_n for run in ordered], dtype=np.float64),
    )


__all__ = ["SHARES", "UNREACHED", "Scores", "Table", "averaged_generator", "runs_of", "score_runs"]
