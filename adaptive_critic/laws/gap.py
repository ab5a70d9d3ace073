"""Law of WassersteinGapController: critic updates in proportion to what the generator uses up of the critic's lead."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from adaptive_critic.checks import above, at_least, between, whole
from adaptive_critic.laws.base import Observation, check_fields, exp_clamped, kept_of_average

__all__ = ["GapShareLaw", "GapShareState"]

# An iteration costs about as much as its critic updates: a large number that is wrong is left sooner than a small one.
_FASTEST = 2.0
_FASTER_FROM, _FASTEST_FROM = math.log(3.0), math.log(3.0 * _FASTEST)
_MOST_STEPS = 1000  # a decision over more iterations takes longer steps, so that none takes for ever


class GapShareState(NamedTuple):
    """State of :class:`GapShareLaw`."""

    used: float
    """running average of what a generator update takes from the gap"""
    used_square: float
    """running average of its square"""
    gap: float
    """running average of the gap before the generator's update"""
    gap_square: float
    """running average of its square"""
    observed: int
    """iterations observed so far"""


@dataclass(frozen=True)
class GapShareLaw:
    r"""Leads the ratio r to a number that follows from the share kappa of the gap that a generator update uses up.

    .. math::
        \kappa = \frac{\overline{u}}{\overline{g}}, \qquad
        r^* = \left(\text{base} + \frac{\kappa}{\text{setpoint}}\right)
        \max\!\left(1, \text{contrast} \cdot \frac{\sigma}{\overline{g}}\right), \qquad
        \sigma^2 = \max(0, \mathrm{Var}\, g - \mathrm{Var}\, u)

    with g the gap before a generator update and u what the update takes from it, averages and variances over about
    ``window`` iterations, taken before the division. Both are differences of two means over independent batches, so
    that Var u is what finite batches add to Var g, and :math:`\sigma` is how far the gap swings by itself. At every
    iteration

    .. math::
        \log r \leftarrow \log r + \text{gain} \cdot \mathrm{clip}(r / 3, 1, 2) \cdot
        \mathrm{clip}\!\left(\log \frac{r^*}{r}, -1, 1\right)

    A decision over k iterations takes k such steps with the averages as they are now (1000 longer ones if k is more).
    At rest r = r*: ``base`` critic
    updates if the generator's update used nothing up, one more for every ``setpoint`` of the advantage that it did, and
    more than that while the gap swings by more than 1 / ``contrast`` of itself.

    The ratio is held for the first ``warmup`` observations: a critic that has learned nothing yet has a gap near 0, and
    kappa is meaningless. r* at or below 0 (the generator's update seems to have raised the gap) counts as an error of
    -1, a gap at or below 0 as +1 (the critic has no advantage left). Averages and standard deviation scale with the
    critic and do not depend on its offset, so the law is invariant under D -> a*D + b, a > 0.

    With ``contrast`` 0, an iteration whose generator uses up more never lowers the next ratio. With more it may, a
    little: an u that stands out from those before raises Var u, and what it adds to kappa can be less than what
    :math:`\sigma` loses.
    """

    setpoint: float = 0.05
    base: float = 2.0
    contrast: float = 2.5
    gain: float = 0.05
    window: float = 20.0
    warmup: int = 10

    inputs: ClassVar[tuple[str, ...]] = ("used", "gap")
    whole: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_fields(
            self,
            setpoint=between(0.0, 1.0),
            base=at_least(0.0),
            contrast=at_least(0.0),
            gain=above(0.0),
            window=at_least(1.0),
            warmup=whole(0),
        )

    def init(self, ratio: float) -> GapShareState:
        """Return the state before the first observation."""
        return GapShareState(0.0, 0.0, 0.0, 0.0, 0)

    def share(self, state: GapShareState) -> float:
        """Return kappa; 0 or below if the generator used nothing up, infinite if the critic has no advantage."""
        return state.used / state.gap if state.gap > 0.0 else math.inf

    def target(self, state: GapShareState) -> float:
        """Return r*; infinite if the critic has no advantage; it may be 0 or below."""
        if state.gap <= 0.0:
            return math.inf
        noise = state.used_square - state.used * state.used
        variance = state.gap_square - state.gap * state.gap - noise
        swing = math.sqrt(variance) if 0.0 < variance < math.inf else 0.0
        return (self.base + self.share(state) / self.setpoint) * max(1.0, self.contrast * swing / state.gap)

    def update(self, state: GapShareState, observation: Observation, ratio: float) -> tuple[GapShareState, float]:
        """Average, then lead the ratio to r*, by at most 2 * ``gain`` e-folds per iteration."""
        kept = kept_of_average(state.observed, observation.iterations, self.window)
        used, gap = observation.mean
        state = GapShareState(
            kept * state.used + (1.0 - kept) * used,
            kept * state.used_square + (1.0 - kept) * observation.mean_square[0],
            kept * state.gap + (1.0 - kept) * gap,
            kept * state.gap_square + (1.0 - kept) * observation.mean_square[1],
            state.observed + observation.iterations,
        )
        if state.observed < self.warmup:
            return state, ratio
        target, position = _logarithm(self.target(state)), math.log(ratio)
        steps = min(observation.iterations, _MOST_STEPS)
        slow = self.gain * (observation.iterations / steps)
        for _ in range(steps):  # plain comparisons: this is most of what a decision costs
            gain = slow
            if position > _FASTER_FROM:
                gain *= _FASTEST if position >= _FASTEST_FROM else math.exp(position - _FASTER_FROM)
            distance = target - position
            if distance > 1.0:
                distance = 1.0
            elif distance < -1.0:
                distance = -1.0
            position += distance if gain > 1.0 else gain * distance
        return state, exp_clamped(position)

    def measurement(self, state: GapShareState) -> float:
        """Return kappa; NaN before the first observation."""
        return self.share(state) if state.observed else math.nan


def _logarithm(number: float) -> float:
    """Return the logarithm of r*: minus infinity for what is 0 or below."""
    return math.log(number) if number > 0.0 else -math.inf
