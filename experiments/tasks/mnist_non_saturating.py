"""MNIST-5k 28x28, perceptrons, non-saturating loss with R1."""

from __future__ import annotations

from experiments.tasks._images import image_task

TASK = image_task(
    name="mnist-non-saturating",
    title="MNIST-5k, non-saturating + R1",
    suite="evaluation",
    data="mnist-5k",
    network="mlp",
    objective="non-saturating",
    penalties={"r1": 5.0},
    rates=(5e-4, 5e-4),
    note="R1 with gamma 5",
    budget=3_000.0,
    seconds=22.0,
)
