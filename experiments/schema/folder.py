"""A results folder as a whole."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.schema.reading import run_from_json, suite_from_json
from experiments.schema.records import FormatError, Problem, ResultError, Results, Run, Suite
from experiments.schema.writing import run_key


def _entries(path: Path, folder: Path, problems: list[Problem]) -> Iterator[tuple[str, Any]]:
    """Yield (place, JSON) of one file; what cannot be read goes to ``problems``."""
    where = str(path.relative_to(folder))
    line = 0
    try:
        if path.name == "result.json":
            yield where, json.loads(path.read_bytes())
            return
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line, text in enumerate(file, 1):
                try:
                    yield f"{where}:{line}", json.loads(text)
                except json.JSONDecodeError as error:
                    problems.append(Problem(f"{where}:{line}", f"not JSON: {error}"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        problems.append(Problem(where, f"half-written or not JSON: {error}"))
    except (OSError, EOFError, zlib.error) as error:
        problems.append(Problem(where, f"unreadable after line {line}: {error}"))


def load_results(folder: Path) -> Results:
    """Read all results under a folder.

    A half-written or wrong file is skipped and listed in ``problems``. Of two results for one task,
    contender, seed and role, the later by file name is kept and the other one listed; the same identity
    twice is one run.

    Args:
        folder: holds ``tasks.json`` and results in any depth.

    Raises:
        FileNotFoundError: no such folder, or no ``tasks.json`` in it.
        FormatError: a file of another format version; leaving it out silently would change every figure.
        ResultError: ``tasks.json`` is wrong.
    """
    folder = Path(folder)
    description = folder / "tasks.json"
    if not description.is_file():
        raise FileNotFoundError(f"{folder}: no tasks.json, so no results folder; the runner writes one")
    try:
        suite = suite_from_json(json.loads(description.read_bytes()), str(description))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ResultError(f"{description}: half-written or not JSON: {error}") from error
    problems: list[Problem] = []
    kept: dict[tuple[str, str, str, int], tuple[str, Run]] = {}
    paths = sorted(p for p in folder.rglob("*") if p.name == "result.json" or p.name.endswith(".jsonl.gz"))
    for path in paths:
        for where, data in _entries(path, folder, problems):
            try:
                run = run_from_json(data, where)
                _check_known(run, suite, where)
            except FormatError:
                raise
            except ResultError as error:
                problems.append(Problem(where, str(error)))
                continue
            before = kept.get(run_key(run))
            if before is not None and before[1].identity != run.identity:
                problems.append(Problem(before[0], f"replaced by {where}: the same task, contender, seed and role"))
            kept[run_key(run)] = (where, run)
    runs = tuple(run for _, (_, run) in sorted(kept.items()))
    return Results(suite, runs, (*problems, *_shared_seeds(runs)))


def _shared_seeds(runs: tuple[Run, ...]) -> list[Problem]:
    """A seed that settings were tuned on must not score them."""
    roles: dict[tuple[str, str], set[int]] = {}
    for run in runs:
        roles.setdefault((run.config.task, run.config.seed_role), set()).add(run.config.seed)
    found = []
    for task in sorted({task for task, _ in roles}):
        shared = roles.get((task, "tuning"), set()) & roles.get((task, "final"), set())
        if shared:
            found.append(Problem(task, f"seeds are both tuning and final: {sorted(shared)}"))
    return found


def _check_known(run: Run, suite: Suite, where: str) -> None:
    try:
        task = suite.task(run.config.task)
        suite.contender(run.config.contender)
    except ValueError as error:
        raise ResultError(f"{where}: {error}") from error
    if task.suite != run.config.suite:
        raise ResultError(f"{where}: run as a task of the {run.config.suite} suite, described as {task.suite}")
