"""Fashion-MNIST 28x28, perceptrons, WGAN-GP."""

from __future__ import annotations

from experiments.tasks._images import image_task

TASK = image_task(
    name="fashion",
    title="Fashion-MNIST",
    suite="evaluation",
    data="fashion-mnist",
    network="mlp",
    penalties={"gradient_penalty": 10.0},
    rates=(5e-4, 5e-4),
    budget=3_000.0,
    seconds=22.0,
)
