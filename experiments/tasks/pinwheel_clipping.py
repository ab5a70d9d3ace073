"""The pinwheel with weight clipping instead of the gradient penalty."""

from __future__ import annotations

from experiments.tasks._planar import planar_task

TASK = planar_task(
    name="pinwheel-clipping",
    title="Pinwheel, clipping",
    suite="evaluation",
    problem="pinwheel",
    objective="wasserstein-clip",
    penalties={"clip": 0.1},
    note="weights clipped to 0.1",
    depth=2,
    batch_size=64,
    budget=6_000.0,
    seconds=6.0,
)
