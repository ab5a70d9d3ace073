"""25 Gaussians on a square lattice, WGAN-GP."""

from __future__ import annotations

from experiments.tasks._planar import planar_task

TASK = planar_task(
    name="grid",
    title="Grid of 25",
    suite="development",
    problem="grid",
    budget=8_000.0,
    seconds=10.0,
)
