"""The laws tried. Floats in, floats out: a law sees what one iteration of training produces for free."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from adaptive_critic.laws import DistancePIDLaw
from adaptive_critic.laws import Observation as Moments


class Observation(NamedTuple):
    """One iteration: critic updates in order, then the generator's batch under the critic that they made.

    ``gain`` is the gain of the last critic update on a fresh batch and is NaN unless the contender pays for it.
    """

    real: tuple[float, ...]
    fake: tuple[float, ...]
    real_std: tuple[float, ...]
    fake_std: tuple[float, ...]
    losses: tuple[float, ...]
    g_fake: float
    gain: float


class Law:
    """Base of all laws: a constant ratio, and a constant multiplier of the critic's learning rate."""

    def __init__(self, ratio: float = 5.0, rate: float = 1.0) -> None:
        self.ratio, self.rate = ratio, rate

    def first(self) -> float:
        """Return the ratio for the first iteration."""
        return self.ratio

    def update(self, observation: Observation) -> float:
        """Take one iteration's observation and return the ratio for the next."""
        return self.ratio

    def report(self) -> dict[str, float]:
        """Return diagnostics for the traces."""
        return {}


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


class Average:
    """Exponential average without start-up bias, with its variance and the standard error of the average."""

    def __init__(self, decay: float = 0.95) -> None:
        self.decay, self.weight, self.mean_sum, self.square_sum, self.weight_square = (
            decay,
            0.0,
            0.0,
            0.0,
            0.0,
        )

    def add(self, value: float) -> None:
        """Add one value."""
        self.weight = self.decay * self.weight + 1 - self.decay
        self.weight_square = self.decay**2 * self.weight_square + (1 - self.decay) ** 2
        self.mean_sum = self.decay * self.mean_sum + (1 - self.decay) * value
        self.square_sum = self.decay * self.square_sum + (1 - self.decay) * value * value

    @property
    def mean(self) -> float:
        """The average."""
        return self.mean_sum / self.weight if self.weight else 0.0

    @property
    def error(self) -> float:
        """Standard error of the average, from the second moment, values taken as independent."""
        if not self.weight:
            return math.inf
        variance = max(0.0, self.square_sum / self.weight - self.mean**2)
        return math.sqrt(variance * self.weight_square) / self.weight


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


class Window:
    """Average over the last 1/share of the iterations so far, at most ``longest`` of them, with its standard error."""

    def __init__(self, longest: float, share: float = 3.0) -> None:
        self.longest, self.share, self.count = longest, share, 0
        self.mean, self.square, self.weight_square = 0.0, 0.0, 1.0

    def add(self, value: float) -> None:
        """Add one value."""
        self.count += 1
        alpha = 1.0 if self.count == 1 else max(1 / self.longest, self.share / (self.count + self.share))
        self.mean += alpha * (value - self.mean)
        self.square += alpha * (value * value - self.square)
        self.weight_square = (1 - alpha) ** 2 * self.weight_square + alpha**2

    @property
    def error(self) -> float:
        """Standard error of the average, values taken as independent."""
        return math.sqrt(max(0.0, self.square - self.mean**2) * self.weight_square)


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
