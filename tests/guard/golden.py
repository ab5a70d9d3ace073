"""``python -m tests.guard.golden`` writes down what guards do on random streams, for tests/guard/test_golden.py.

Each case draws a guard's settings and a stream of episodes (healthy, exploded, dead, flat, spoilt, ...) from a seed,
runs the stream and saves, loads and goes on in between. Run it on a tree whose behaviour is right, never to make a test
pass.
"""

from __future__ import annotations

import json
import math
import random
import sys
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events

from adaptive_critic.guard import DivergenceGuard
from adaptive_critic.handlers import FixedController
from tests.guard.engines import through_file

FILE = Path(__file__).with_name("golden.json")
CASES = 60
DIGITS = 9
ITERATIONS = 420
EPOCH = 45

EPISODES = (
    "healthy",
    "exploded",
    "dead",
    "flat",
    "loose",
    "spoilt",
    "no updates",
    "fast",
    "mute",
    "odd",
    "odd",
    "large",
)


def episodes(rng: random.Random) -> Iterator[str]:
    """Yield the kind of each iteration: healthy ones first, then episodes of all kinds with healthy ones in between."""
    yield from ["healthy"] * rng.randrange(40, 130)
    while True:
        kind = rng.choice(EPISODES)
        yield from [kind] * (1 if kind in ("spoilt", "odd") else rng.randrange(5, 70))
        yield from ["healthy"] * rng.randrange(0, 90)


def output_of(kind: str, rng: random.Random, n: int, form: str) -> dict[str, Any]:
    """Return the output of an iteration of ``n`` critic updates."""
    gap, noise = {"exploded": (900.0, 9.0), "dead": (0.0, 0.0), "flat": (0.0, 1.0), "loose": (0.3, 1.0)}.get(
        kind, (2.0, 0.1)
    )
    n = 0 if kind == "no updates" else n
    real = [gap + rng.gauss(0.0, noise) for _ in range(n)]
    fake = [rng.gauss(0.0, noise) for _ in range(n)]
    output: dict[str, Any] = {
        "d_real": real,
        "d_fake": fake,
        "d_loss": [f - r for r, f in zip(real, fake, strict=True)],
        "d_real_std": [0.0 if kind == "dead" else 1.0 + abs(rng.gauss(0.0, 0.1)) for _ in range(n)],
        "d_fake_std": [0.0 if kind == "dead" else 1.0 for _ in range(n)],
        "g_loss": rng.gauss(0.0, 1.0),
    }
    if rng.random() < 0.4:
        output["d_penalty"] = [0.5 * (60.0 if kind == "large" else 1.0) for _ in range(n)]
    if kind == "mute":
        output = {"g_loss": output["g_loss"], "g_fake": 0.25}
    if kind == "odd" and n:
        key = rng.choice(("d_real", "d_fake", "d_loss", "d_real_std"))
        output[key] = [*output[key][:-1], output[key][-1] * 1e7 + 1e6]
    if kind == "spoilt":
        output[rng.choice(sorted(key for key in output if output[key] != []))] = rng.choice((math.nan, math.inf))
    if form == "floats":
        return output
    if form == "tensors":
        return {key: torch.tensor(value) for key, value in output.items()}
    return {
        key: [torch.tensor(v) for v in value] if isinstance(value, list) else value for key, value in output.items()
    }


class Counter:
    """An object whose state is a number."""

    value = 0

    def state_dict(self) -> dict[str, int]:
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.value = state["value"]


class Case:
    """Settings and a stream from a seed."""

    def __init__(self, seed: int) -> None:
        rng = self.rng = random.Random(seed)
        self.mode = ("hold", "terminate_epoch", "terminate", "rollback", "rollback", "call")[seed % 6]
        self.settings: dict[str, Any] = {
            "check_every": rng.choice((1, 2, 5, 7, 10)),
            "patience": rng.choice((1, 2, 3)),
            "cooldown": rng.choice((1, 20, 60)),
            "max_interventions": rng.choice((1, 2, 50)),
            "override_iterations": rng.choice((1, 15)),
            "on_collapse": rng.choice(("report", "act", "ignore")),
            "on_spike": rng.choice(("report", "act", "ignore")),
            "window": rng.choice((5, 12, 50)),
            "warmup": rng.choice((1, 3, 5)),
            "threshold": rng.choice((5.0, 50.0)),
            "floor": rng.choice((0.05, 0.2)),
            "relative_floor": rng.choice((0.0, 0.2)),
            "dead": rng.choice((1e-4, 0.0, 0.2)),
            "update_limit": rng.choice((5.0, 5.0, 2.0, None)),
            "spike_limit": rng.choice((2.0, 100.0)),
            "snapshot_every": rng.choice((1, 20, 60)),
            "save_snapshots": rng.choice((True, True, False)),
        }
        self.form = rng.choice(("floats", "tensors", "sequences"))
        self.steps = rng.choice((1, 2, 5))
        self.controlled = rng.random() < 0.5
        self.saves_first = rng.random() < 0.5
        self.saves = sorted(rng.sample(range(1, ITERATIONS), 4))
        kinds = episodes(rng)
        self.kinds = [next(kinds) for _ in range(ITERATIONS)]
        self.outputs = [output_of(kind, rng, self.steps, self.form) for kind in self.kinds]
        self.weight = torch.nn.Parameter(torch.ones(3))
        self.optimizer = torch.optim.SGD([self.weight], lr=0.01)
        self.counter = Counter()
        self.pushes = [rng.choice((-1.0, 1.0)) * (30.0 if kind == "fast" else 1.0) for kind in self.kinds]

    def guard(self) -> DivergenceGuard:
        """Return another guard of these settings."""
        if self.mode == "rollback":
            return DivergenceGuard(
                "rollback", to_restore={"o": self.optimizer, "counter": self.counter}, **self.settings
            )
        return DivergenceGuard((lambda engine, record: None) if self.mode == "call" else self.mode, **self.settings)

    def step(self, engine: Engine, batch: Any) -> dict[str, Any]:
        index = engine.state.iteration - 1
        self.counter.value += 1
        if index % 3 < 2:
            self.weight.grad = torch.full_like(self.weight, self.pushes[index])
            self.optimizer.step()
        return self.outputs[index]


