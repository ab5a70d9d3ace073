"""Two moons with dropout in the critic, which makes its scores noisy."""

from __future__ import annotations

from experiments.tasks._planar import planar_task

TASK = planar_task(
    name="two-moons-noisy-critic",
    title="Two moons, noisy critic",
    suite="evaluation",
    problem="two-moons",
    dropout=0.2,
    note="dropout 0.2 in the critic",
    depth=2,
    batch_size=64,
    budget=6_000.0,
    seconds=6.0,
)
