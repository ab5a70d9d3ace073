"""Law of WassersteinGapController: critic updates in proportion to the share of the gap that the generator uses up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from adaptive_critic.checks import above, at_least, between, whole
from adaptive_critic.laws.base import Observation, check_fields, exp_clamped, kept_of_average

# An iteration costs about as much as its critic updates, so the ratio leaves large numbers faster than small ones.
_FASTEST = 2.0
_FASTER_FROM, _FASTEST_FROM = math.log(3.0), math.log(3.0 * _FASTEST)
_MOST_STEPS = 1000  # a decision over more iterations takes longer steps, which bounds its time


class GapShareState(NamedTuple):
    """State of :class:`GapShareLaw`."""

    used: float
    """running average of the part of the gap that a generator update takes"""
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
    r"""Moves the ratio r toward a target r*, set by kappa: the share of the gap that a generator update uses up.

    .. math::
        \kappa = \frac{\overline{u}}{\overline{g}}, \qquad
        r^* = \left(\text{base} + \frac{\kappa}{\text{setpoint}}\right)
        \max\!\left(1, \text{contrast} \cdot \frac{\sigma}{\overline{g}}\right), \qquad
        \sigma^2 = \max(0, \mathrm{Var}\, g - \mathrm{Var}\, u)

    with g the gap before a generator update and u the part of it that the update takes. Averages and variances are over
    about ``window`` iterations, taken before the division. Both g and u are differences of two means over independent
    batches. So Var u is the part of Var g that finite batches add, and :math:`\sigma` is the swing of the gap itself.
    At every iteration

    .. math::
        \log r \leftarrow \log r + \text{gain} \cdot \mathrm{clip}(r / 3, 1, 2) \cdot
        \mathrm{clip}\!\left(\log \frac{r^*}{r}, -1, 1\right)

    A decision over k iterations takes k such steps with the current averages, or 1000 longer ones if k > 1000. At rest
    r = r*: ``base`` critic updates if the generator's update used nothing up, and one more for every ``setpoint`` of
    the advantage that it used up. The target is larger while the gap swings by more than 1 / ``contrast`` of itself.

    The ratio is held for the first ``warmup`` observations: an untrained critic has a gap near 0, which makes kappa
    meaningless. A target at or below 0 (the generator's update seems to have raised the gap) counts as an error of -1.
    A gap at or below 0 (the critic has no advantage left) counts as +1. Averages and standard deviation scale with the
    critic and do not depend on its offset, so the law is invariant under D -> a*D + b, a > 0.

    With ``contrast`` 0, an iteration whose generator uses up more never lowers the next ratio. With a larger one it may
    lower it a little: an outlying u raises Var u, which can lower the factor of :math:`\sigma` by more than kappa
    grows.
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
        return (self.base + state.used / state.gap / self.setpoint) * max(1.0, self.contrast * swing / state.gap)

    def update(self, state: GapShareState, observation: Observation, ratio: float) -> tuple[GapShareState, float]:
        """Update the averages, then move the ratio toward r*, by at most 2 * ``gain`` e-folds per iteration."""
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
        target, position = self.target(state), math.log(ratio)
        target = math.log(target) if target > 0.0 else -math.inf
        steps = min(observation.iterations, _MOST_STEPS)
        slow = self.gain * (observation.iterations / steps)
        for _ in range(steps):  # plain comparisons: this is most of the cost of a decision
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
