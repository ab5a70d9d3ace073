"""A noisy spiral, WGAN-GP."""

from __future__ import annotations

from experiments.tasks._planar import planar_task

TASK = planar_task(
    name="swiss-roll",
    title="Swiss roll",
    suite="development",
    problem="swiss-roll",
    budget=8_000.0,
    seconds=10.0,
)
