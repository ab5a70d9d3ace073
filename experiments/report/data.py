"""All that the page and the PNGs show, as plain values that go into JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.report.averages import AVERAGES, averages, default_opponents
from experiments.report.heat import cells, grid, path
from experiments.report.numbers import numbers, triple
from experiments.report.palette import KIND_TITLES, styles
from experiments.report.series import band, grid_of
from experiments.schema import SUITES, TARGETS, Results, Run, Samples, TaskRecord
from experiments.statistics import (
    SHARES,
    Table,
    TaskComparison,
    compare,
    mean_ratios,
    performance_profile,
    runs_of,
)

MEASURES = {
    "both": "cost to target, both targets",
    "early": "cost to the early target",
    "late": "cost to the late target",
    **{f"quality{share:.0%}": f"quality at {share:.0%} of the budget" for share in SHARES},
}
_COLUMNS = [
    list(range(len(TARGETS))),
    *([c] for c in range(len(TARGETS) + len(SHARES))),
]
"""Columns of TaskComparison.log_ratios that make up each of MEASURES."""

CURVES = ("quality", "ema_quality", "n", "rate", "signal")
"""Curves of the runs' charts."""
FACTORS = np.geomspace(1, 10, 61)


def opponents(results: Results) -> dict[str, str]:
    """Return the opponents that the charts offer, with their titles."""
    gap = [c for c in results.suite.contenders if c.name == results.suite.gap]
    return default_opponents(results) | {c.name: c.title for c in gap}


def page_data(results: Results) -> dict[str, Any]:
    """Return the data of the page's charts; see the keys at the end for its parts."""
    suite, table = results.suite, Table.of(results)
    drawn = styles(suite)
    grouped = runs_of(results)
    return {
        "contenders": [
            {
                "name": c.name,
                "title": c.title,
                "kind": KIND_TITLES[c.kind],
                "isPair": c.kind == "pair",
                "color": drawn[c.name].color,
                "dash": drawn[c.name].dash,
                "width": drawn[c.name].width,
            }
            for c in suite.contenders
        ],
        "gap": suite.gap,
        "reference": suite.reference,
        "measures": MEASURES,
        "opponents": opponents(results),
        "tasks": [_task(task, results, grouped) for task in suite.tasks],
        "heat": heat_map(results),
        "effort": suite.effort,
        "ratios": {name: _ratios(results, table, name) for name in opponents(results)},
        "averages": averages(results, table),
        "columns": {name: asdict(average) for name, average in AVERAGES.items()},
        "averageOpponents": default_opponents(results),
        "profiles": {name: profiles(table, table.tasks(name)) for name in SUITES},
    }


def _task(task: TaskRecord, results: Results, grouped: dict[tuple[str, str], list[Run]]) -> dict[str, Any]:
    mine = {c.name: grouped[task.name, c.name] for c in results.suite.contenders if (task.name, c.name) in grouped}
    points = grid_of([run for runs in mine.values() for run in runs])
    best = task.best_fixed_n
    return {
        "name": task.name,
        "title": task.title,
        "suite": task.suite,
        "metric": task.metric,
        "note": task.note,
        "floor": task.floor,
        "targets": dict(task.targets) if task.targets is not None else {},
        "best": list(
            dict.fromkeys(
                [
                    *([] if best is None else sorted({results.suite.fixed(n).name for n in (best.early, best.late)})),
                    *([] if task.best_pair is None else sorted({task.best_pair.early, task.best_pair.late})),
                ]
            )
        ),
        "grid": numbers(points),
        "series": {
            name: {"runs": len(runs), **{key: band for key in CURVES if (band := _band(runs, key, points)) is not None}}
            for name, runs in mine.items()
        },
        "samples": {
            name: found
            for name, runs in mine.items()
            if name in _with_samples(results, task) and (found := _samples(runs)) is not None
        },
    }


def heat_map(results: Results) -> dict[str, Any]:
    """Return the cells of every task, and the paths of this library's laws among them."""
    tuning, laws = Table.of(results, "tuning"), [c.name for c in results.suite.contenders if c.kind == "adaptive"]
    found = {}
    for task in results.suite.tasks:
        walked = {name: way for name in laws if (way := path(results, task, name)) is not None}
        found[task.name] = {
            "cells": [
                [c.contender, *numbers([c.n, c.rate, c.cost, c.ratio, c.reached, c.runs], 4)]
                for c in cells(results, tuning, task)
            ],
            "best": task.best_pair.late if task.best_pair is not None else None,
            "paths": {
                name: {
                    "seed": way.seed,
                    "role": way.role,
                    "arrived": way.arrived,
                    **{key: numbers(getattr(way, key), 3) for key in ("cost", "n", "rate")},
                }
                for name, way in walked.items()
            },
        }
    levels = grid(results)
    return {"numbers": levels[0], "rates": levels[1], "tasks": found}


