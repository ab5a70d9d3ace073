"""Divergence: the rules that detect it, and the handler that acts on it."""

from adaptive_critic.guard.divergence import DivergenceRules
from adaptive_critic.guard.handler import DivergenceGuard, as_guard

__all__ = ["DivergenceGuard", "DivergenceRules", "as_guard"]
