"""Runs candidates on problems, keeps every run's quality, and scores cost to target."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments.law_search.candidates import FIXED, Candidate
from experiments.law_search.judging import cost_grid
from experiments.law_search.problems import Problem
from experiments.law_search.record import Run
from experiments.law_search.trainer import Trainer

SEEDS = (1, 2, 3, 4)


class Store:
    """Quality curves and signals of all runs so far, one JSON file per problem, by candidate."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def load(self, problem: str) -> dict[str, Any]:
        """Return what is stored of a problem."""
        path = self.folder / f"{problem}.json"
        out: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return out

    def add(self, problem: str, runs: Sequence[Run]) -> None:
        """Add runs of a problem, replacing candidates of the same name."""
        stored = self.load(problem)
        for name in dict.fromkeys(run.candidate for run in runs):
            mine = [run for run in runs if run.candidate == name]
            stored[name] = {
                "quality": [[round(q, 5) for q in run.quality] for run in mine],
                "signals": [[[float(f"{v:.4g}") for v in segment] for segment in run.signals] for run in mine],
                "n": [_n_on_grid(run, len(run.quality)) for run in mine],
            }
        (self.folder / f"{problem}.json").write_text(json.dumps(stored))


def _n_on_grid(run: Run, points: int) -> list[float]:
    """Mean n in each of ten equal parts of the run's cost."""
    if not run.costs:
        return []
    costs, steps = np.array(run.costs), np.array(run.steps[: len(run.costs)], dtype=float)
    edges = np.linspace(0, costs[-1], 11)
    return [
        round(float(steps[(costs > a) & (costs <= b)].mean()), 2) if ((costs > a) & (costs <= b)).any() else -1.0
        for a, b in pairwise(edges)
    ]


def run_problem(
    problem: Problem,
    candidates: Sequence[Candidate],
    store: Store,
    seeds: Sequence[int] = SEEDS,
    log: Callable[[str], None] = print,
    stop: bool = False,
) -> None:
    """Run those candidates which the store does not hold yet; with ``stop`` each run ends at the late target."""
    stored = store.load(problem.name)
    todo = [c for c in candidates if c.name not in stored]
    if not todo:
        return
    torch.set_num_threads(1)
    start = time.time()
    target = costs(stored, problem.budget)[0][1] if stop else 0.0
    store.add(problem.name, Trainer(problem, todo, seeds, stop=target).run())
    log(f"{problem.name}: {len(todo)} candidates, {time.time() - start:.1f} s")


def cost_to_target(quality: Sequence[float], grid: Sequence[float], target: float, unreached: float) -> float:
    """Return the cost of the first of two consecutive evaluations at or under target."""
    for at in range(len(quality) - 1):
        if quality[at] <= target and quality[at + 1] <= target:
            return grid[at]
    return unreached


def costs(stored: dict[str, Any], budget: float) -> tuple[list[float], dict[str, list[list[float]]]]:
    """Return both targets and, per candidate, cost to each target per seed.

    Targets are 2.5 and 1.25 times the best fixed number's quality at full budget (median over seeds of the mean of the
    last five evaluations). Where 2.5 times is met nearly at the start, the early target is the geometric mean of the
    initial quality and the late target.
    """
    grid = cost_grid(budget)
    final = {
        n: float(np.median([np.mean(q[-5:]) for q in stored[n]["quality"]])) for n in stored if n.startswith("fixed")
    }
    best = min(final.values())
    late = 1.25 * best
    initial = float(np.median([q[0] for n in final for q in stored[n]["quality"]]))
    targets = [min(2.5 * best, math.sqrt(initial * late)), late]
    out = {
        name: [[cost_to_target(q, grid, t, 2 * budget) for q in entry["quality"]] for t in targets]
        for name, entry in stored.items()
    }
    return targets, out


def summarise(values: Sequence[float]) -> float:
    """Geometric mean over seeds."""
    return float(np.exp(np.mean(np.log(values))))


def ratios(problems: Sequence[Problem], store: Store) -> dict[str, dict[str, list[list[float]]]]:
    """Return, per candidate and problem, its cost against three constants, early and late, and its missed late targets.

    Each entry is [[early, late] against the best fixed number, the same against n = 5, the same against the best
    constant pair of number and rate that was run, [runs that missed the late target, runs]].
    """
    out: dict[str, dict[str, list[list[float]]]] = {}
    for problem in problems:
        stored = store.load(problem.name)
        if not all(f"fixed {n}" in stored for n in FIXED):
            continue
        _, cost = costs(stored, problem.budget)
        means = {name: [summarise(cost[name][at]) for at in (0, 1)] for name in cost}
        best = [min(means[f"fixed {n}"][at] for n in FIXED) for at in (0, 1)]
        constant = [name for name in means if name.startswith(("fixed ", "pair "))]
        pair = [min(means[name][at] for name in constant) for at in (0, 1)]
        for name, value in means.items():
            late = cost[name][1]
            out.setdefault(name, {})[problem.name] = [
                [round(value[at] / best[at], 3) for at in (0, 1)],
                [round(value[at] / means["fixed 5"][at], 3) for at in (0, 1)],
                [round(value[at] / pair[at], 3) for at in (0, 1)],
                [sum(at >= 2 * problem.budget for at in late), len(late)],
            ]
    return out


def score(table: dict[str, dict[str, list[list[float]]]], problems: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the scores of those candidates that ran on all of the problems, lowest geometric mean first."""
    rows = {}
    for name, entries in table.items():
        if any(problem not in entries for problem in problems):
            continue
        early, late = ([entries[p][0][at] for p in problems] for at in (0, 1))
        five, pair = ([value for p in problems for value in entries[p][at]] for at in (1, 2))
        rows[name] = {
            "to_best": round(summarise(early + late), 3),
            "early": round(summarise(early), 3),
            "late": round(summarise(late), 3),
            "worst": max(early + late),
            "to_five": round(summarise(five), 3),
            "to_pair": round(summarise(pair), 3),
            "worst_pair": max(pair),
            "missed": sum(entries[p][3][0] for p in problems),
        }
    return dict(sorted(rows.items(), key=lambda item: item[1]["to_best"]))
