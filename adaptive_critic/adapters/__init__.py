"""Between this package and code that knows nothing of it: Ignite's schedulers, and loops that read an attribute."""

from adaptive_critic.adapters.attribute import AttributeActuator
from adaptive_critic.adapters.scheduler import SchedulerAdapter

__all__ = ["AttributeActuator", "SchedulerAdapter"]
