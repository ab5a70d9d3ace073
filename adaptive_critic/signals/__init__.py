"""One class per signal: scalars of a step's output, and the numbers that a law gets from them."""

from adaptive_critic.signals.accuracy import GeneratedAccuracy
from adaptive_critic.signals.base import Picked, Signal
from adaptive_critic.signals.from_metrics import GapShareFromMetrics, RunningMetrics
from adaptive_critic.signals.gap import GapShare
from adaptive_critic.signals.losses import (
    BothLosses,
    CriticLoss,
    CriticLossChecked,
    LastLoss,
    LossChanges,
    RelativeLossChanges,
)

__all__ = [
    "BothLosses",
    "CriticLoss",
    "CriticLossChecked",
    "GapShare",
    "GapShareFromMetrics",
    "GeneratedAccuracy",
    "LastLoss",
    "LossChanges",
    "Picked",
    "RelativeLossChanges",
    "RunningMetrics",
    "Signal",
]
