"""Pure control laws: floats in, floats out, frozen configuration, explicit state. Standard library only."""

from adaptive_critic.laws.base import FeedbackLaw, Observation, RatedLaw, Schedule
from adaptive_critic.laws.gap import GapShareLaw
from adaptive_critic.laws.pid import DistancePIDLaw, PIDLaw, RatesPIDLaw, SharePIDLaw
from adaptive_critic.laws.published import (
    AccuracyGateLaw,
    AccuracyLadderLaw,
    LossChangeRateLaw,
    TwoThresholdLaw,
)
from adaptive_critic.laws.schedules import Constant, ExponentialDecay, Milestones, WGANReference

__all__ = [
    "AccuracyGateLaw",
    "AccuracyLadderLaw",
    "Constant",
    "DistancePIDLaw",
    "ExponentialDecay",
    "FeedbackLaw",
    "GapShareLaw",
    "LossChangeRateLaw",
    "Milestones",
    "Observation",
    "PIDLaw",
    "RatedLaw",
    "RatesPIDLaw",
    "Schedule",
    "SharePIDLaw",
    "TwoThresholdLaw",
    "WGANReference",
]
