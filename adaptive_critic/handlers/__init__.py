"""The named controllers: a constructor each, almost nothing else."""

from adaptive_critic.handlers.gap import WassersteinGapController
from adaptive_critic.handlers.open_loop import FixedController, StepDecayController, WGANReferenceController

__all__ = ["FixedController", "StepDecayController", "WGANReferenceController", "WassersteinGapController"]
