"""Step output to scalar tensors, without a device-to-host copy."""

from adaptive_critic.signals.base import Picked, Signal
from adaptive_critic.signals.gap import GapShare, GapShareFromMetrics
from adaptive_critic.signals.losses import (
    BothLosses,
    CriticLoss,
    CriticLossChecked,
    GeneratedAccuracy,
    LossChanges,
    RelativeLossChanges,
)
from adaptive_critic.signals.output import Scalar, StepOutputError

__all__ = [
    "BothLosses",
    "CriticLoss",
    "CriticLossChecked",
    "GapShare",
    "GapShareFromMetrics",
    "GeneratedAccuracy",
    "LossChanges",
    "Picked",
    "RelativeLossChanges",
    "Scalar",
    "Signal",
    "StepOutputError",
]
