"""Audit of a training loop: finds faults in its alternation within some iterations."""

from adaptive_critic.audit.alternation import AlternationAudit, AlternationError

__all__ = ["AlternationAudit", "AlternationError"]
