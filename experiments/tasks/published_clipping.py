"""WGAN as published: RMSprop, weights clipped to 0.01.

Source: Arjovsky, Chintala, Bottou, "Wasserstein GAN", 2017, algorithm 1: RMSprop with 5e-5, clipping at 0.01, batches
of 64, five critic updates; with the batch normalisation of the authors' code. Images and networks are smaller.
"""

from __future__ import annotations

import torch

from experiments.tasks._images import image_task

TASK = image_task(
    name="published-clipping",
    title="WGAN as published",
    suite="evaluation",
    data="mnist-5k",
    network="dcgan",
    side=14,
    objective="wasserstein-clip",
    penalties={"clip": 0.01},
    norm="batch",
    optimizer=torch.optim.RMSprop,
    rates=(5e-5, 5e-5),
    width=16,
    note="RMSprop, weights clipped to 0.01",
    budget=4_000.0,
    seconds=46.0,
)
