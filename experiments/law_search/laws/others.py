"""Laws on other signals: the spread of scores, the gain of the last update, the rise of the gap, the critic's loss."""

from __future__ import annotations

import math
from typing import Any

from adaptive_critic.laws import DistancePIDLaw
from adaptive_critic.laws import Observation as Moments
from experiments.law_search.laws.averages import Window
from experiments.law_search.laws.base import Law, Observation
from experiments.law_search.laws.kappa import Kappa


class Spread(Law):
    """x += rate * clip(log(setpoint / d), -1, 1) with d = gap / pooled standard deviation of the scores, averaged."""

    def __init__(
        self,
        setpoint: float = 1.0,
        limits: tuple[float, float] = (1.0, 20.0),
        start: float = 4.0,
        rate: float = 0.05,
        longest: float = 10.0,
    ) -> None:
        super().__init__(start)
        self.setpoint, self.limits, self.rate = setpoint, limits, rate
        self.gap, self.variance = Window(longest), Window(longest)
        self.x, self.ratio_now, self.previous = math.log(start), math.nan, math.nan

    def update(self, observation: Observation) -> float:
        """One iteration."""
        if observation.real:
            if math.isfinite(self.previous):
                self.gap.add(observation.real[0] - self.previous)
                self.variance.add((observation.real_std[0] ** 2 + observation.fake_std[0] ** 2) / 2)
                self.ratio_now = self.gap.mean / math.sqrt(self.variance.mean + 1e-30)
                error = 1.0 if self.ratio_now <= 0 else max(-1.0, min(1.0, math.log(self.setpoint / self.ratio_now)))
                self.x = max(math.log(self.limits[0]), min(math.log(self.limits[1]), self.x + self.rate * error))
            self.previous = observation.g_fake
        return math.exp(self.x)

    def report(self) -> dict[str, float]:
        """The normalised gap."""
        return {"d": self.ratio_now}


class Both(Law):
    """Integral control on the mean of log(kappa / setpoint) and log(spread / d), each clipped to [-1, 1]."""

    def __init__(
        self,
        setpoint: float = 0.05,
        spread: float = 1.0,
        limits: tuple[float, float] = (1.0, 20.0),
        start: float = 4.0,
        rate: float = 0.05,
    ) -> None:
        super().__init__(start)
        self.first_law = Kappa(setpoint, limits, start, rate=0.5, hold=10)
        self.second_law = Spread(spread, limits, start, rate=0.5)
        self.x, self.limits, self.rate = math.log(start), limits, rate

    def update(self, observation: Observation) -> float:
        """One iteration."""
        total = 0.0
        for law in (self.first_law, self.second_law):
            law.x = 0.7
            total += math.log(law.update(observation)) - 0.7
        self.x = max(math.log(self.limits[0]), min(math.log(self.limits[1]), self.x + self.rate * total))
        return math.exp(self.x)


class Marginal(Law):
    """Integral control of (gain of the last critic update on a fresh, charged batch) / gap to ``setpoint``."""

    def __init__(
        self,
        setpoint: float = 0.02,
        limits: tuple[float, float] = (1.0, 20.0),
        start: float = 4.0,
        rate: float = 0.05,
    ) -> None:
        super().__init__(start)
        self.setpoint, self.limits, self.rate = setpoint, limits, rate
        self.gain, self.gap = Window(20.0), Window(20.0)
        self.x, self.previous = math.log(start), math.nan

    def update(self, observation: Observation) -> float:
        """One iteration."""
        if observation.real and math.isfinite(self.previous):
            self.gain.add(observation.gain)
            self.gap.add(observation.real[0] - self.previous)
            if self.gap.count >= 10:
                gain, gap = self.gain.mean, self.gap.mean
                error = 1.0 if gap <= 0 else -1.0
                if gap > 0 and gain > 0:
                    error = max(-1.0, min(1.0, math.log(gain / gap / self.setpoint)))
                self.x = max(math.log(self.limits[0]), min(math.log(self.limits[1]), self.x + self.rate * error))
        self.previous = observation.g_fake
        return math.exp(self.x)


