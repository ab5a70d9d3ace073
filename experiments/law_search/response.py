"""When kappa answers to the number of updates: an open loop moves the number up and down and looks.

``python -m experiments.law_search.response`` trains four problems with the critic's rate held where the effort law
starts. The number is moved between 2 exp(0.4) and 2 exp(-0.4) at every 20th iteration. docs/control-law.md has its
table.
"""

from __future__ import annotations

import argparse
import functools
import math
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from ignite.engine import Engine, Events
from numpy.typing import NDArray

from experiments.runner import EMA_DECAY
from experiments.tasks import digits, ring
from experiments.tasks._images import image_task
from experiments.tasks._task import Task

HALF = 20
"""Iterations above the middle, then as many below."""
PARTS = 5
"""Parts of a half, each with a response of its own."""
_MIDDLE, _DITHER = 2.0, 0.4

PROBLEMS: dict[str, tuple[Task, float, int]] = {
    "digits, gradient penalty": (digits.TASK, 8.0, 800),
    "ring of 8": (ring.TASK, 8.0, 800),
    "digits, R1, 2e-3": (
        replace(digits.TASK, objective="non-saturating", penalties={"r1": 10.0}, rates=(2e-3, 2e-3)),
        8.0,
        800,
    ),
    "14x14 clothes, R1 as published": (
        image_task(
            name="clothes",
            title="clothes",
            suite="development",
            data="fashion-mnist",
            network="dcgan",
            side=14,
            objective="non-saturating",
            penalties={"r1": 10.0},
            rates=(2e-3, 2e-3),
            optimizer=functools.partial(torch.optim.Adam, betas=(0.0, 0.99), fused=True),
            batch_size=32,
            width=16,
            budget=2_000.0,
        ),
        2.0,
        280,
    ),
}
"""Problem, multiple of the critic's learning rate, iterations."""


class Trace(NamedTuple):
    """Signal of an open loop, an entry for each iteration from the second on."""

    used: NDArray[Any]
    """part of the gap that the generator's update took"""
    gap: NDArray[Any]
    """gap before it"""


def offset(iteration: int) -> float:
    """Return the distance of log n from its middle in an iteration, from 0."""
    return _DITHER if iteration // HALF % 2 == 0 else -_DITHER


def play(task: Task, seed: int, rate: float, iterations: int) -> Trace:
    """Train with the number moved up and down and the critic's learning rate multiplied."""
    task = task.with_critic_rate(rate)
    trainer = task.trainer(task.build(seed), EMA_DECAY)
    rows: list[tuple[float, float, float]] = []
    # What was made follows the sum of what was asked for.
    asked = np.cumsum([_MIDDLE * math.exp(offset(at)) for at in range(iterations)])
    numbers = np.diff(np.round(asked), prepend=0.0).astype(int).tolist()

    def set_number(engine: Engine) -> None:
        engine.state.num_discriminator_steps = numbers[engine.state.iteration - 1]  # type: ignore[attr-defined]

    def note(engine: Engine) -> None:
        output: Any = engine.state.output
        rows.append((float(output["d_real"][0]), float(output["d_fake"][0]), float(output["g_fake"])))

    trainer.add_event_handler(Events.ITERATION_STARTED, set_number)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, note)
    trainer.run(max_iters=iterations, epoch_length=iterations)
    real, fake, generated = np.array(rows).T
    return Trace(fake[1:] - generated[:-1], real[1:] - generated[:-1])


def response(traces: list[Trace]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return, for each part of a half, the share of kappa that seems to respond to the number, and standard errors.

    Averages over whole periods say what is usual, so that only the difference of both halves remains. If kappa is
    proportional to 1 / n it is 2 * 0.4 lower in the upper half, in relation to itself: a share of 1.
    """
    period = 2 * HALF
    usual = np.ones(period) / period
    excess, at, kappas = [], [], []
    for used, gap in traces:
        mean_used, mean_gap = np.convolve(used, usual, "same"), np.convolve(gap, usual, "same")
        kappa = np.maximum(mean_used / np.maximum(mean_gap, 1e-12), 1e-3)
        beyond = (used - kappa * gap) / np.maximum(mean_gap, 1e-12)
        inner = slice(3 * period, -period)  # the averages reach half a period to each side; the start is another matter
        is_usual = (np.abs(beyond[inner]) < 3.0) & (kappa[inner] < 1.0)
        excess.append(beyond[inner][is_usual])
        at.append(np.arange(len(used))[inner][is_usual] % period)
        kappas.append(kappa[inner])
    beyond, phase = np.concatenate(excess), np.concatenate(at)
    whole = 2.0 * _DITHER * float(np.median(np.concatenate(kappas)))
    part = HALF // PARTS
    halves = [[beyond[phase // part == i + half * PARTS] for half in range(2)] for i in range(PARTS)]
    shares = [(low.mean() - high.mean()) / whole for high, low in halves]
    errors = [math.hypot(*(values.std() / math.sqrt(len(values)) for values in pair)) / whole for pair in halves]
    return np.array(shares), np.array(errors)


def main() -> None:
    """Measure the response on each problem and print the table."""
    parser = argparse.ArgumentParser(prog="python -m experiments.law_search.response", description=main.__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 3000")
    parser.add_argument("--problems", nargs="*", default=list(PROBLEMS), choices=list(PROBLEMS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    part = HALF // PARTS
    print("iterations after the switch |", " | ".join(f"{i * part + 1} to {(i + 1) * part}" for i in range(PARTS)))
    for name in arguments.problems:
        task, rate, iterations = PROBLEMS[name]
        traces = [play(task, 3000 + seed, rate, iterations) for seed in range(arguments.seeds)]
        shares = [f"{share:.2f} ({error:.2f})" for share, error in zip(*response(traces), strict=True)]
        print(f"{name} | {' | '.join(shares)}", flush=True)


if __name__ == "__main__":
    main()
