"""Adapters for loops written elsewhere that read their number of critic updates from an attribute."""

from adaptive_critic.adapters.attribute import AttributeActuator

__all__ = ["AttributeActuator"]
