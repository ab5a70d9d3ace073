"""A whole GAN trainer from two networks and their optimizers, and the objectives behind it."""

from __future__ import annotations

from adaptive_critic.training.objectives import (
    OBJECTIVES,
    Objective,
    get_objective,
    gradient_penalty,
    r1_penalty,
)
from adaptive_critic.training.step import GANTrainingStep, MicroBatch
from adaptive_critic.training.trainer import create_gan_trainer

__all__ = [
    "OBJECTIVES",
    "GANTrainingStep",
    "MicroBatch",
    "Objective",
    "create_gan_trainer",
    "get_objective",
    "gradient_penalty",
    "r1_penalty",
]
