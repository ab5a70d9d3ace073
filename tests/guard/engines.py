"""Engines whose training step returns what a test says."""

from __future__ import annotations

import inspect
import io
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events

HAS_MAX_ITERS = "max_iters" in inspect.signature(Engine.run).parameters
needs_max_iters = pytest.mark.skipif(not HAS_MAX_ITERS, reason="this Ignite has no run(..., max_iters=)")


def healthy(iteration: int, steps: int = 2) -> dict[str, Any]:
    """The output of a critic that separates the two with a gap of about 2."""
    wiggle = 0.1 * math.sin(iteration)
    real = torch.full((steps,), 1.0 + wiggle)
    fake = torch.full((steps,), -1.0)
    return {
        "d_real": real,
        "d_fake": fake,
        "d_loss": fake - real,
        "g_loss": torch.tensor(1.0),
        "g_fake": torch.tensor(-1.0),
    }


def broken(iteration: int, steps: int = 2) -> dict[str, Any]:
    """The same with a generator loss that is not a number."""
    return healthy(iteration, steps) | {"g_loss": torch.tensor(math.nan)}


def exploded(iteration: int, steps: int = 2) -> dict[str, Any]:
    """The same with scores a million times as large."""
    return {key: value * 1e6 for key, value in healthy(iteration, steps).items()}


def trainer_of(output: Callable[[int], Any]) -> Engine:
    """Return an engine whose step returns ``output(iteration)``."""
    return Engine(lambda engine, batch: output(engine.state.iteration))


def published(trainer: Engine) -> Any:
    """Return engine.state, which takes any attribute; its type knows of none."""
    return trainer.state


def record_steps(trainer: Engine) -> list[int]:
    """Record the critic updates that each iteration is run with."""
    seen: list[int] = []
    trainer.add_event_handler(
        Events.ITERATION_STARTED, lambda _: seen.append(published(trainer).num_discriminator_steps)
    )
    return seen


def through_file(state: Any) -> Any:
    """Save and load as a checkpoint is."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)
