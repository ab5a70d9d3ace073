"""Two moons with the critic learning five times more slowly than the generator."""

from __future__ import annotations

from experiments.tasks._planar import planar_task

TASK = planar_task(
    name="two-moons-slow-critic",
    title="Two moons, critic rate 1/5",
    suite="evaluation",
    problem="two-moons",
    rates=(1e-3, 2e-4),
    note="critic rate a fifth of the generator rate",
    depth=2,
    batch_size=64,
    budget=6_000.0,
    seconds=6.0,
)
