"""Fashion-MNIST shrunk to 14x14, convolutional networks, WGAN-GP."""

from __future__ import annotations

from experiments.tasks._images import image_task

TASK = image_task(
    name="dcgan",
    title="Fashion-MNIST 14x14, DCGAN",
    suite="evaluation",
    data="fashion-mnist",
    network="dcgan",
    side=14,
    penalties={"gradient_penalty": 10.0},
    rates=(5e-4, 5e-4),
    batch_size=32,
    width=16,
    budget=2_000.0,
    seconds=22.0,
)
