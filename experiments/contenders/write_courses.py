"""Writes the average courses from the committed results: ``python -m experiments.contenders.write_courses``."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.contenders.average_course import FILE, HALVES
from experiments.schema import Run, load_results

_RESULTS = Path(__file__).parents[1] / "results" / "rate_and_n"
_GRID = np.unique(np.round(np.geomspace(10, 3000, 60)))  # iterations


def average(runs: Sequence[Run]) -> dict[str, list[float]]:
    """Return the geometric mean course of these runs, from the numbers between their evaluations."""
    rows = []
    for run in runs:
        ends = np.array([0.0, *run.curve.generator_updates])
        made = np.diff(np.array([0.0, *run.curve.critic_updates])) / np.diff(ends)
        middle = 0.5 * (ends[1:] + ends[:-1])
        # An interval without an update would be a logarithm of 0.
        values = np.log([np.maximum(made, 0.05), np.asarray(run.curve.rate)])
        rows.append([np.interp(_GRID, middle, value, right=math.nan) for value in values])
    known = np.array(rows)
    kept = np.isfinite(known[:, 0]).sum(axis=0) * 2 >= len(runs)
    n, rate = (np.round(np.exp(np.nanmean(known[:, row, kept], axis=0)), 4).tolist() for row in (0, 1))
    return {"iterations": _GRID[kept].tolist(), "n": n, "rate": rate}


def main() -> None:
    """Write the courses of the committed runs."""
    by_half: dict[str, dict[str, list[Run]]] = {half: defaultdict(list) for half in HALVES}
    for run in load_results(_RESULTS).runs:
        for half, seeds in HALVES.items():
            if run.config.contender == "effort" and run.config.seed in seeds:
                by_half[half][run.config.task].append(run)
    found = {half: {task: average(runs) for task, runs in sorted(its.items())} for half, its in by_half.items()}
    FILE.write_text(json.dumps(found, indent=None, separators=(",", ":"), sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
