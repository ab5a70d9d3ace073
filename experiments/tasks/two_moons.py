"""Two half circles, WGAN-GP: the problem whose axes the tasks two_moons_* vary."""

from __future__ import annotations

from experiments.tasks._planar import planar_task

TASK = planar_task(
    name="two-moons",
    title="Two moons",
    suite="evaluation",
    problem="two-moons",
    depth=2,
    batch_size=64,
    budget=6_000.0,
    seconds=6.0,
)
