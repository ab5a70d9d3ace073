"""Law of CriticEffortController: raises the critic's learning rate first, and adds updates where they help."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, NamedTuple

from adaptive_critic.checks import above, at_least, between, real, whole
from adaptive_critic.laws.base import Observation, check_fields, exp_clamped, kept_of_average

_HALF_PERIOD = 10  # iterations above the ratio, then as many below; the critic follows within a few
_SETTLING = 3  # iterations after a switch that are not compared: the critic still shows the other half
_DECISIONS_PER_HALF = 3  # at least, so that one decision of delay does not swap the halves
_PRIOR_SPREAD = 0.5  # standard deviation of the responding share among problems
_MOST_SWING = 4.0  # largest factor by which swings raise the ratio: the first rise of the gap looks like a swing
_RATE_RESTS_AT = 0.3  # responding share
_KEEPS_UP = 2.0  # kappa in setpoints below which the critic keeps up: the rate does not rise, fewer updates would do
_FALLS_FASTER = 2.0  # the rate falls this much faster than it rises
_FAST, _MOST_OF_FAST, _FAST_UNTIL = 8.0, 1.5, 150  # a first bound, r* over base, iterations: too much is assumed there
_STEEPER = 4.0  # average gaps that one generator update takes where the critic breaks
_BEYOND_NOISE = 4.0  # standard deviations of u: late in a run noise alone reaches below minus the average gap
_CEILING_DOUBLES_IN = 2000  # iterations; with 500 a critic under R1 had overshot again within 170 to 450
_NO_CEILING = 700.0  # exp overflows shortly above
_MOST_STEPS = 1000  # a decision over more iterations takes longer steps, which bounds its time

_UP_TO_1 = partial(real, above=0.0, at_most=1.0)


class CriticEffortState(NamedTuple):
    """State of :class:`CriticEffortLaw`."""

    used: float
    """running average of the part of the gap that a generator update takes"""
    used_square: float
    """running average of its square"""
    gap: float
    """running average of the gap before the generator's update"""
    gap_square: float
    """running average of its square"""
    product: float
    """decaying sum of x * e: x the distance of log r from the middle of both halves, e = (u - kappa * g) / gap"""
    square: float
    """decaying sum of x * x"""
    position: float
    """logarithm of the ratio in the middle of the halves"""
    offset: float
    """current distance from ``position``: 0 at first, then ``dither`` or minus ``dither``"""
    other: float
    """logarithm of the ratio in the half before"""
    since: int
    """iterations since the offset changed"""
    observed: int
    """iterations observed so far"""
    ceiling: float
    """logarithm of the largest multiplier, from ``bound`` at first or from the last overshoot on"""


