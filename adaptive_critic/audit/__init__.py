"""Looks at a training loop for some iterations, and says what is wrong with its alternation."""

from adaptive_critic.audit.alternation import AlternationAudit, AlternationError

__all__ = ["AlternationAudit", "AlternationError"]