class Rise(Law):
    """Raises n while the second half of the inner loop raises the gap by more than ``setpoint`` of the first half.

    With rise(n) ~ 1 - exp(-n / tau) that ratio is exp(-n / (2 tau)). At n = 1 there is one rise only, so the next
    iteration takes 2.
    """

    def __init__(
        self,
        setpoint: float = 0.6,
        limits: tuple[float, float] = (1.5, 20.0),
        start: float = 4.0,
        rate: float = 0.05,
    ) -> None:
        super().__init__(start)
        self.setpoint, self.limits, self.rate = setpoint, limits, rate
        self.halves = (Window(100.0), Window(100.0))
        self.x = math.log(start)
        self.held: Observation | None = None

    def update(self, observation: Observation) -> float:
        """One iteration."""
        held, self.held = self.held, observation
        if held is not None and len(held.real) > 1 and observation.real:
            gaps = [a - b for a, b in zip(held.real, held.fake, strict=True)] + [observation.real[0] - held.g_fake]
            n = len(held.real)
            middle = n // 2
            self.halves[0].add((gaps[middle] - gaps[0]) / middle)
            self.halves[1].add((gaps[n] - gaps[middle]) / (n - middle))
            if self.halves[0].count >= 10:
                one, two = self.halves[0].mean, self.halves[1].mean
                error = 0.0
                if two > 0 and one > 0:
                    error = max(-1.0, min(1.0, math.log(two / one / self.setpoint)))
                elif two > one:
                    error = 1.0
                elif one > two:
                    error = -1.0
                self.x = max(math.log(self.limits[0]), min(math.log(self.limits[1]), self.x + self.rate * error))
        return math.exp(self.x)


class Seek(Law):
    """Extremum seeking: windows at n * factor and n / factor in turn; n moves to the one with more fall per cost."""

    def __init__(self, cost: float = 2.5, window: int = 12, factor: float = 1.3, start: float = 4.0) -> None:
        super().__init__(start)
        self.cost, self.window, self.factor = cost, window, factor
        self.x, self.at, self.sums, self.previous = math.log(start), 0, [0.0, 0.0, 0.0, 0.0], math.nan

    def update(self, observation: Observation) -> float:
        """One iteration."""
        side = (self.at // self.window) % 2
        if observation.real and math.isfinite(self.previous):
            gap = observation.real[0] - self.previous
            self.sums[side] += (observation.fake[0] - self.previous) / max(abs(gap), 1e-9)
            self.sums[2 + side] += 1 + self.cost * len(observation.real)
        self.previous = observation.g_fake
        self.at += 1
        if self.at % (2 * self.window) == 0:
            up, down = self.sums[0] / self.sums[2], self.sums[1] / self.sums[3]
            self.x += math.log(self.factor) * (1 if up > down else -1)
            self.x = max(0.0, min(math.log(20.0), self.x))
            self.sums = [0.0] * 4
        step = math.log(self.factor) * (1 if (self.at // self.window) % 2 == 0 else -1)
        return max(1.0, min(20.0, math.exp(self.x + step)))


class LossRatio(Law):
    """The product's PID on the distance of the critic's loss from its ideal, within its limits.

    Args:
        ideal: critic loss at parity.
        start: n at the start.
        limits: of n.
        options: of the product's law.
    """

    def __init__(
        self, ideal: float, start: float = 5.0, limits: tuple[float, float] = (1.0, 10.0), **options: Any
    ) -> None:
        super().__init__(start)
        self.law = DistancePIDLaw(**{"setpoint": 0.3, "kp": 0.5, "ki": 0.02} | options, ideal=ideal)
        self.state, self.limits = self.law.init(start), limits

    def update(self, observation: Observation) -> float:
        """One iteration: the mean loss of its critic updates."""
        if observation.losses and all(map(math.isfinite, observation.losses)):
            loss = sum(observation.losses) / len(observation.losses)
            self.state, ratio = self.law.update(self.state, Moments((loss,), (loss * loss,)), self.ratio)
            self.ratio = max(self.limits[0], min(self.limits[1], ratio))
        return self.ratio
