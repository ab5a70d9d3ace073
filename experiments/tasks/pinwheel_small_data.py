"""The pinwheel from 128 real points, judged against points that no one trains on."""

from __future__ import annotations

from experiments.tasks._planar import planar_task

TASK = planar_task(
    name="pinwheel-small-data",
    title="Pinwheel, 128 real points",
    suite="evaluation",
    problem="pinwheel",
    real_points=128,
    note="overfits: 128 real points, quality on held-out points",
    depth=2,
    batch_size=64,
    budget=6_000.0,
    seconds=6.0,
)
