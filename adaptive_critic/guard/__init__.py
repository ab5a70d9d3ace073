"""Divergence: the rules that detect it, and the handler that acts on it."""

from adaptive_critic.guard.actions import MODES
from adaptive_critic.guard.handler import DivergenceGuard, as_guard
from adaptive_critic.guard.rules import DivergenceRules

__all__ = ["MODES", "DivergenceGuard", "DivergenceRules", "as_guard"]
