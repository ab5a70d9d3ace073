"""DCGAN as published: batch normalisation in both networks, non-saturating loss, no penalty.

Source: Radford, Metz, Chintala, "Unsupervised representation learning with deep convolutional generative adversarial
networks", 2016: Adam with 2e-4 and betas (0.5, 0.999), batches of 128, one critic update. Images and networks are
smaller.
"""

from __future__ import annotations

import functools

import torch

from experiments.tasks._images import image_task

TASK = image_task(
    name="published-dcgan",
    title="DCGAN as published",
    suite="evaluation",
    data="mnist-5k",
    network="dcgan",
    side=14,
    objective="non-saturating",
    penalties={},
    norm="batch",
    optimizer=functools.partial(torch.optim.Adam, betas=(0.5, 0.999), fused=True),
    rates=(2e-4, 2e-4),
    batch_size=128,
    width=16,
    note="batch normalisation, no penalty",
    budget=2_000.0,
    seconds=40.0,
)