def _with_samples(results: Results, task: TaskRecord) -> set[str]:
    """The contenders whose samples are shown: the laws, the best constants, n = 5; all would be most of the page."""
    suite, best, pair = results.suite, task.best_fixed_n, task.best_pair
    names = {suite.effort, suite.gap, *(c.name for c in suite.contenders if c.steps == 5)}
    names |= {suite.fixed(best.late).name} if best is not None else set()
    return names | ({pair.late} if pair is not None else set())


def _band(runs: Sequence[Run], key: str, grid: NDArray[np.float64]) -> list[list[float | None]] | None:
    """Median and quartiles; None where there is nothing to show, as for a rate that nobody changed."""
    found = band(runs, key, grid)
    if not np.isfinite(found.middle).any() or (key == "rate" and (found.middle == 1.0).all()):
        return None
    return [numbers(part, 3) for part in (found.middle, found.low, found.high)]


def _samples(runs: Sequence[Run]) -> dict[str, Any] | None:
    """Samples of the lowest seed that has any: no seed is picked for its looks."""
    for run in sorted(runs, key=lambda r: r.config.seed):
        if isinstance(run.samples, Samples):
            data = run.samples.data
            points = data if isinstance(data, str) else [numbers(point, 3) for point in data]
            return {"seed": run.config.seed, "kind": run.samples.kind, "data": points}
    return None


def _ratios(results: Results, table: Table, opponent: str) -> dict[str, Any]:
    """Per suite and contender: figures over all tasks and for each task."""
    found: dict[str, Any] = {}
    for suite in SUITES:
        rows = []
        for contender in results.suite.contenders:
            comparison = compare(table, contender.name, opponent, table.tasks(suite))
            if comparison.tasks and contender.name != opponent:
                rows.append(
                    {
                        "contender": contender.name,
                        "missing": list(comparison.missing),
                        "over": _measures(list(comparison.tasks)),
                        "tasks": {t.task: _on_task(t) for t in comparison.tasks},
                    }
                )
        found[suite] = rows
    return found


def _measures(tasks: Sequence[TaskComparison]) -> dict[str, list[float | None]]:
    """Each of MEASURES, geometric mean over tasks."""
    found = mean_ratios([task.log_ratios for task in tasks], _COLUMNS)
    return {name: triple(estimate) for name, estimate in zip(MEASURES, found, strict=True)}


def _on_task(task: TaskComparison) -> dict[str, Any]:
    return {
        "pairs": task.pairs,
        "unpaired": task.unpaired,
        "reached": list(task.reached),
        "opponentReached": list(task.opponent_reached),
        "opponent": list(task.opponent),
        **_measures([task]),
    }


def profiles(table: Table, tasks: Sequence[TaskRecord]) -> dict[str, Any]:
    """Return Dolan-More profiles; a problem is a task with one of its targets, its cost the median over seeds.

    A problem counts as solved by a contender whose median run reached the target. Contenders without runs on every task
    are left out and listed: a profile over fewer problems could not be compared. So are those that lack a seed of the
    law on rate and number, if that has run: one with a single seed would leave all the others with one. Only seeds
    count that all the others have, and tasks without such a seed are left out and listed.
    """
    names = [task.name for task in tasks]
    complete = table.contenders(names)
    law = table.suite.effort
    if law in complete:
        complete = [
            one
            for one in complete
            if all(_shared(table, name, [law, one]) == _shared(table, name, [law]) for name in names)
        ]
    partial = [
        c.name
        for c in table.suite.contenders
        if c.name not in complete and any((name, c.name) in table.scores for name in names)
    ]
    shared = {name: _shared(table, name, complete) for name in names}
    used = [name for name in names if shared[name]]
    found: dict[str, Any] = {
        "factors": numbers(FACTORS),
        "shares": {},
        "excluded": partial,
        "skipped": [name for name in names if complete and not shared[name]],
        "problems": len(used) * len(TARGETS),
        "seeds": sorted({len(shared[name]) for name in used}),
    }
    if not used:
        return found
    scores = {(task, name): table.scores[task, name].at(shared[task]) for task in used for name in complete}
    problems = [(task, column) for task in used for column in range(len(TARGETS))]
    cost = [[float(np.median(scores[task, name].cost[:, c])) for name in complete] for task, c in problems]
    # More than half of the seeds must get there: at one half the median would mix a cost with twice the budget.
    reached = [[bool(scores[task, name].reached[:, c].mean() > 0.5) for name in complete] for task, c in problems]
    shares = performance_profile(cost, reached, FACTORS)
    return found | {"shares": {name: numbers(row) for name, row in zip(complete, shares, strict=True)}}


def _shared(table: Table, task: str, contenders: Sequence[str]) -> list[int]:
    """Seeds of a task that all of these contenders have."""
    seeds = [set(table.scores[task, name].seeds.tolist()) for name in contenders]
    return sorted(set.intersection(*seeds)) if seeds else []
