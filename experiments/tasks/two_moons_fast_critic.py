"""Two moons with the critic learning five times as fast as the generator."""

from __future__ import annotations

from experiments.tasks._planar import planar_task

TASK = planar_task(
    name="two-moons-fast-critic",
    title="Two moons, critic rate x 5",
    suite="evaluation",
    problem="two-moons",
    rates=(1e-3, 5e-3),
    note="critic rate five times the generator rate",
    depth=2,
    batch_size=64,
    budget=6_000.0,
    seconds=6.0,
)
