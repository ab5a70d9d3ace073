"""Laws on critic effort: the ratio of updates and a multiplier of the critic's learning rate."""

from __future__ import annotations

import math
from typing import Any

from adaptive_critic.laws import GapShareLaw
from adaptive_critic.laws import Observation as Moments
from adaptive_critic.laws.effort import CriticEffortLaw
from experiments.law_search.laws.base import Law, Observation

LIMITS = (0.25, 20.0)


class Measured(Law):
    """Base of laws that read the gap signal: used u and gap g of an iteration, seen one iteration later.

    Args:
        ratio: critic updates per generator update at the start.
        rate: multiplier of the critic's learning rate at the start.
        limits: of the ratio.
    """

    def __init__(self, ratio: float, rate: float, limits: tuple[float, float] = LIMITS) -> None:
        super().__init__(ratio, rate)
        self.limits, self.previous = limits, math.nan

    def update(self, observation: Observation) -> float:
        """One iteration; without critic updates there is nothing to see."""
        if observation.real and math.isfinite(self.previous):
            used, gap = observation.fake[0] - self.previous, observation.real[0] - self.previous
            if math.isfinite(used) and math.isfinite(gap):
                self.decide(Moments((used, gap), (used * used, gap * gap)))
                self.ratio = max(self.limits[0], min(self.limits[1], self.ratio))
        self.previous = observation.g_fake
        return self.ratio

    def decide(self, moments: Moments) -> None:
        """Set ``ratio`` and ``rate``."""


class GapAtRate(Measured):
    """The product's gap law on the ratio, at a constant multiplier."""

    def __init__(self, rate: float = 1.0, start: float = 1.0, limits: tuple[float, float] = LIMITS, **fields: Any):
        super().__init__(start, rate, limits)
        self.law = GapShareLaw(**fields)
        self.state = self.law.init(start)

    def decide(self, moments: Moments) -> None:
        """One decision of the gap law."""
        self.state, self.ratio = self.law.update(self.state, moments, self.ratio)

    def report(self) -> dict[str, float]:
        """Signals."""
        return signals(self.state)


def signals(state: Any) -> dict[str, float]:
    """Kappa, swing over gap, and the noise of one iteration's u over the gap."""
    gap = state.gap or math.nan
    noise = max(0.0, state.used_square - state.used**2)
    variance = max(0.0, state.gap_square - state.gap**2 - noise)
    return {"kappa": state.used / gap, "swing": math.sqrt(variance) / gap, "noise": math.sqrt(noise) / gap}


class Effort(Measured):
    """A law that proposes both, clamped to bounds as a controller clamps them: the product's, if none is given.

    Args:
        ratio: critic updates per generator update at the start.
        rate: multiplier at the start.
        rates: bounds of the multiplier.
        limits: of the ratio.
        kind: class of the law.
        fields: of the law.
    """

    def __init__(
        self,
        ratio: float = 1.0,
        rate: float = 8.0,
        rates: tuple[float, float] = (1.0, 16.0),
        limits: tuple[float, float] = LIMITS,
        kind: type[CriticEffortLaw] = CriticEffortLaw,
        **fields: Any,
    ) -> None:
        super().__init__(ratio, rate, limits)
        self.law, self.rates = kind(**fields), rates
        self.state = self.law.init(ratio)

    def decide(self, moments: Moments) -> None:
        """One decision of the law."""
        self.state, self.ratio, rate = self.law.update(self.state, moments, self.ratio, self.rate)
        self.rate = max(self.rates[0], min(self.rates[1], rate))

    def report(self) -> dict[str, float]:
        """Signals, and the share of kappa that responds."""
        return signals(self.state) | {"responding": self.law.responding(self.state)}
