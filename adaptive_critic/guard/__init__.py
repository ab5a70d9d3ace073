"""Divergence: the rules that detect it, and the handler that acts on it."""

from adaptive_critic.guard.handler import MODES, DivergenceGuard, as_guard

__all__ = ["MODES", "DivergenceGuard", "as_guard"]
