"""Controls for timing: the mean n of another run, without that run's sense of time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from ignite.engine import Engine, Events

from adaptive_critic.rounding import carry_over, rounded


class HeldMean:
    """Hold a real-valued n, rounded with the error carried over: 2.3 becomes 2, 2, 3, 2, 2, 3, 2, ...

    Args:
        steps: Mean number of critic updates per generator update, at least 0.
    """

    def __init__(self, steps: float) -> None:
        if not (math.isfinite(steps) and steps >= 0.0):
            raise ValueError(f"steps={steps!r}: must be a finite number of at least 0")
        self.steps = steps
        self.carry = 0.0

    def attach(self, engine: Engine) -> None:
        """Set the number before each iteration."""
        engine.add_event_handler(Events.ITERATION_STARTED, self._write)

    def _write(self, engine: Engine) -> None:
        n = rounded(self.steps, self.carry)
        self.carry = carry_over(self.steps, self.carry, n)
        engine.state.num_discriminator_steps = n  # type: ignore[attr-defined]  # State takes any attribute

    def state_dict(self) -> dict[str, Any]:
        """Return what the last rounding left over."""
        return {"carry": self.carry}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what the last rounding left over."""
        self.carry = float(state["carry"])


class RandomSteps:
    """Draw n afresh for each iteration: log-uniform between limits, then moved to the mean that is asked for.

    A draw r is uniform on a logarithmic scale in [steps / spread, steps * spread], divided by that distribution's mean
    over ``steps``, and rounded with the error carried over.

    Args:
        steps: Mean number of critic updates per generator update, above 0.
        seed: Of the draws.
        spread: Factor between the mean's neighbourhood and its ends, above 1.
    """

    def __init__(self, steps: float, seed: int, spread: float = 3.0) -> None:
        if not (math.isfinite(steps) and steps > 0.0):
            raise ValueError(f"steps={steps!r}: must be a finite number above 0")
        if not spread > 1.0:
            raise ValueError(f"spread={spread!r}: must be above 1")
        self.width = math.log(spread)
        # The mean of exp(u), u uniform in [-width, width], is sinh(width) / width.
        self.centre = steps * self.width / math.sinh(self.width)
        self.carry = 0.0
        self.random = torch.Generator().manual_seed(seed)

    def attach(self, engine: Engine) -> None:
        """Set the number before each iteration."""
        engine.add_event_handler(Events.ITERATION_STARTED, self._write)

    def _write(self, engine: Engine) -> None:
        position = 2.0 * torch.rand((), generator=self.random).item() - 1.0
        ratio = self.centre * math.exp(self.width * position)
        n = rounded(ratio, self.carry)
        self.carry = carry_over(ratio, self.carry, n)
        engine.state.num_discriminator_steps = n  # type: ignore[attr-defined]  # State takes any attribute

    def state_dict(self) -> dict[str, Any]:
        """Return the carry and the state of the draws."""
        return {"carry": self.carry, "random": self.random.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the carry and the state of the draws."""
        self.carry = float(state["carry"])
        self.random.set_state(state["random"])
