"""Golden traces: what every handler did at every iteration when they were recorded.

`python -m tests.handlers.golden` records them anew, which is right only where a change of what handlers do is meant;
`test_golden.py` replays them. A trace goes through saves, loads, overrides, assigned limits and bad observations.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events

from adaptive_critic.controller import Controller
from tests.handlers.table import FEEDBACK, HANDLERS, Sample, make, output

FILE = Path(__file__).with_name("golden.json.gz")
ITERATIONS = 150
# Floats, and tensors that hold the same numbers; decisions at every iteration and at some, at once and one late.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "floats": ("floats", {}),
    "tensors": ("tensor", {}),
    "tuple, every third": ("tuple", {"update_every": 3}),
    "tensors, every third, lagged": ("tensor", {"update_every": 3, "lagged": True}),
}


def stream(seed: int) -> Iterator[Sample]:
    """Yield samples of a run whose levels wander, with some that are not finite, in numbers that float32 holds."""
    source = random.Random(seed)
    lead, share, loss, accuracy = 1.0, 0.2, 1.0, 0.6
    while True:
        lead = min(max(lead + source.gauss(0.0, 0.2), -0.5), 4.0)
        share = min(max(share + source.gauss(0.0, 0.1), -0.3), 1.2)
        loss = min(max(loss + source.gauss(0.0, 0.2), 0.0), 3.0)
        accuracy = min(max(accuracy + source.gauss(0.0, 0.1), 0.0), 1.0)
        offset = source.gauss(3.0, 0.1)
        values = [
            offset + lead, offset + share * lead + source.gauss(0.0, 0.05), loss, abs(source.gauss(0.7, 0.4)), offset,
            accuracy,
        ]  # fmt: skip
        if source.random() < 0.04:
            values[source.randrange(len(values))] = source.choice([float("nan"), float("inf")])
        yield Sample(*(round(value * 2**16) / 2**16 if abs(value) < 100.0 else value for value in values))


def _now(controller: Controller) -> list[Any]:
    """Return what is asked of the next iteration, and the counts."""
    return [
        controller.num_discriminator_steps,
        controller.ratio,
        controller.signal,
        controller.critic_updates,
        getattr(controller, "bad_observations", 0),
    ]


def loop_trace(code: str, form: str, more: dict[str, Any]) -> list[list[Any]]:
    """Drive a handler without an engine; return what it said before every iteration."""
    controller = make(code, **more)
    trace = []
    for index, sample in zip(range(ITERATIONS), stream(7), strict=False):
        if index in (20, 63, 101):  # a load into a new one, at 63 under an override
            state = json.loads(json.dumps(controller.state_dict()))
            limits = controller.limits
            controller = make(code, **more)
            controller.limits = limits
            controller.load_state_dict(state)
        if index == 35:
            controller.override(3, 2)
        if index == 60:
            controller.override(6)
        if index == 50 and code in FEEDBACK.values() and "Gate" not in code:
            lower = 0 if controller.limits is None else controller.limits[0]
            controller.limits = (lower, 6)
        if index == 90:
            controller.hold(4)
        if index == 120:
            controller.reset()
        trace.append(_now(controller))
        controller.observe(output(sample, controller.num_discriminator_steps, form, torch.float64))
    return trace


def engine_trace(code: str) -> list[list[Any]]:
    """Run a handler on an engine, with a save in the middle that another one goes on from; return as above."""
    samples = stream(11)
    trace: list[list[Any]] = []
    states: list[dict[str, Any]] = []

    def step(engine: Engine, batch: Any) -> dict[str, Any]:
        return output(next(samples), engine.state.num_discriminator_steps, "floats")  # type: ignore[attr-defined]

    def run(controller: Controller, first: int, last: int) -> None:
        trainer = Engine(step)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: states.append(controller.state_dict()))
        controller.attach(trainer)
        trainer.add_event_handler(Events.ITERATION_STARTED, lambda: trace.append(_now(controller)))
        trainer.load_state_dict({"iteration": first, "max_epochs": 1, "epoch_length": last})
        trainer.run(range(last), max_epochs=1, epoch_length=last)
        controller.detach()

    one = make(code)
    run(one, 0, 40)
    two = make(code)
    two.load_state_dict(json.loads(json.dumps(states[-1])))
    run(two, 40, 90)
    return trace


def record() -> dict[str, Any]:
    """Return all traces by name."""
    traces = {}
    for name, code in HANDLERS.items():
        for variant, (form, more) in VARIANTS.items():
            traces[f"{name}: {variant}"] = loop_trace(code, form, more if code in FEEDBACK.values() else {})
        traces[f"{name}: engine"] = engine_trace(code)
    return traces


def read() -> dict[str, Any]:
    """Return what was recorded."""
    found: dict[str, Any] = json.loads(gzip.decompress(FILE.read_bytes()))
    return found


if __name__ == "__main__":
    FILE.write_bytes(gzip.compress(json.dumps(record()).encode(), mtime=0))
