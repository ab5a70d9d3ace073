"""Handlers for PyTorch-Ignite that choose how many critic updates each generator update of a GAN gets.

From the output of one iteration to the number that the next one reads:

- ``step_output.py`` reads the output, ``signals/`` pick what a law needs, ``decision/window.py`` gathers it;
- ``laws/`` propose a ratio, ``decision/feedback.py`` clamps it to the limits, ``rounding.py`` makes it a whole number
  (``decision/schedule.py`` does both for open loops);
- ``handler.py`` sees to it that each iteration counts once, ``alternation.py`` takes the decision's number or that of
  an override, ``controller.py`` writes it, and ``rate.py`` multiplies the critic's learning rate.

Everything public raises a TypeError for an argument of the wrong type, and a ValueError for one that is out of range
or contradicts another. The message quotes it. Docstrings name what is raised beyond that.
"""

from adaptive_critic.adapters import AttributeActuator
from adaptive_critic.audit import AlternationAudit, AlternationError
from adaptive_critic.budget import StopAtBudget
from adaptive_critic.data import InfiniteBatches, infinite_batches
from adaptive_critic.events import CriticEvents
from adaptive_critic.guard import DivergenceGuard
from adaptive_critic.handlers import (
    AccuracyGateController,
    AccuracyLadderController,
    CriticEffortController,
    FixedController,
    LossChangeRateController,
    LossRatioPIDController,
    LossVarianceController,
    SchedulerAdapter,
    StepDecayController,
    TwoThresholdController,
    WassersteinGapController,
    WGANReferenceController,
)
from adaptive_critic.history import ControllerHistory, plot_history
from adaptive_critic.metrics import WassersteinGap
from adaptive_critic.resume import ResumeDifference, check_resume, complete_recipe, resume_exactly
from adaptive_critic.rounds import Rounds
from adaptive_critic.state import StateError
from adaptive_critic.step_output import StepOutput, StepOutputError
from adaptive_critic.training import (
    OBJECTIVES,
    GANTrainingStep,
    Objective,
    create_gan_trainer,
)

__version__ = "0.2.0"

__all__ = [
    "OBJECTIVES",
    "AccuracyGateController",
    "AccuracyLadderController",
    "AlternationAudit",
    "AlternationError",
    "AttributeActuator",
    "ControllerHistory",
    "CriticEffortController",
    "CriticEvents",
    "DivergenceGuard",
    "FixedController",
    "GANTrainingStep",
    "InfiniteBatches",
    "LossChangeRateController",
    "LossRatioPIDController",
    "LossVarianceController",
    "Objective",
    "ResumeDifference",
    "Rounds",
    "SchedulerAdapter",
    "StateError",
    "StepDecayController",
    "StepOutput",
    "StepOutputError",
    "StopAtBudget",
    "TwoThresholdController",
    "WGANReferenceController",
    "WassersteinGap",
    "WassersteinGapController",
    "check_resume",
    "complete_recipe",
    "create_gan_trainer",
    "infinite_batches",
    "plot_history",
    "resume_exactly",
]
