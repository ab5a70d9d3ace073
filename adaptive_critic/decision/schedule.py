"""Open loop: the number of critic updates is a function of the iteration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from adaptive_critic.checks import limits_pair
from adaptive_critic.exchange import Ranks
from adaptive_critic.laws import Schedule


class OpenLoop:
    """Gives a schedule's value, clamped to the limits.

    Args:
        schedule: gives a whole number for each index; iteration 1 reads the value at 0.
        limits: (lower, upper), or None for the schedule's own values.
        configured: (lowest, highest) value of the schedule that limits have to include. Clamping a number that the user
            gave would hide a mistake. None for values that limits may clamp.
    """

    takes_any_output = False
    ratio = None
    rate = None
    measurement = math.nan

    def __init__(
        self, schedule: Schedule, limits: tuple[int, int] | None, configured: tuple[float, float] | None = None
    ) -> None:
        self.schedule = schedule
        self._configured = () if configured is None else configured
        self.limits = limits

    @property
    def limits(self) -> tuple[int, int] | None:
        """(lower, upper), or None."""
        return self._limits

    @limits.setter
    def limits(self, limits: tuple[int, int] | None) -> None:
        pair = None if limits is None else limits_pair(limits)
        for value in self._configured:
            if pair is not None and not pair[0] <= value <= pair[1]:
                raise ValueError(f"limits={limits!r}: {self.schedule!r} gives {value:g}, outside of them")
        self._limits = pair

    def steps(self, index: int) -> int:
        """Return the schedule's value at ``index``."""
        steps = int(self.schedule.value(index))
        return steps if self._limits is None else min(max(steps, self._limits[0]), self._limits[1])

    def clear(self) -> None:
        """Do nothing: an open loop has no state."""

    def begin(self, ranks: Ranks) -> None:
        """Do nothing: an open loop is the same on all ranks."""

    def observe(self, output: Any, metrics: Mapping[str, Any], steps: int) -> None:
        """Do nothing: an open loop observes nothing."""

    def skip(self, iterations: int = 1) -> None:
        """An open loop compares nothing."""

    def ran(self, steps: int, ratio: float) -> None:
        """Do nothing: an open loop carries nothing over."""

    def settings(self) -> str:
        """Return the limits."""
        return f"limits={self._limits!r}"

    def fingerprint(self) -> Any:
        """Return None: an open loop has no state that ranks could disagree on."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """Return an empty dict: the engine holds the iteration."""
        return {}

    def read_state(self, state: Mapping[str, Any], steps: int | None) -> None:
        """Return None: there is no state to read."""

    def restore(self, state: None) -> None:
        """Do nothing: there is no state to restore."""
