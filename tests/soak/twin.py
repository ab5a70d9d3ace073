"""What a feedback controller has to do, told in a few lines: laws and signals are shared with it, the rest is not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Any

from adaptive_critic.handlers.base import FeedbackController
from adaptive_critic.laws import Observation
from adaptive_critic.signals import Signal

__all__ = ["Twin"]


class Twin:
    """The real-valued ratio of a run in which nothing goes wrong but that some iterations are left out.

    It sees outputs alone. It is never saved, loaded, attached, interrupted or overridden: it is told which iterations
    to leave out, and an observation that is not finite leaves it as it is. So a controller that all this was done to
    has to have its ratio at every iteration, to the last bit.

    Args:
        controller: whose law, start and limits it takes; it is not touched.
        signal: the one that the controller's law needs.
    """

    def __init__(self, controller: FeedbackController, signal: Signal) -> None:
        self.law = controller.law
        self.limits = controller.limits
        self.ratio = controller.ratio
        self.held = 0
        """decisions that a bad observation has held"""
        self._signal = signal
        self._every = controller.update_every
        self._state: tuple[Any, ...] = self.law.init(self.ratio)
        self._elapsed = 0
        self._since = 0
        self.leave_out()
        self._elapsed = 0

    def leave_out(self) -> None:
        """Leave an iteration out: nothing is compared across it, and what waited for a decision is dropped."""
        self._before: tuple[float, ...] | None = None
        self._waiting: list[tuple[float, ...]] = []
        self._elapsed += 1

    def clamp(self, limits: tuple[int, int]) -> None:
        """Take other limits, which hold at once."""
        self.limits = limits
        self.ratio = self.clamped(self.ratio)

    def clamped(self, ratio: float) -> float:
        """Return the ratio, or the bound that it is beyond."""
        assert self.limits is not None
        lower, upper = self.limits
        return min(max(ratio, float(lower) if self.law.whole else max(float(lower), 0.1)), float(upper))

    def observe(self, output: Any, steps: int) -> None:
        """Take in an iteration that was not left out."""
        picked = self._signal.pick(output, steps)
        if picked is not None:
            row = tuple(float(value) for value in picked.scalars)
            if not self._signal.paired:
                self._waiting.append(self._combined(row))
            else:
                if picked.observed and self._before is not None:
                    self._waiting.append(self._combined(row + self._before))
                self._before = row
        self._since += 1
        self._elapsed += 1
        if self._since >= self._every:
            self._since = 0
            self._decide()

    def _combined(self, row: tuple[float, ...]) -> tuple[float, ...]:
        try:
            return self._signal.combine(*row)
        except ZeroDivisionError:
            return (math.nan,) * len(self._signal.names)

    def _decide(self) -> None:
        seen, self._waiting = self._waiting, []
        if not seen:
            return
        count = len(seen)
        mean = tuple(_sum(values) / count for values in zip(*seen, strict=True))
        square = tuple(_sum([value * value for value in values]) / count for values in zip(*seen, strict=True))
        lowest, highest = self._signal.domain
        if not all(map(math.isfinite, mean + square)) or not lowest - 1e-3 <= mean[0] <= highest + 1e-3:
            self.held += 1
            return
        observation = Observation(mean, square, count, count, self._elapsed)
        self._elapsed = 0
        self._state, proposed, *_ = self.law.update(self._state, observation, self.ratio)  # type: ignore[call-arg]
        self.ratio = self.clamped(proposed)


def _sum(values: Sequence[float]) -> float:
    """Add from the left, rounding each time: ``sum`` is more exact since Python 3.12."""
    return reduce(add, values, 0.0)
