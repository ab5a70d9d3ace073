"""The law on kappa and on the swings of the gap, which became the package's gap law."""

from __future__ import annotations

import math

from experiments.law_search.laws.averages import Window
from experiments.law_search.laws.base import Law, Observation


class Swing(Law):
    """Leads n to the larger of two: what kappa asks for, and what holds the gap's swings at a share of the gap.

    r* = base + kappa / setpoint as before. The gap's variance from iteration to iteration has two parts: the noise of
    finite batches, and swings of the game. The first is known without a further forward: the fall u is the difference
    of two means over independent batches under one critic, so that its variance is the noise of such a difference,
    and swing^2 = variance(gap) - variance(u). Per iteration
    x += rate * clip(max(log(r* / n), log(swing / (steady * gap))), -1, 1).

    Args:
        setpoint: of kappa, for each critic update beyond ``base``.
        base: critic updates where the generator's update uses nothing up.
        steady: swing over gap above which n rises; infinite switches it off.
        start: n at the start.
        span: iterations of the averages.
        swing_span: iterations of the two variances.
        hold: iterations before the first move.
        rate: smallest rate; twice it from n = 6 on.
        limits: of n.
        noise: share of the fall's variance that is taken off.
        multiply: instead of the larger, r* times max(1, swing / (steady * gap)).
        root: r* = sqrt(base^2 + n * kappa / setpoint) instead.
        slope: r* = base + slope * (n * kappa)^power instead, unless 0.
        power: see slope.
    """

    def __init__(
        self,
        setpoint: float = 0.05,
        base: float = 4.0 / 3.0,
        steady: float = 0.3,
        start: float = 2.0,
        span: float = 20.0,
        swing_span: float = 40.0,
        hold: int = 20,
        rate: float = 0.05,
        limits: tuple[float, float] = (1.0, 20.0),
        noise: float = 1.0,
        multiply: bool = False,
        root: bool = False,
        share: float = 3.0,
        slope: float = 0.0,
        power: float = 1.0,
    ) -> None:
        super().__init__(start)
        self.slope, self.power = slope, power
        self.setpoint, self.base, self.steady, self.hold, self.rate = setpoint, base, steady, hold, rate
        self.limits, self.noise, self.multiply, self.root = limits, noise, multiply, root
        self.fall, self.gap = Window(span, share), Window(span, share)
        self.wide_fall, self.wide_gap = Window(swing_span, share), Window(swing_span, share)
        self.previous: float | None = None
        self.x, self.error, self.swing, self.wanted = math.log(start), 0.0, 0.0, 0.0

    def update(self, observation: Observation) -> float:
        """One iteration."""
        if observation.real and self.previous is not None:
            fall, gap = observation.fake[0] - self.previous, observation.real[0] - self.previous
            for window, value in ((self.fall, fall), (self.gap, gap), (self.wide_fall, fall), (self.wide_gap, gap)):
                window.add(value)
            if self.gap.count >= self.hold:
                self.error = self._error(len(observation.real))
                rate = self.rate * min(2.0, max(1.0, math.exp(self.x) / 3.0))
                low, high = math.log(self.limits[0]), math.log(self.limits[1])
                self.x = max(low, min(high, self.x + rate * self.error))
        self.previous = observation.g_fake
        return math.exp(self.x)

    def _error(self, n: int) -> float:
        gap = self.gap.mean
        if gap <= 0.0:
            return 1.0
        kappa = self.fall.mean / gap
        if self.slope:
            self.wanted = self.base + self.slope * math.pow(max(n * kappa, 0.0), self.power)
        elif self.root:
            self.wanted = math.sqrt(max(self.base**2 + n * kappa / self.setpoint, 0.0))
        else:
            self.wanted = self.base + kappa / self.setpoint
        by_kappa = math.log(self.wanted) - self.x if self.wanted > 0.0 else -1.0
        variance = self.wide_gap.square - self.wide_gap.mean**2
        noise = self.wide_fall.square - self.wide_fall.mean**2
        self.swing = math.sqrt(max(0.0, variance - self.noise * noise)) / gap
        by_swing = math.log(self.swing / self.steady + 1e-9)
        error = by_kappa + max(0.0, by_swing) if self.multiply else max(by_kappa, by_swing)
        return max(-1.0, min(1.0, error))

    def report(self) -> dict[str, float]:
        """The averages and the error acted on."""
        return {
            "fall": self.fall.mean,
            "gap": self.gap.mean,
            "swing": self.swing,
            "wanted": self.wanted,
            "error": self.error,
        }
