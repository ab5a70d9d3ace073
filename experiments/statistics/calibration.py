"""What is fixed on tuning seeds before any final seed is looked at: targets and the best fixed n."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from experiments.schema import TARGETS, BestFixed, Results, Run, TaskRecord
from experiments.statistics.scores import SHARES, Scores, score_runs

FACTORS: Mapping[str, float] = {"early": 2.5, "late": 1.25}
"""Targets as multiples of the best fixed n's median quality at the whole budget."""


def calibrate(results: Results, task: TaskRecord) -> TaskRecord:
    """Return the task with targets and best fixed n, from its tuning seeds alone.

    The best fixed n at the whole budget has the lowest median quality there; the targets are multiples of
    that quality (:data:`FACTORS`). The best fixed n for a target has the lowest median cost to it: it may
    be another one for the early than for the late target, which makes it the hardest opponent. Ties go to
    the lower mean cost, then to the smaller n.

    Args:
        results: must hold runs on tuning seeds of every fixed contender of the suite.
        task: one of the suite's tasks.

    Raises:
        ValueError: a fixed contender has no run on tuning seeds, other seeds than the rest, or none has a
        finite
            quality at the budget.
    """
    grouped: dict[int, list[Run]] = defaultdict(list)
    steps = {c.name: c.steps for c in results.suite.contenders if c.kind == "fixed" and c.steps is not None}
    for run in results.runs:
        if (run.config.task, run.config.seed_role) == (task.name, "tuning") and run.config.contender in steps:
            grouped[steps[run.config.contender]].append(run)
    seeds = {n: sorted(run.config.seed for run in grouped[n]) for n in sorted(steps.values())}
    if not seeds or not all(seeds.values()) or len(set(map(tuple, seeds.values()))) != 1:
        raise ValueError(f"{task.name}: every fixed n needs runs on the same tuning seeds, got (n: seeds) {seeds}")
    whole = SHARES.index(1.0)
    quality = {n: float(np.median(score_runs(runs, task).quality[:, whole])) for n, runs in grouped.items()}
    best = min(quality, key=lambda n: (quality[n], n))
    if not np.isfinite(quality[best]):
        raise ValueError(f"{task.name}: no fixed n has a finite median quality at the budget on tuning seeds {seeds}")
    aimed = dataclasses.replace(task, targets={name: FACTORS[name] * quality[best] for name in TARGETS})
    scores = {n: score_runs(runs, aimed) for n, runs in grouped.items()}
    cheapest = {name: _cheapest(scores, column) for column, name in enumerate(TARGETS)}
    return dataclasses.replace(aimed, best_fixed_n=BestFixed(budget=best, **cheapest))


def _cheapest(scores: Mapping[int, Scores], column: int) -> int:
    def order(n: int) -> tuple[float, float, int]:
        cost = scores[n].cost[:, column]
        return float(np.median(cost)), float(np.mean(cost)), n

    return min(scores, key=order)
