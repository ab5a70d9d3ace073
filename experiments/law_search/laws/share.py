"""Laws that set n at once from A = n * kappa, without an integrator."""

from __future__ import annotations

import math

from experiments.law_search.laws.averages import Window
from experiments.law_search.laws.base import Law, Observation


class Root(Law):
    """n = home * (A / reference)**power with A = n * kappa, shrunk to home by the significance of the fall.

    A, the share of the gap that one generator update uses up times n, hardly depends on n, so it is a property of the
    problem at this moment, and n can be set from it at once, with no integrator. Progress per cost of a critic that
    lags by b * A / n, (1 / (1 + b * A / n)) / (1 + c * n), is highest at n = sqrt(b * A / c): power 1/2.
    """

    def __init__(
        self,
        home: float = 5.0,
        reference: float = 0.5,
        power: float = 0.5,
        limits: tuple[float, float] = (1.0, 20.0),
        start: float = 5.0,
        longest: float = 50.0,
        hold: int = 10,
        gate: float = 1.0,
    ) -> None:
        super().__init__(start)
        self.home, self.reference, self.power, self.limits = home, reference, power, limits
        self.start, self.hold, self.gate = start, hold, gate
        self.fall, self.gap = Window(longest), Window(longest)
        self.previous: tuple[float, int] | None = None
        self.share, self.weight = math.nan, 0.0

    def update(self, observation: Observation) -> float:
        """One iteration."""
        if observation.real and self.previous is not None:
            g_fake, n = self.previous
            self.fall.add((observation.fake[0] - g_fake) * n)
            self.gap.add(observation.real[0] - g_fake)
        self.previous = (observation.g_fake, len(observation.real))
        if self.fall.count < self.hold:
            return self.start
        fall, gap = self.fall.mean, self.gap.mean
        noise = self.gate * self.fall.error
        if gap <= 0:
            return self.limits[1]
        level = max(fall, noise, 1e-3 * gap)
        self.share = level / gap
        self.weight = fall**2 / (fall**2 + noise**2) if fall > 0 else 0.0
        x = self.weight * self.power * math.log(self.share / self.reference)
        return max(self.limits[0], min(self.limits[1], self.home * math.exp(x)))

    def report(self) -> dict[str, float]:
        """A and the weight of the evidence."""
        return {"A": self.share, "weight": self.weight, "gap": self.gap.mean, "fall": self.fall.mean}


class Share(Law):
    """n = home * (A / reference)**power, A = n * kappa shrunk towards ``reference`` by its standard error.

    A_hat = (A * p**2 + reference * e**2) / (p**2 + e**2) with e the standard error of A and p = prior * reference. A
    fast critic has A near 0 with a small error, so its n goes to the lower limit; an unknown A leaves n at home.
    """

    def __init__(
        self,
        scale: float = 15.0,
        power: float = 0.75,
        home: float = 4.0,
        limits: tuple[float, float] = (1.0, 20.0),
        start: float | None = None,
        longest: float = 50.0,
        gap_longest: float | None = None,
        share: float = 3.0,
        prior: float = 1.0,
        hold: int = 5,
    ) -> None:
        super().__init__(home if start is None else start)
        self.scale, self.power, self.home, self.limits = scale, power, home, limits
        self.reference = (home / scale) ** (1 / power)
        self.prior, self.hold = prior, hold
        self.fall = Window(longest, share)
        self.gap = Window(gap_longest or longest, share)
        self.previous: tuple[float, int] | None = None
        self.estimate, self.weight = math.nan, 0.0

    def update(self, observation: Observation) -> float:
        """One iteration."""
        if observation.real and self.previous is not None:
            g_fake, n = self.previous
            self.fall.add((observation.fake[0] - g_fake) * n)
            self.gap.add(observation.real[0] - g_fake)
        if observation.real:
            self.previous = (observation.g_fake, len(observation.real))
        if self.fall.count < self.hold:
            return self.ratio
        gap = self.gap.mean
        if gap <= 0:
            return self.limits[1]
        raw, error = self.fall.mean / gap, self.fall.error / gap
        width = (self.prior * self.reference) ** 2
        self.weight = width / (width + error**2)
        self.estimate = self.weight * raw + (1 - self.weight) * self.reference
        wanted = self.scale * math.pow(max(self.estimate, 0.0), self.power)
        return float(max(self.limits[0], min(self.limits[1], wanted)))

    def report(self) -> dict[str, float]:
        """The estimate of A and the weight of the evidence."""
        return {"A": self.estimate, "weight": self.weight, "gap": self.gap.mean, "fall": self.fall.mean}
