"""Processes of tests that need none of their own: forked from a server that has imported torch and Ignite.

Importing them takes a fresh process two to three seconds of processor time. The tests' own process can't be forked: it
has threads.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any


def preloaded() -> ForkServerContext:
    """Return the context whose processes start in milliseconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["torch", "ignite.engine", "ignite.handlers", "ignite.distributed", "adaptive_critic"]
    )
    return context


def said_into(out: Connection, target: Callable[..., None], *arguments: Any) -> None:
    """Run a function in this process, whose standard output and error then go into a pipe."""
    os.dup2(out.fileno(), 1)
    os.dup2(out.fileno(), 2)
    target(*arguments)


def run_side_by_side(
    target: Callable[..., None],
    arguments: Sequence[tuple[Any, ...]],
    folder: Path,
    *,
    limit: float,
    variables: Mapping[str, str] | None = None,
) -> None:
    """Run a function of a module once for each tuple of arguments, at the same time, and see that all end well.

    Args:
        target: what each process runs.
        arguments: one tuple for each process.
        folder: where their output goes.
        limit: seconds until those that hang are killed.
        variables: of the environment.

    Raises:
        AssertionError: one did not end by itself, or not with exit status 0; with what it said.
    """
    context, logs = preloaded(), [folder / f"output_{number}" for number in range(len(arguments))]
    processes = [
        context.Process(target=_logged, args=(log, dict(variables or {}), target, *each), daemon=True)
        for log, each in zip(logs, arguments, strict=True)
    ]
    end = time.monotonic() + limit
    for process in processes:
        process.start()
    for process in processes:
        process.join(max(0.0, end - time.monotonic()))
    for process in processes:
        process.kill()
        process.join()
    for process, log in zip(processes, logs, strict=True):
        assert process.exitcode == 0, f"exit status {process.exitcode}:\n{log.read_text() if log.exists() else ''}"


def _logged(log: Path, variables: Mapping[str, str], target: Callable[..., None], *arguments: Any) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ.update(variables)
    target(*arguments)
