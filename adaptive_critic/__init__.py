"""Handlers for PyTorch-Ignite that choose how many critic updates each generator update of a GAN gets."""

from adaptive_critic.events import CriticEvents
from adaptive_critic.handlers import (
    FixedController,
    StepDecayController,
    WassersteinGapController,
    WGANReferenceController,
)

__version__ = "0.1.0"

__all__ = [
    "CriticEvents",
    "FixedController",
    "StepDecayController",
    "WGANReferenceController",
    "WassersteinGapController",
]
