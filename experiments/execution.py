"""What a worker does with one run: take it up where it was left, record how it ended."""

from __future__ import annotations

import errno
import json
import math
import shutil
import traceback
from pathlib import Path

import torch

from experiments.contenders import select_contenders
from experiments.plan import Spec
from experiments.runner import CHECKPOINT_SECONDS, Training, measured_costs, result_of, versions
from experiments.schema import (
    CURVES,
    Cost,
    Curve,
    FormatError,
    Run,
    Summary,
    run_from_json,
    run_to_json,
    write_json,
)

RESULT = "result.json"
STARTED = "started"
# A disk with less than this left is full: a result needs up to a hundred kilobytes, a checkpoint a few megabytes.
LEAST_FREE_BYTES = 16 * 2**20
_SEEDS_WITH_SAMPLES = (6, 10, 1000)


class DiskFullError(RuntimeError):
    """There is no room for results; what was finished is safe."""


def finished(spec: Spec) -> Run | None:
    """Return the result of a run, or None where there is none yet; a half-written file counts as none.

    Raises:
        FormatError: The result has another format version.
    """
    return read_run(spec.folder)


def read_run(folder: Path) -> Run | None:
    """Return the result in a run's folder, or None; see :func:`finished`."""
    path = folder / RESULT
    try:
        return run_from_json(json.loads(path.read_bytes()), str(path))
    except FormatError:
        raise
    except (FileNotFoundError, ValueError):
        return None


def execute(spec: Spec, checkpoint_seconds: float = CHECKPOINT_SECONDS) -> Run:
    """Make a run, from its last checkpoint if there is one, and write ``result.json`` as the very last thing.

    An exception of the run is its result, with the traceback.

    Args:
        spec: Which run.
        checkpoint_seconds: Processor seconds of work between two checkpoints.

    Raises:
        DiskFullError: Checkpoint or result could not be written.
    """
    torch.set_num_threads(1)
    found = finished(spec)
    if found is not None:
        return found
    try:
        spec.folder.mkdir(parents=True, exist_ok=True)
        (spec.folder / STARTED).touch()
        run = _train(spec, checkpoint_seconds)
        write_json(spec.folder / RESULT, run_to_json(run))
    except OSError as error:
        if error.errno == errno.ENOSPC or _is_full(spec.folder):
            raise DiskFullError(_disk_full(spec)) from error
        raise
    for path in (spec.folder / STARTED, *spec.folder.glob("checkpoint_*.pt")):
        path.unlink(missing_ok=True)
    return run


def _train(spec: Spec, checkpoint_seconds: float) -> Run:
    training: Training | None = None
    try:
        steps, rate = math.nan, 1.0
        if spec.matches is not None:
            matched = read_run(spec.matches)
            if matched is None or matched.status == "failed":
                raise RuntimeError(f"the run that it matches has no result: {spec.matches.name}")
            steps, rate = matched.summary.mean_n, matched.summary.mean_rate
        (contender,) = select_contenders([spec.contender])
        task = spec.load_task()
        training = Training(task, contender, spec.seed, steps, spec.folder, checkpoint_seconds, rate=rate)
        training.run()
        return result_of(training, spec.identity, spec.config(), spec.seed in _SEEDS_WITH_SAMPLES, None)
    except Exception as error:
        # torch reports a full disk in words of its own.
        if (isinstance(error, OSError) and error.errno == errno.ENOSPC) or _is_full(spec.folder):
            raise DiskFullError(_disk_full(spec)) from error
        told = traceback.format_exc()
        if training is None:
            return failure(spec, told)
        return result_of(training, spec.identity, spec.config(), False, told)


def failure(spec: Spec, error: str) -> Run:
    """The result of a run that ended before its first evaluation."""
    task = spec.load_task()
    return Run(
        identity=spec.identity,
        config=spec.config(),
        status="failed",
        error=error,
        diverged=False,
        interventions=None,
        versions=versions(),
        cost=Cost(measured_costs(task).critic, 1.0, 0.0, task.budget, task.grid),
        curve=Curve(**dict.fromkeys(CURVES, ())),
        summary=Summary(mean_n=0.0, critic_updates=0, generator_updates=0, cpu_seconds=0.0),
    )


def _is_full(folder: Path) -> bool:
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free < LEAST_FREE_BYTES


def _disk_full(spec: Spec) -> str:
    return (
        f"no space left for {spec.folder}: make room and run the same command again; finished runs are kept, "
        "this one goes on from its last checkpoint"
    )