def summary(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a state says, in few numbers that do not depend on its layout."""
    rules, rows = state["rules"], state["window"]["rows"]
    known = [value for row in rows for value in row if math.isfinite(value)]
    found = {
        "interventions": state["interventions"],
        "cooldown_left": state["cooldown_left"],
        "counts": [rules["suspicious"], rules["significant"], rules["flat"]],
        "history": {name: [len(past), past[-1], math.fsum(past)] for name, past in rules["history"].items()},
        "window": [len(rows), sum(map(len, rows)), math.fsum(known)],
        "records": len(state["records"]),
    }
    if "snapshots" in state:
        kept = state["snapshots"]
        copies = [
            kept[name] and [kept[name]["iteration"], kept[name]["states"]["counter"]["value"]]
            for name in ("promoted", "candidate")
        ]
        found["snapshots"] = [*copies, kept["clean_checks"]]
    return found


def trace(seed: int) -> dict[str, Any]:
    """Return what happens in a case."""
    case, state, at = Case(seed), None, 0
    steps: list[int] = []
    saved: list[Any] = []
    restored: list[Any] = []
    while at < ITERATIONS:
        engine, guard = Engine(case.step), case.guard()
        controller = FixedController(3, limits=(1, 5), on_divergence=guard) if case.controlled else None
        subject: Any = controller or guard
        stop = next((one for one in case.saves if one > at), ITERATIONS)
        states: list[Any] = []

        def save(engine: Engine, stop: int = stop, states: list[Any] = states, subject: Any = subject) -> None:
            if engine.state.iteration == stop:
                states.append(through_file(subject.state_dict()))
                engine.terminate()

        if case.saves_first:
            engine.add_event_handler(Events.ITERATION_COMPLETED, save)
        if state is not None:
            subject.load_state_dict(state)
            engine.load_state_dict({"epoch_length": EPOCH, "iteration": at, "max_epochs": 100})
        subject.attach(engine)
        if not case.saves_first:
            engine.add_event_handler(Events.ITERATION_COMPLETED, save)
        if controller is not None:
            engine.add_event_handler(
                Events.ITERATION_STARTED, lambda engine: steps.append(engine.state.num_discriminator_steps)
            )
        engine.run(range(EPOCH), max_epochs=100, epoch_length=EPOCH)
        at = engine.state.iteration
        # Ended by the guard, or saved before the guard looked at that iteration: then the state says what it saw.
        state = states[0] if states else through_file(subject.state_dict())
        subject.detach()
        of_guard = state["guard"] if controller is not None else state
        if states or at >= ITERATIONS:
            saved.append([at, summary(of_guard)])
            restored.append([case.counter.value, *case.weight.tolist()])
    latest = getattr(engine.state, "divergence", None)
    found = {
        "mode": case.mode,
        "records": [list(record.values()) for record in of_guard["records"][-30:]],
        "divergence": latest and latest["iteration"],
        "saved": saved,
        "restored": restored,
        "steps": [[n, len(list(group))] for n, group in groupby(steps)],
    }
    rounded: dict[str, Any] = json.loads(json.dumps(found), parse_float=lambda text: float(f"{float(text):.{DIGITS}g}"))
    return rounded


def main() -> None:
    torch.set_num_threads(1)
    lines = [json.dumps(trace(seed), separators=(",", ":")) for seed in range(CASES)]
    FILE.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
    found: dict[str, int] = {}
    for line in lines:
        for record in json.loads(line)["records"]:
            key = f"{record[1]} {record[4]}"
            found[key] = found.get(key, 0) + 1
    sys.stdout.write(f"{found}\n")


if __name__ == "__main__":
    main()
