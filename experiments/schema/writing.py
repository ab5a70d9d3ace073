"""Records to files, atomically, and the compact form that is committed."""

from __future__ import annotations

import dataclasses
import gzip
import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from experiments.schema.records import FORMAT, Run, Suite


def _plain(value: Any, digits: int | None = None) -> Any:
    """Return ``value`` as JSON takes it: NaN and infinities as None, floats rounded to significant digits."""
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return value if digits is None else float(f"{value:.{digits}g}")
    if isinstance(value, Mapping):
        return {str(key): _plain(entry, digits) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry, digits) for entry in value]
    return value


def run_to_json(run: Run, digits: int | None = None) -> dict[str, Any]:
    """Return the run as ``result.json`` has it; ``digits`` rounds curves and sample points, not the rest."""
    data = {"format": FORMAT, **dataclasses.asdict(run)}
    data["config"] = {**data["config"].pop("extra"), **data["config"]}
    rounded = {key: _plain(data.pop(key), digits) for key in ("curve", "samples")}
    return {**_plain(data), **rounded}


def suite_to_json(suite: Suite) -> dict[str, Any]:
    """Return the suite as ``tasks.json`` has it."""
    plain: dict[str, Any] = _plain({"format": FORMAT, **dataclasses.asdict(suite)})
    return plain


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write atomically: a reader sees the old file or the whole new one, also after a kill."""
    _write(path, json.dumps(data, allow_nan=False, indent=1).encode())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def compact(runs: Iterable[Run], path: Path) -> None:
    """Write runs into one ``.jsonl.gz``, one a line, sorted: the same runs give the same bytes.

    Curves and sample points are rounded to 5 significant digits.

    Args:
        runs: the runs of one block.
        path: the file, whose name ends in ``.jsonl.gz``.
    """
    if not path.name.endswith(".jsonl.gz"):
        raise ValueError(f"{path}: a compact file's name must end in .jsonl.gz, else no reader finds it")
    lines = [
        json.dumps(run_to_json(run, digits=5), allow_nan=False, sort_keys=True, separators=(",", ":"))
        for run in sorted(runs, key=run_key)
    ]
    _write(path, gzip.compress("".join(line + "\n" for line in lines).encode(), mtime=0))


def run_key(run: Run) -> tuple[str, str, str, int]:
    """Return what names a run among the results: task, contender, seed role, seed."""
    return run.config.task, run.config.contender, run.config.seed_role, run.config.seed
