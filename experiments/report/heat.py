"""What every constant pair of n and critic's rate costs on a task, and the path that a controller takes among them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.schema import TARGETS, ContenderRecord, Results, TaskRecord
from experiments.statistics import Table

LATE = TARGETS.index("late")


@dataclass(frozen=True)
class Cell:
    """A constant pair on the tuning seeds of a task.

    Attributes:
        contender: its name.
        n: critic updates per generator update.
        rate: factor of the critic's learning rate.
        cost: median cost to the late target; what does not get there counts as two budgets.
        ratio: of its cost to that of the best pair, at least 1.
        reached: number of runs that got there.
        runs: number of runs.
    """

    contender: str
    n: float
    rate: float
    cost: float
    ratio: float
    reached: int
    runs: int

    @property
    def missed(self) -> bool:
        """Whether most runs did not get to the late target."""
        return self.reached * 2 < self.runs


@dataclass(frozen=True)
class Path:
    """n and rate of one run over its evaluations, each (evaluations,).

    Attributes:
        contender: its name.
        seed: of the run.
        role: of the seed.
        cost: spent so far.
        n: mean since the evaluation before.
        rate: geometric mean since the evaluation before.
        arrived: index of the evaluation at which the late target was reached, or None.
    """

    contender: str
    seed: int
    role: str
    cost: NDArray[np.float64]
    n: NDArray[np.float64]
    rate: NDArray[np.float64]
    arrived: int | None


def grid(results: Results) -> tuple[list[float], list[float]]:
    """Return the numbers and the rates of all constants of the suite, rising."""
    places = [place(c) for c in results.suite.contenders if c.kind in ("fixed", "pair")]
    return sorted({n for n, _ in places}), sorted({rate for _, rate in places})


def place(contender: ContenderRecord) -> tuple[float, float]:
    """Return n and rate of a constant."""
    steps = contender.steps if contender.steps is not None else contender.setting["steps"]
    return float(steps), contender.rate


def cells(results: Results, tuning: Table, task: TaskRecord) -> list[Cell]:
    """Return the constants that ran on a task's tuning seeds; empty where it has no targets.

    Args:
        results: knows the constants.
        tuning: scores of tuning seeds.
        task: one of the suite's tasks.
    """
    found = []
    for contender in results.suite.contenders:
        scores = tuning.get(task.name, contender.name)
        if contender.kind in ("fixed", "pair") and scores is not None and task.targets is not None:
            cost, reached = float(np.median(scores.cost[:, LATE])), int(scores.reached[:, LATE].sum())
            found.append((contender, cost, reached, len(scores.seeds)))
    cheapest = min((cost for _, cost, _, _ in found), default=math.nan)
    return [Cell(c.name, *place(c), cost, cost / cheapest, reached, runs) for c, cost, reached, runs in found]


def path(results: Results, task: TaskRecord, contender: str) -> Path | None:
    """Return the path of the run with the lowest final seed, or tuning seed where there is no final one; None without.

    No seed is picked for its looks.
    """
    runs = [r for r in results.runs if (r.config.task, r.config.contender) == (task.name, contender) and r.curve.cost]
    if not runs:
        return None
    run = min(runs, key=lambda r: (r.config.seed_role != "final", r.config.seed))
    quality = np.asarray(run.curve.quality)
    under = quality <= (task.targets["late"] if task.targets is not None else -math.inf)
    twice = np.flatnonzero(under[:-1] & under[1:])
    return Path(
        contender,
        run.config.seed,
        run.config.seed_role,
        np.asarray(run.curve.cost),
        np.asarray(run.curve.n),
        np.asarray(run.curve.rate),
        int(twice[0]) if twice.size else None,
    )
