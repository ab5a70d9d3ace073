"""What is fixed on tuning seeds before any final seed is looked at: targets, the best fixed n, the best pairs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from experiments.schema import TARGETS, BestFixed, BestPair, Results, Run, TaskRecord
from experiments.statistics.scores import SHARES, Scores, score_runs

FACTORS: Mapping[str, float] = {"early": 2.5, "late": 1.25}
"""Targets as multiples of the best fixed n's median quality at the whole budget."""


def calibrate(results: Results, task: TaskRecord) -> TaskRecord:
    """Return the task with targets, best fixed n and best pair, from its tuning seeds alone.

    The best fixed n at the whole budget has the lowest median quality there; the targets are multiples of
    that quality (:data:`FACTORS`). The best fixed n for a target has the lowest median cost to it: it may
    be another one for the early than for the late target, which makes it the hardest opponent. Ties go to
    the lower mean cost, then to the smaller n. The best pair is picked alike among all constants, fixed n (the rate
    times 1) included; pairs that were not run on this task are left out.

    Args:
        results: must hold runs on tuning seeds of every fixed contender of the suite; without pairs there is no
            best one.
        task: one of the suite's tasks.

    Raises:
        ValueError: a fixed contender has no run on tuning seeds, one of them or a pair has other seeds than the rest,
            or no fixed n has a finite quality at the budget.
    """
    fixed = {c.name: c.steps for c in results.suite.contenders if c.kind == "fixed" and c.steps is not None}
    names = sorted(fixed, key=fixed.__getitem__)
    runs = _tuning_runs(results, task, names)
    if not _complete(runs):
        raise ValueError(f"{task.name}: every fixed n needs runs on the same tuning seeds, got {_seeds(runs)}")
    quality = {name: _quality(score_runs(runs[name], task)) for name in names}
    best = min(quality.values())
    if not np.isfinite(best):
        raise ValueError(
            f"{task.name}: no fixed n has a finite median quality at the budget on tuning seeds {_seeds(runs)}"
        )
    aimed = dataclasses.replace(task, targets={name: FACTORS[name] * best for name in TARGETS})
    among_fixed = {figure: fixed[name] for figure, name in _best(runs, aimed).items()}
    aimed = dataclasses.replace(aimed, best_fixed_n=BestFixed(**among_fixed), best_pair=None)
    pairs = [c.name for c in results.suite.contenders if c.kind == "pair"]
    ran = {name: its for name, its in _tuning_runs(results, task, pairs).items() if its}
    if not ran:
        return aimed
    runs |= ran
    if not _complete(runs):
        raise ValueError(f"{task.name}: pairs need the tuning seeds of every fixed n, got {_seeds(runs)}")
    return dataclasses.replace(aimed, best_pair=BestPair(**_best(runs, aimed)))


def best_pairs(results: Results, count: int = 3) -> tuple[str, ...]:
    """Return the pairs that are the best over all tasks, from tuning seeds alone; the best one first.

    A pair is judged by the mean, over tasks and targets, of the logarithm of its median cost. What it is compared with
    on a task does not matter: it is the same for all pairs.

    Args:
        results: tasks on which not all pairs have runs are left out.
        count: how many.
    """
    pairs = [c.name for c in results.suite.contenders if c.kind == "pair"]
    sums = dict.fromkeys(pairs, 0.0)
    tasks = [(task, _tuning_runs(results, task, pairs)) for task in results.suite.tasks if task.best_pair is not None]
    whole = [(task, runs) for task, runs in tasks if all(runs.values())]
    for task, runs in whole:
        for name, its in runs.items():
            sums[name] += float(np.log(np.median(score_runs(its, task).cost, axis=0)).mean())
    return tuple(sorted(pairs, key=sums.__getitem__)[:count]) if whole else ()


def _tuning_runs(results: Results, task: TaskRecord, names: Sequence[str]) -> dict[str, list[Run]]:
    found: dict[str, list[Run]] = {name: [] for name in names}
    for run in results.runs:
        if (run.config.task, run.config.seed_role) == (task.name, "tuning") and run.config.contender in found:
            found[run.config.contender].append(run)
    return found


def _seeds(runs: Mapping[str, Sequence[Run]]) -> str:
    return ", ".join(f"{name}: {sorted(run.config.seed for run in its)}" for name, its in runs.items()) or "none"


def _complete(runs: Mapping[str, Sequence[Run]]) -> bool:
    """Whether each contender has runs, and all have them on the same seeds."""
    seeds = {tuple(sorted(run.config.seed for run in its)) for its in runs.values()}
    return len(seeds) == 1 and () not in seeds


def _quality(scores: Scores) -> float:
    return float(np.median(scores.quality[:, SHARES.index(1.0)]))


def _best(runs: Mapping[str, Sequence[Run]], task: TaskRecord) -> dict[str, str]:
    """The best contender by quality at the budget and by cost to each target; ties go to the one that comes first."""
    scores = {name: score_runs(its, task) for name, its in runs.items()}
    found = {"budget": min(scores, key=lambda name: _quality(scores[name]))}
    for column, target in enumerate(TARGETS):
        cost = {name: each.cost[:, column] for name, each in scores.items()}
        found[target] = min(cost, key=lambda name: (float(np.median(cost[name])), float(np.mean(cost[name]))))
    return found
