"""Outputs of a training step that is not made, so that what is measured is the handler."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import torch
from ignite.engine import Engine

VARIANTS = 64  # a power of two; the outputs repeat after so many iterations


def outputs(n: int, form: str) -> list[dict[str, Any]]:
    """Return StepOutputs of n critic updates, among which the ratio wanders rather than resting at a limit.

    Args:
        n: critic updates, at least 1.
        form: ``"tensors"``, one of shape (n,) for each key, or ``"tuples"`` of n 0-d tensors.
    """
    draw, others = random.Random(0), random.Random(1)  # the first entries, which decide, are the same for every n
    result = []
    for _ in range(VARIANTS):
        g_fake = draw.gauss(-0.1, 0.01)
        # The share of the gap that a generator update uses up scatters around the setpoint, 0.05.
        share = 0.05 * math.exp(draw.gauss(0.0, 0.3))
        real = torch.tensor([draw.gauss(2.0, 0.01), *[others.gauss(2.0, 0.01) for _ in range(n - 1)]])
        fake = g_fake + (real - g_fake) * share
        vectors: dict[str, Any] = {"d_real": real, "d_fake": fake, "d_loss": fake - real}
        if form == "tuples":
            vectors = {key: tuple(value.unbind()) for key, value in vectors.items()}
        scalars = {"g_loss": -g_fake, "g_fake": g_fake, "g_fake_accuracy": draw.random()}
        result.append(vectors | {key: torch.tensor(value) for key, value in scalars.items()} | {"num_samples": 64})
    return result


def engine(attach: Callable[[Engine], None], n: int = 5, form: str = "tuples") -> Engine:
    """Return an engine whose step does nothing but return the next of these outputs."""
    given = outputs(n, form)
    trainer = Engine(lambda _, index: given[index % VARIANTS])
    attach(trainer)
    return trainer
