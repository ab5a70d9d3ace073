"""Decisions: how many critic updates the next iteration gets. They see outputs and numbers, but no engine."""

from adaptive_critic.decision.base import Decision
from adaptive_critic.decision.bounds import LOWEST_RATIO, Limits, any_limits
from adaptive_critic.decision.feedback import Feedback
from adaptive_critic.decision.law_state import Law
from adaptive_critic.decision.schedule import OpenLoop

__all__ = ["LOWEST_RATIO", "Decision", "Feedback", "Law", "Limits", "OpenLoop", "any_limits"]
