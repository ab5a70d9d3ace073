"""Sums for a run's summary, and a warning if the number of critic updates stays at its upper limit."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

from adaptive_critic import state as saved

_AT_LIMIT = 100  # iterations in a row

_logger = logging.getLogger("adaptive_critic")


class RunSummary:
    """Counts how often the number of critic updates is at a limit, and sums up the critic's learning rate.

    Args:
        initial: critic updates of a run's first iteration. A number that starts at its upper limit belongs there.
    """

    def __init__(self, initial: int) -> None:
        self._initial = initial
        self._lowest = 0  # iterations at the lower limit
        self._highest = 0  # at the upper
        self._in_a_row = 0  # the latest of those, without a break
        self._logged = False
        self._rates = 0.0  # sum of multipliers

    def count(self, steps: int, limits: tuple[int, int] | None, rate: float | None) -> None:
        """Count an iteration.

        Args:
            steps: critic updates that it was asked for.
            limits: (lower, upper) of a number that the controller's rule decided; None for any other.
            rate: multiplier of the critic's learning rate, None if the controller leaves it alone.
        """
        if rate is not None:
            self._rates += rate
        if limits is None:
            return
        lower, upper = limits
        self._lowest += steps == lower
        self._highest += steps == upper
        self._in_a_row = self._in_a_row + 1 if max(self._initial, lower) < upper == steps else 0
        if self._in_a_row >= _AT_LIMIT and not self._logged:
            self._logged = True
            _logger.warning(
                "n has been at its upper limit, %d, for %d iterations: the critic may need more than that. Raise the "
                "critic's learning rate, %s, or allow more updates by limits=. If critic_signal is inf or near 1, "
                "check first that higher scores mean more real in d_real, d_fake and g_fake, from before a sigmoid",
                steps, self._in_a_row, "let CriticEffortController raise it" if rate is None else "raise rates=",
            )  # fmt: skip

    def line(self, critic_updates: int, iterations: int, limited: bool, rated: bool) -> str:
        """Return the summary in one line.

        Args:
            critic_updates: of the run.
            iterations: of the run.
            limited: whether the controller decides within limits.
            rated: whether it decides the critic's learning rate.
        """
        count = max(iterations, 1)
        parts = [f"{iterations} iterations", f"mean n {critic_updates / count:.3g}"]
        if rated:
            parts.append(f"mean rate {self._rates / count:.3g}")
        if limited:
            parts.append(f"n at its lower limit {self._lowest / count:.0%}, at its upper {self._highest / count:.0%}")
        return ", ".join(parts)

    def state_dict(self) -> dict[str, Any]:
        """Return the sums: a list of ints and a float."""
        counts = [self._lowest, self._highest, self._in_a_row, int(self._logged)]
        return {"at_limits": counts, "rates": self._rates}

    @staticmethod
    def read_state(state: Mapping[str, Any]) -> tuple[tuple[int, ...], float]:
        """Return the sums in a state, checked; early states have none.

        Raises:
            StateError: if they are out of range.
        """
        if "at_limits" not in state:
            return (0, 0, 0, 0), 0.0
        return saved.integers(state, "at_limits", 4), saved.number(state, "rates", 0.0, math.inf)

    def restore(self, state: tuple[tuple[int, ...], float]) -> None:
        """Go on from what ``read_state`` returned."""
        (self._lowest, self._highest, self._in_a_row, logged), self._rates = state
        self._logged = logged > 0
