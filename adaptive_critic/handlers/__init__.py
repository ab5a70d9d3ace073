"""The named controllers, each little more than a constructor."""

from adaptive_critic.handlers.accuracy_rules import AccuracyGateController, AccuracyLadderController
from adaptive_critic.handlers.effort import CriticEffortController
from adaptive_critic.handlers.gap import WassersteinGapController
from adaptive_critic.handlers.loss_rules import (
    LossChangeRateController,
    LossVarianceController,
    TwoThresholdController,
)
from adaptive_critic.handlers.open_loop import FixedController, StepDecayController, WGANReferenceController
from adaptive_critic.handlers.pid import LossRatioPIDController
from adaptive_critic.handlers.scheduler import SchedulerAdapter

__all__ = [
    "AccuracyGateController",
    "AccuracyLadderController",
    "CriticEffortController",
    "FixedController",
    "LossChangeRateController",
    "LossRatioPIDController",
    "LossVarianceController",
    "SchedulerAdapter",
    "StepDecayController",
    "TwoThresholdController",
    "WGANReferenceController",
    "WassersteinGapController",
]
