"""Spectral normalisation and hinge loss with two time scales, as published.

Source: Miyato et al., "Spectral normalization for generative adversarial networks", 2018, with the rates of Zhang et
al., "Self-attention generative adversarial networks", 2019: Adam with 1e-4 for the generator, 4e-4 for the critic,
betas (0, 0.9), batches of 64, one critic update. Images and networks are smaller.
"""

from __future__ import annotations

import functools

import torch

from experiments.tasks._images import image_task

TASK = image_task(
    name="published-spectral",
    title="Spectral normalisation as published",
    suite="evaluation",
    data="mnist-5k",
    network="dcgan",
    side=14,
    objective="hinge",
    penalties={},
    norm="spectral",
    optimizer=functools.partial(torch.optim.Adam, betas=(0.0, 0.9), fused=True),
    rates=(1e-4, 4e-4),
    width=16,
    note="critic's rate four times the generator's already",
    budget=3_000.0,
    seconds=40.0,
)
