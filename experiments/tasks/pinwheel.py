"""5 bent Gaussians, WGAN-GP: the problem whose axes the tasks pinwheel_* vary."""

from __future__ import annotations

from experiments.tasks._planar import planar_task

TASK = planar_task(
    name="pinwheel",
    title="Pinwheel",
    suite="evaluation",
    problem="pinwheel",
    depth=2,
    batch_size=64,
    budget=6_000.0,
    seconds=6.0,
)
