"""What could grow in a process: measured between two runs, and compared."""

from __future__ import annotations

import gc
import io
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from ignite.engine import Engine

from adaptive_critic import ControllerHistory
from adaptive_critic.controller import Controller
from adaptive_critic.history import HistoryPoint
from experiments.bench.memory import resident

__all__ = ["ALLOWED", "Sample", "grown", "sample"]


class Sample(NamedTuple):
    """What there is at one moment."""

    kilobytes: int
    """memory that the process occupies; 0 where the system does not say"""
    blocks: int
    """blocks of up to 512 bytes that Python has allocated"""
    objects: int
    """instances of this package's classes, but for the points of the history"""
    handlers: int
    """handlers of the engine"""
    attributes: int
    """attributes of the engine and its state"""
    state: int
    """bytes of the controller's state in a file"""
    registered: int
    """warnings that Python remembers having shown"""


ALLOWED = Sample(
    kilobytes=1024,
    blocks=2000,  # the guard's records, of which there are 100 after a while, take about ten each
    objects=2,  # a guard's latest verdict, or an error that the interpreter still holds
    handlers=0,
    attributes=0,
    state=16 * 1024,  # the records again
    registered=10,  # one for each text, and a text quotes a number of critic updates
)
"""how much more there may be late than there was early"""


def sample(engine: Engine, controller: Controller, history: ControllerHistory) -> Sample:
    """Count what there is now."""
    saved = io.BytesIO()
    torch.save(controller.state_dict(), saved)
    size = len(saved.getvalue())
    del saved
    megabytes = resident() or 0.0  # it collects what is unreachable
    of_class = Counter(map(type, gc.get_objects()))
    objects = sum(
        count
        for found, count in of_class.items()
        if str(found.__module__).partition(".")[0] == "adaptive_critic" and found is not HistoryPoint
    )
    del of_class
    registries = [vars(module).get("__warningregistry__", {}) for module in list(sys.modules.values())]
    return Sample(
        round(1024 * megabytes),
        sys.getallocatedblocks(),
        objects,
        sum(map(len, engine._event_handlers.values())),
        len(vars(engine)) + len(vars(engine.state)),
        size,
        sum(map(len, registries)),
    )


def grown(samples: Sequence[Sample]) -> Mapping[str, tuple[int, int]]:
    """Return what has grown: name -> most in the first half and in the second one, the first fifth left out.

    Raises:
        ValueError: if there are fewer than five samples.
    """
    if len(samples) < 5:
        raise ValueError(f"{len(samples)} samples: expected at least 5")
    warm = samples[len(samples) // 5 :]
    early, late = warm[: len(warm) // 2], warm[len(warm) // 2 :]
    found = {}
    for name, allowed in ALLOWED._asdict().items():
        most = tuple(max(getattr(one, name) for one in half) for half in (early, late))
        if most[1] > most[0] + allowed:
            found[name] = (most[0], most[1])
    return found
