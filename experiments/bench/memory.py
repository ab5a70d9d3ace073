"""Resident size of a process as iterations go by."""

from __future__ import annotations

import ctypes
import gc
import os
from pathlib import Path

from ignite.engine import Engine

from adaptive_critic import WassersteinGapController
from adaptive_critic.guard import DivergenceGuard
from experiments.bench.outputs import engine


def resident() -> float | None:
    """Return the megabytes of memory that this process occupies, None where the system does not say."""
    statm = Path("/proc/self/statm")
    if not statm.is_file():
        return None
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)  # freed memory that the allocator keeps for later is not in use
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure(first: int, last: int) -> dict[str, float | int | None]:
    """Return the resident size after ``first`` and after ``last`` iterations of a controller with its guard."""

    def attach(trainer: Engine) -> None:
        WassersteinGapController(update_every=10, on_divergence=DivergenceGuard()).attach(trainer)

    trainer = engine(attach)
    trainer.run(range(1000), max_epochs=first // 1000)
    early = resident()
    trainer.run(range(1000), max_epochs=last // 1000)
    late = resident()
    grown = None if early is None or late is None else late - early
    return {"first": first, "last": last, "megabytes": early, "grown": grown}
