"""Runs contenders on problems, keeps every run's quality, and scores cost to target."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments.law_search.batched import Contender, Run, Trainer, cost_grid
from experiments.law_search.laws import Kappa, Law, Reference
from experiments.law_search.problems import Problem

FIXED = (1, 2, 3, 5, 10, 20)
SEEDS = (1, 2, 3, 4)


def fixed(n: float) -> Contender:
    """Return the contender that always takes n critic updates."""
    return Contender(f"fixed {n:g}", lambda: Law(n))


def baselines() -> list[Contender]:
    """Return the fixed numbers, the WGAN reference schedule and the kappa law as first found."""
    return [*(fixed(n) for n in FIXED), Contender("reference", Reference), Contender("kappa", Kappa)]


class Store:
    """Quality curves of all runs so far, one JSON file per problem: {contender: {"quality": [[...]], "mean_n": [...]}}."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def load(self, problem: str) -> dict[str, Any]:
        """Return what is stored of a problem."""
        path = self.folder / f"{problem}.json"
        out: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return out

    def add(self, problem: str, runs: Sequence[Run]) -> None:
        """Add runs of a problem, replacing contenders of the same name."""
        stored = self.load(problem)
        for name in dict.fromkeys(run.contender for run in runs):
            mine = [run for run in runs if run.contender == name]
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
        for a, b in zip(edges[:-1], edges[1:], strict=True)
    ]


def run_problem(
    problem: Problem,
    contenders: Sequence[Contender],
    store: Store,
    seeds: Sequence[int] = SEEDS,
    log: Callable[[str], None] = print,
    stop: bool = False,
) -> None:
    """Run those contenders which the store does not hold yet; with ``stop`` each run ends at the late target."""
    stored = store.load(problem.name)
    todo = [c for c in contenders if c.name not in stored]
    if not todo:
        return
    torch.set_num_threads(1)
    start = time.time()
    target = costs(stored, problem.budget)[0][1] if stop else 0.0
    store.add(problem.name, Trainer(problem, todo, seeds, stop=target).run())
    log(f"{problem.name}: {len(todo)} contenders, {time.time() - start:.1f} s")


def cost_to_target(quality: Sequence[float], grid: Sequence[float], target: float, unreached: float) -> float:
    """Return the cost of the first of two consecutive evaluations at or under target."""
    for at in range(len(quality) - 1):
        if quality[at] <= target and quality[at + 1] <= target:
            return grid[at]
    return unreached


def costs(stored: dict[str, Any], budget: float) -> tuple[list[float], dict[str, list[list[float]]]]:
    """Return both targets and, per contender, cost to each target per seed.

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


def score(problems: Sequence[Problem], store: Store, names: Sequence[str] | None = None) -> dict[str, dict[str, float]]:
    """Score contenders: cost against the best fixed number of each problem and target, and against n = 5."""
    ratios: dict[str, list[float]] = {}
    to_five: dict[str, list[float]] = {}
    for problem in problems:
        stored = store.load(problem.name)
        _, cost = costs(stored, problem.budget)
        fixed_names = [f"fixed {n}" for n in FIXED]
        for at in (0, 1):
            best = min(summarise(cost[n][at]) for n in fixed_names)
            five = summarise(cost["fixed 5"][at])
            for name in cost:
                value = summarise(cost[name][at])
                ratios.setdefault(name, []).append(value / best)
                to_five.setdefault(name, []).append(value / five)
    out = {}
    for name, values in ratios.items():
        if len(values) != 2 * len(problems) or (names is not None and name not in names):
            continue
        out[name] = {
            "to_best": summarise(values),
            "early": summarise(values[0::2]),
            "late": summarise(values[1::2]),
            "worst": max(values),
            "to_five": summarise(to_five[name]),
        }
    return out
