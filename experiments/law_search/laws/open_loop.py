"""Schedules: the ratio is a function of the iteration."""

from __future__ import annotations

import math

from experiments.law_search.laws.base import Law, Observation


class Reference(Law):
    """The WGAN reference schedule: 100 for iterations 1 to 25 and 501, 1001, ..., else 5."""

    def __init__(self) -> None:
        super().__init__(100.0)
        self.iteration = 1

    def update(self, observation: Observation) -> float:
        """Count iterations only."""
        self.iteration += 1
        return 100.0 if self.iteration <= 25 or self.iteration % 500 == 1 else 5.0


class Decay(Law):
    """Open loop: ratio = end + (start - end) * exp(-iteration / time)."""

    def __init__(self, start: float, end: float, time: float) -> None:
        super().__init__(start)
        self.start, self.end, self.time, self.iteration = start, end, time, 0

    def update(self, observation: Observation) -> float:
        """Count iterations only."""
        self.iteration += 1
        return self.end * math.exp(math.log(self.start / self.end) * math.exp(-self.iteration / self.time))
