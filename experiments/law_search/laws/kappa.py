"""Integral control on kappa, the share of the gap that one generator update uses up."""

from __future__ import annotations

import math

from experiments.law_search.laws.averages import Average, Window
from experiments.law_search.laws.base import Law, Observation


class Kappa(Law):
    """x += rate * clip(log(kappa / setpoint), -1, 1), n = exp(x).

    kappa = (fall of the gap by one generator update) / (gap before it), both averaged.
    """

    def __init__(
        self,
        setpoint: float = 0.05,
        limits: tuple[float, float] = (2.0, 20.0),
        start: float = 4.0,
        rate: float = 0.02,
        decay: float = 0.95,
        hold: int = 20,
        gate: float = 0.0,
        home: float = 4.0,
        down: float = 1.0,
    ) -> None:
        super().__init__(start)
        self.setpoint, self.limits, self.rate, self.hold = setpoint, limits, rate, hold
        self.gate, self.home, self.down = gate, home, down
        self.fall, self.gap = Average(decay), Average(decay)
        self.previous: float | None = None
        self.x, self.count, self.kappa = math.log(start), 0, math.nan

    def update(self, observation: Observation) -> float:
        """One iteration."""
        if observation.real and self.previous is not None:
            self.fall.add(observation.fake[0] - self.previous)
            self.gap.add(observation.real[0] - self.previous)
            self.count += 1
            if self.count > self.hold:
                fall, gap = self.fall.mean, self.gap.mean
                if gap <= 0:
                    error = 1.0
                elif self.gate and fall < self.gate * self.fall.error:
                    error = max(-1.0, min(1.0, math.log(self.home) - self.x))
                elif fall <= 0:
                    error = -1.0
                else:
                    self.kappa = fall / gap
                    error = max(-1.0, min(1.0, math.log(fall / gap / self.setpoint)))
                if error < 0:
                    error *= self.down
                self.x += self.rate * error
                self.x = max(math.log(self.limits[0]), min(math.log(self.limits[1]), self.x))
        self.previous = observation.g_fake
        return math.exp(self.x)

    def report(self) -> dict[str, float]:
        """Averages and their errors."""
        return {"fall": self.fall.mean, "fall_error": self.fall.error, "gap": self.gap.mean}


class Lean(Law):
    """x += rate * clip(log(kappa / setpoint) - lean * x, -1, 1), n = exp(x): at rest kappa = setpoint * n**lean.

    lean = 0 is the kappa law; lean = 1 holds the marginal gain kappa / n at ``setpoint`` and is the integral form of
    n = sqrt(A / setpoint). ``optimism`` standard errors are added to the fall: too few updates cost more than too many.
    """

    def __init__(
        self,
        setpoint: float = 0.01,
        lean: float = 1.0,
        limits: tuple[float, float] = (1.0, 20.0),
        start: float = 4.0,
        rate: float = 0.05,
        longest: float = 20.0,
        optimism: float = 0.0,
        early: float = 0.0,
        share: float = 3.0,
        hold: int = 5,
        listen: bool = False,
        down: float = 1.0,
    ) -> None:
        super().__init__(start)
        self.listen, self.down = listen, down
        self.setpoint, self.lean, self.limits, self.rate = setpoint, lean, limits, rate
        self.optimism, self.early, self.hold = optimism, early, hold
        self.fall, self.gap = Window(longest, share), Window(longest, share)
        self.previous: float | None = None
        self.x, self.error = math.log(start), 0.0

    def update(self, observation: Observation) -> float:
        """One iteration."""
        if observation.real and self.previous is not None:
            if not self.listen:
                self.fall.add(observation.fake[0] - self.previous)
            elif math.isfinite(observation.gain):
                self.fall.add(observation.gain)
            self.gap.add(observation.real[0] - self.previous)
            if self.gap.count >= self.hold:
                fall, gap = self.fall.mean + self.optimism * self.fall.error, self.gap.mean
                self.error = 1.0 if gap <= 0 else -1.0
                if gap > 0 and fall > 0:
                    wanted = math.log(fall / gap / self.setpoint) - self.lean * self.x
                    self.error = max(-1.0, min(1.0, wanted))
                rate = max(self.rate, self.early / self.gap.count) * (self.down if self.error < 0 else 1.0)
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
