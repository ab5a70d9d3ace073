"""The named controllers: a constructor each, almost nothing else."""

from adaptive_critic.handlers.gap import WassersteinGapController
from adaptive_critic.handlers.open_loop import FixedController, StepDecayController, WGANReferenceController
from adaptive_critic.handlers.pid import LossRatioPIDController
from adaptive_critic.handlers.published import (
    AccuracyGateController,
    AccuracyLadderController,
    LossChangeRateController,
    TwoThresholdController,
)

__all__ = [
    "AccuracyGateController",
    "AccuracyLadderController",
    "FixedController",
    "LossChangeRateController",
    "LossRatioPIDController",
    "StepDecayController",
    "TwoThresholdController",
    "WGANReferenceController",
    "WassersteinGapController",
]
