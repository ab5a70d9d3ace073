"""8 Gaussians on a circle, WGAN-GP."""

from __future__ import annotations

from experiments.tasks._planar import planar_task

TASK = planar_task(
    name="ring",
    title="Ring of 8",
    suite="development",
    problem="ring",
    budget=8_000.0,
    seconds=10.0,
)
