"""The law on kappa with its time counted in critic updates."""

from __future__ import annotations

import math

from experiments.law_search.laws.averages import Window
from experiments.law_search.laws.base import Law, Observation


class Clock(Law):
    """The lean law with its time counted in critic updates, which are what costs, instead of iterations.

    x += rate * n * clip(log(kappa / setpoint) - lean * x, -1, 1), averages over the last ``span`` critic updates (at
    least ``shortest`` iterations). Without it, n = 20 is left as slowly per iteration as n = 2, at ten times the price.

    Args:
        setpoint: of kappa, at n = 1.
        lean: power of n with which the setpoint grows.
        limits: of n.
        start: n at the start.
        rate: per critic update.
        span: of the averages, in critic updates.
        shortest: of the averages, in iterations.
        optimism: standard errors added to the fall.
        share: early on the averages reach back over 1 / share of the run.
        hold: critic updates before the first move.
        fastest: largest rate per iteration.
        visible: contrast of the gap (mean over standard deviation from iteration to iteration) under which n is raised.
        weight: power of contrast / visible with which it is.
        slowest: smallest rate per iteration.
        doubt: largest share of the gap that optimism may add.
        floor: share of the gap that is always added to the fall; with lean = 1, n rests at (floor + kappa) / setpoint.
    """

    def __init__(
        self,
        setpoint: float = 0.012,
        lean: float = 0.5,
        limits: tuple[float, float] = (1.0, 20.0),
        start: float = 3.0,
        rate: float = 1 / 60,
        span: float = 60.0,
        shortest: float = 5.0,
        optimism: float = 0.5,
        share: float = 3.0,
        hold: float = 60.0,
        fastest: float = 0.3,
        visible: float = 0.0,
        weight: float = 1.0,
        slowest: float = 0.0,
        doubt: float = math.inf,
        floor: float = 0.0,
    ) -> None:
        super().__init__(start)
        self.setpoint, self.lean, self.limits, self.rate = setpoint, lean, limits, rate
        self.span, self.shortest, self.optimism, self.hold = span, shortest, optimism, hold
        self.share, self.fastest, self.slowest = share, fastest, slowest
        self.visible, self.weight, self.doubt, self.floor = visible, weight, doubt, floor
        self.fall, self.gap = Window(span, share), Window(span, share)
        self.previous: float | None = None
        self.x, self.error, self.updates = math.log(start), 0.0, 0

    def update(self, observation: Observation) -> float:
        """One iteration."""
        if observation.real and self.previous is not None:
            n = len(observation.real)
            self.updates += n
            self.fall.longest = self.gap.longest = max(self.shortest, self.span / n)
            self.fall.add(observation.fake[0] - self.previous)
            self.gap.add(observation.real[0] - self.previous)
            if self.updates >= self.hold:
                gap = self.gap.mean
                fall = self.fall.mean + min(self.optimism * self.fall.error, self.doubt * gap) + self.floor * gap
                self.error = 1.0 if gap <= 0 else -1.0
                if gap > 0 and fall > 0:
                    wanted = math.log(fall / gap / self.setpoint) - self.lean * self.x
                    if self.visible:
                        spread = math.sqrt(max(0.0, self.gap.square - gap**2))
                        wanted += self.weight * max(0.0, math.log(self.visible * spread / gap + 1e-30))
                    self.error = max(-1.0, min(1.0, wanted))
                rate = max(self.slowest, min(self.fastest, self.rate * n))
                low, high = math.log(self.limits[0]), math.log(self.limits[1])
                self.x = max(low, min(high, self.x + rate * self.error))
        self.previous = observation.g_fake
        return math.exp(self.x)

    def report(self) -> dict[str, float]:
        """Averages, the fall's standard error, and the error acted on."""
        return {
            "fall": self.fall.mean,
            "fall_error": self.fall.error,
            "gap": self.gap.mean,
            "error": self.error,
        }