@dataclass(frozen=True)
class CriticEffortLaw:
    r"""Sets the ratio r of critic updates and the multiplier m of the critic's learning rate, from the gap signal.

    A critic catches up with the generator by its effort: r times its learning rate. The cost depends on r only. So the
    law raises the rate first, and adds updates for what the rate can't do. Both fall where effort does not help. To see
    that, it moves r up and down around its value (the dither); :math:`\varphi` is the share of kappa that responds.

    .. math::
        \kappa = \frac{\overline{u}}{\overline{g}}, \qquad
        r^* = \max\!\left(c \left(\frac{\text{base}}{\sqrt{m}} + \varphi \frac{\kappa}{\text{setpoint}}\right),
        \min\!\left(1, \frac{\kappa}{2\, \text{setpoint}}\right)\right), \qquad
        c = \mathrm{clip}\!\left(\text{contrast} \cdot \frac{\sigma}{\overline{g}}, 1, 4\right), \qquad
        \sigma^2 = \max(0, \mathrm{Var}\, g - \mathrm{Var}\, u)

    with g the gap before a generator update and u the part of it that the update takes, averaged over about ``window``
    iterations. At every iteration

    .. math::
        \log r \leftarrow \log r + \text{gain} \cdot \mathrm{clip}(r / 3, 1, 2) \cdot
        \mathrm{clip}\!\left(\log \frac{r^*}{r}, -1, 1\right), \qquad
        \log m \leftarrow \log m + \text{rate\_gain} \cdot \frac{\varphi - 0.3}{0.7}

    m rises only while kappa is above twice ``setpoint``, since below it the critic keeps up already, and not before
    the law has seen both halves of the dither. It falls twice as fast, by :math:`0.3 - \varphi - s` with s the standard
    deviation of phi, if that is positive. The proposed ratio is :math:`r e^{\pm \text{dither}}`, 10 iterations each.

    If all of kappa is the lag of the critic, kappa is proportional to 1 / r. Then, with x the distance of log r from
    its middle, :math:`e = (u - \kappa g) / \overline{g}` is about :math:`-\kappa x`. If effort does not help, e does
    not depend on x. So :math:`\varphi` is a regression of e on x, combined with a prior of mean
    :math:`1 - \kappa / \text{saturation}` and standard deviation 0.5:

    .. math::
        \varphi = \mathrm{clip}\!\left(
        \frac{z^2 \max(0, 1 - \kappa / \text{saturation}) - \frac{1}{4} \kappa \sum x e}
        {z^2 + \frac{1}{4} \kappa^2 \sum x^2}, 0, 1\right), \qquad
        s = \frac{1}{2} \sqrt{\frac{z^2}{z^2 + \frac{1}{4} \kappa^2 \sum x^2}}, \qquad
        z^2 = \frac{\mathrm{Var}\, u}{\overline{g}^2}

    with sums that forget over ``memory`` iterations. Where z hides a response, phi is the prior mean, and s is 0.5.

    A critic whose own steps overshoot scores real data below generated data for a moment, or becomes so steep that one
    generator update takes several gaps. The swings grow within a few iterations until the critic breaks. So when g is
    below :math:`-\overline{g}`, or u beyond :math:`\pm 4 \overline{g}`, and four standard deviations of u from its
    average, m is halved at once. It stays at or below that bound, which doubles every 2000 iterations. Such an
    observation enters no average. ``bound`` is the first bound, where a single step would change a critic too much. If
    it is below 8 the critic is fast already: r* is at most 1.5 times ``base`` in the first 150 iterations.

    An average gap at or below 0 (the critic has no advantage) counts as an error of +1 for r, and lowers m at full
    speed. In the first ``warmup`` observations nothing moves. All is invariant under a*D + b, a > 0.

    Args:
        setpoint: kappa worth one critic update, if all of it responds; in (0, 1). From twice that on r* is at least 1.
        base: critic updates at the user's own rate where nothing responds; above 0.
        contrast: 1 over the relative swing of the gap above which the ratio rises; at least 0.
        dither: logarithm of the factor up and down; in (0, 1].
        saturation: kappa from which on the prior says that effort does not help; above 0.
        gain: largest move of log r in one iteration, twice as much from r = 6 on; in (0, 1].
        rate_gain: largest move of log m in one iteration upward; in (0, 1].
        window: iterations of the averages; at least 1.
        memory: iterations of the sums; at least 1.
        warmup: observations before the first move; at least 0.
        bound: largest multiplier at first, doubled every 2000 iterations; above 0, or infinite for none.

    Raises:
        TypeError: if a field is not a number, or ``warmup`` not an int.
        ValueError: if one is out of its range.
    """

    setpoint: float = 0.05
    base: float = 1.0
    contrast: float = 2.5
    dither: float = 0.4
    saturation: float = 0.6
    gain: float = 0.08
    rate_gain: float = 0.05
    window: float = 20.0
    memory: float = 60.0
    warmup: int = 10
    bound: float = math.inf

    inputs: ClassVar[tuple[str, ...]] = ("used", "gap")
    whole: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_fields(
            self,
            setpoint=between(0.0, 1.0),
            base=above(0.0),
            contrast=at_least(0.0),
            dither=_UP_TO_1,
            saturation=above(0.0),
            gain=_UP_TO_1,
            rate_gain=_UP_TO_1,
            window=at_least(1.0),
            memory=at_least(1.0),
            warmup=whole(0),
            bound=lambda name, value: value if value == math.inf else real(name, value, above=0.0),
        )

    def init(self, ratio: float) -> CriticEffortState:
        """Return the state before the first observation."""
        position, ceiling = math.log(ratio), min(math.log(self.bound), _NO_CEILING)
        return CriticEffortState(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, position, 0.0, position, 0, 0, ceiling)

    def share(self, state: CriticEffortState) -> float:
        """Return kappa; 0 or below if the generator used nothing up, infinite if the critic has no advantage."""
        return state.used / state.gap if state.gap > 0.0 else math.inf

    def responding(self, state: CriticEffortState) -> float:
        """Return phi, the share of kappa that responds to the ratio, in [0, 1]."""
        return self.response(state)[0]

    def response(self, state: CriticEffortState) -> tuple[float, float]:
        """Return phi and its standard deviation s."""
        kappa = max(self.share(state), 0.0)
        assumed = max(1.0 - kappa / self.saturation, 0.0)
        if not 0.0 < kappa < math.inf:
            return assumed, _PRIOR_SPREAD
        noise = _variance(state.used, state.used_square) / state.gap / state.gap
        slope = kappa * _PRIOR_SPREAD
        known = noise + state.square * slope * slope
        if not 0.0 < known < math.inf:
            return assumed, _PRIOR_SPREAD
        phi = (noise * assumed - state.product * slope * _PRIOR_SPREAD) / known
        return min(max(phi, 0.0), 1.0), _PRIOR_SPREAD * math.sqrt(noise / known)

    def target(self, state: CriticEffortState, rate: float) -> float:
        """Return r* at this multiplier; infinite if the critic has no advantage."""
        if state.gap <= 0.0:
            return math.inf
        variance = _variance(state.gap, state.gap_square) - _variance(state.used, state.used_square)
        swing = math.sqrt(max(variance, 0.0)) / state.gap
        behind = max(self.share(state), 0.0) / self.setpoint
        wanted = self.base / math.sqrt(rate)
        if (responding := self.responding(state)) > 0.0:  # kappa may be infinite where nothing responds
            wanted += responding * behind
        wanted = max(wanted * min(max(1.0, self.contrast * swing), _MOST_SWING), min(behind / _KEEPS_UP, 1.0))
        is_limited = self.bound < _FAST and state.observed < _FAST_UNTIL  # that more updates help has yet to show
        return min(wanted, _MOST_OF_FAST * self.base) if is_limited else wanted

    def update(
        self, state: CriticEffortState, observation: Observation, ratio: float, rate: float
    ) -> tuple[CriticEffortState, float, float]:
        """Update the averages and sums, move the ratio toward r* and the rate by phi, and switch halves when due.

        Args:
            state: as returned last.
            observation: moments of u and g since the last decision.
            ratio: current ratio (> 0), after limits.
            rate: current multiplier of the critic's learning rate (> 0), after bounds.

        Returns:
            the next state, the proposed ratio and the proposed multiplier.
        """
        current = math.log(ratio)
        ceiling = min(state.ceiling + observation.iterations * math.log(2.0) / _CEILING_DOUBLES_IN, _NO_CEILING)
        if self._overshot(state, observation) and math.log(rate) <= ceiling:
            return state._replace(ceiling=math.log(0.5 * rate)), ratio, 0.5 * rate
        state = self._averaged(self._compared(state, observation, current), observation)._replace(ceiling=ceiling)
        if state.observed < self.warmup:
            return state, ratio, rate
        # Where a bound cut the last proposal, the middle follows: the halves must not reach far beyond the bound.
        reach = abs(state.offset)
        position = min(max(state.position, current - reach), current + reach)
        position = self._moved(position, self.target(state, rate), observation.iterations)
        half = observation.iterations * max(math.ceil(_HALF_PERIOD / observation.iterations), _DECISIONS_PER_HALF)
        moved = observation.iterations * self.rate_gain * self._excess(state, self.warmup + 2 * half)
        since, offset, other = state.since + observation.iterations, state.offset, state.other
        if offset == 0.0 or since >= half:
            since, offset, other = 0, -self.dither if offset > 0.0 else self.dither, current
        state = state._replace(position=position, offset=offset, other=other, since=since)
        rate = min(rate * math.exp(min(max(moved, -1.0), 1.0)), math.exp(ceiling))
        return state, exp_clamped(position + offset), rate

    def _excess(self, state: CriticEffortState, rises_at: int) -> float:
        """Return the move of the rate's logarithm, 1 for the largest upward; -2 for the largest downward."""
        if state.gap <= 0.0:
            return -_FALLS_FASTER
        responding, spread = self.response(state)
        if responding <= _RATE_RESTS_AT:  # a lower share has to show against its noise
            return _FALLS_FASTER * min((responding + spread - _RATE_RESTS_AT) / (1.0 - _RATE_RESTS_AT), 0.0)
        if state.observed < rises_at or self.share(state) < _KEEPS_UP * self.setpoint:
            return 0.0
        return (responding - _RATE_RESTS_AT) / (1.0 - _RATE_RESTS_AT)

    def _overshot(self, state: CriticEffortState, observation: Observation) -> bool:
        """Return whether the critic scores real data far below generated data, or is far steeper than before."""
        used, gap = observation.mean
        used_spread, gap_spread = map(math.sqrt, map(_variance, observation.mean, observation.mean_square))
        noise = _BEYOND_NOISE * math.sqrt(_variance(state.used, state.used_square))
        below = gap - gap_spread < min(-state.gap, state.gap - noise)
        steep = abs(used) + used_spread > _STEEPER * state.gap and abs(used - state.used) + used_spread > noise
        return state.observed >= self.warmup and state.gap > 0.0 and (below or steep)

    def _compared(self, state: CriticEffortState, observation: Observation, current: float) -> CriticEffortState:
        """Add the iterations of one half to the sums, relative to the kappa before them."""
        if state.offset == 0.0 or state.since < _SETTLING or state.gap <= 0.0:
            return state
        used, gap = observation.mean
        excess = min(max(-1.0, (used - self.share(state) * gap) / state.gap), 1.0)  # one outlier says no more than this
        # Limits may have cut the dither: only the actual difference of the ratio counts.
        apart = 0.5 * (current - state.other)
        distance = min(max(apart, 0.0), self.dither) if state.offset > 0.0 else max(min(apart, 0.0), -self.dither)
        kept = (1.0 - 1.0 / self.memory) ** observation.iterations
        weight = self.memory * (1.0 - kept)
        return state._replace(
            product=kept * state.product + weight * distance * excess,
            square=kept * state.square + weight * distance * distance,
        )

    def _averaged(self, state: CriticEffortState, observation: Observation) -> CriticEffortState:
        """Average over a window that grows with the iterations observed, up to ``window``."""
        observed = state.observed + observation.iterations
        kept = kept_of_average(state.observed, observation.iterations, self.window)
        mean, square = observation.mean, observation.mean_square
        new = (mean[0], square[0], mean[1], square[1])
        averages = zip(state[: len(new)], new, strict=True)
        used, used_square, gap, gap_square = (kept * old + (1.0 - kept) * now for old, now in averages)
        return state._replace(used=used, used_square=used_square, gap=gap, gap_square=gap_square, observed=observed)

    def _moved(self, position: float, target: float, iterations: int) -> float:
        """Return the position after as many steps toward the logarithm of the target."""
        wanted = math.log(max(target, sys.float_info.min))  # a tiny base may round to 0
        steps = min(iterations, _MOST_STEPS)
        slow = self.gain * (iterations / steps)
        for _ in range(steps):
            gain = min(slow * min(max(math.exp(min(position, 2.0)) / 3.0, 1.0), 2.0), 1.0)
            position += gain * min(max(wanted - position, -1.0), 1.0)
        return position

    def measurement(self, state: CriticEffortState) -> float:
        """Return kappa; NaN before the first observation."""
        return self.share(state) if state.observed else math.nan


def _variance(mean: float, square: float) -> float:
    """Return the variance; 0 where squares overflowed."""
    variance = square - mean * mean
    return max(variance, 0.0) if math.isfinite(variance) else 0.0
