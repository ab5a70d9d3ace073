"""Non-saturating loss with R1 and the optimizer of StyleGAN2, as published.

Source: Karras et al., "Analyzing and improving the image quality of StyleGAN", 2020: Adam with 2e-3 and betas (0,
0.99), gamma 10, one critic update. Images and networks are smaller, and the penalty is taken at every critic update.
"""

from __future__ import annotations

import functools

import torch

from experiments.tasks._images import image_task

TASK = image_task(
    name="published-r1",
    title="R1 as published",
    suite="evaluation",
    data="mnist-5k",
    network="dcgan",
    side=14,
    objective="non-saturating",
    penalties={"r1": 10.0},
    optimizer=functools.partial(torch.optim.Adam, betas=(0.0, 0.99), fused=True),
    rates=(2e-3, 2e-3),
    batch_size=32,
    width=16,
    note="R1 with gamma 10, Adam (0, 0.99)",
    budget=2_000.0,
    seconds=40.0,
)
