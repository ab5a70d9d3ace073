"""The pinwheel with the hinge loss and R1."""

from __future__ import annotations

from experiments.tasks._planar import planar_task

TASK = planar_task(
    name="pinwheel-hinge",
    title="Pinwheel, hinge + R1",
    suite="evaluation",
    problem="pinwheel",
    objective="hinge",
    penalties={"r1": 0.1},
    note="R1 with gamma 0.1",
    depth=2,
    batch_size=64,
    budget=6_000.0,
    seconds=6.0,
)
