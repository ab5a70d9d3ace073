"""PID on the logarithm of the ratio, for any measure of the critic's strength."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from adaptive_critic.checks import above, at_least, between, share_kept
from adaptive_critic.laws.base import Observation, check_fields, exp_clamped
from adaptive_critic.objective_names import IDEAL_CRITIC_LOSSES

_SMALLEST = 1e-300


class PIDState(NamedTuple):
    """State of a :class:`PIDLaw`."""

    first: float
    """running average of the signal's first component, before the correction for its start at 0"""
    second: float
    """running average of its second component, 0.0 if there is none"""
    weight: float
    """sum of the averages' weights, in [0, 1]: 0.0 before the first observation"""
    strength: float
    """last measured strength of the critic"""
    error: float
    """last error, after the deadband and the limit on the error"""
    proportional: float
    """P term of the last output, in e-folds of the ratio"""
    integral: float
    """I term, in e-folds of the ratio; it carries the logarithm of the starting ratio"""
    derivative: float
    """D term of the last output, in e-folds of the ratio"""
    output: float
    """logarithm of the last proposed ratio, before limits"""


@dataclass(frozen=True)
class PIDLaw(ABC):
    r"""Positional PID with back-calculation against windup, derivative on the measurement, deadband and slew limit.

    With y the strength of the critic computed from averaged signals, and its setpoint y*,

    .. math::
        e &= \mathrm{clip}(\mathrm{deadband}(y^* - y), -e_{max}, e_{max}) \\
        I &\leftarrow I + (\log r - u_{last}) / T_t + k_i\, k\, e \\
        u &= k_p\, e + I - k_d\, (y - y_{last}) / k, \qquad |u - \log r| \le k \cdot \text{slew}

    for a decision over k iterations; r is the current ratio and exp(u) the proposed one. A critic that is stronger than
    the setpoint makes e negative and gets fewer updates. The second term of I is the back-calculation: the integral
    loses the part of the last output that limits cut off, with the time constant T_t in decisions. Source: Astrom and
    Hagglund, Advanced PID Control, 2006, section 3.5.

    The start is bumpless: the first decision proposes the current ratio. Changes of the gains between two updates are
    bumpless too: the difference between the old and the new P term of the last error goes into the integral.

    Subclasses define the strength.
    """

    setpoint: float
    kp: float
    ki: float
    kd: float = 0.0
    smoothing: float = 0.9
    deadband: float = 0.0
    error_limit: float = 1.0
    slew: float = 0.1
    tracking_time: float = 5.0

    inputs: ClassVar[tuple[str, ...]] = ()
    whole: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_fields(
            self,
            kp=at_least(0.0),
            ki=at_least(0.0),
            kd=at_least(0.0),
            smoothing=share_kept,
            deadband=at_least(0.0),
            error_limit=above(0.0),
            slew=above(0.0),
            tracking_time=at_least(1.0),
        )

    def init(self, ratio: float) -> PIDState:
        """Return the state before the first observation."""
        return PIDState(0.0, 0.0, 0.0, math.nan, 0.0, 0.0, math.log(ratio), 0.0, math.log(ratio))

    @abstractmethod
    def strength(self, first: float, second: float) -> float:
        """Return the critic's strength from the averaged components of the signal."""

    def target(self) -> float:
        """Return the setpoint on the scale of :meth:`strength`."""
        return self.setpoint

    def error(self, strength: float) -> float:
        """Return the error, in [-error_limit, error_limit]: positive asks for more critic updates."""
        error = self.target() - strength
        error = math.copysign(max(abs(error) - self.deadband, 0.0), error)
        return min(max(error, -self.error_limit), self.error_limit)

    def update(self, state: PIDState, observation: Observation, ratio: float) -> tuple[PIDState, float]:
        """Average, measure, and propose the next ratio."""
        k = observation.iterations
        kept = self.smoothing**k
        first = kept * state.first + (1.0 - kept) * observation.mean[0]
        second = kept * state.second + (1.0 - kept) * observation.mean[1] if len(observation.mean) > 1 else 0.0
        weight = kept * state.weight + (1.0 - kept)
        strength = self.strength(first / weight, second / weight)
        error = self.error(strength)
        proportional = self.kp * error
        in_force = math.log(ratio)
        if state.weight == 0.0:
            integral, derivative, output = in_force - proportional, 0.0, in_force
        else:
            integral = (
                state.integral
                + (in_force - state.output) / self.tracking_time
                + (state.proportional - self.kp * state.error)
                + self.ki * k * error
            )
            # After a pause the strength has had more iterations to change in than were observed.
            derivative = -self.kd * (strength - state.strength) / max(observation.elapsed, k)
            output = proportional + integral + derivative
        bounded = min(max(output, in_force - k * self.slew), in_force + k * self.slew)
        state = PIDState(first, second, weight, strength, error, proportional, integral, derivative, output)
        return state, exp_clamped(bounded)

    def measurement(self, state: PIDState) -> float:
        """Return the critic's strength; NaN before the first observation."""
        return state.strength


@dataclass(frozen=True)
class DistancePIDLaw(PIDLaw):
    """Strength = (ideal - L_D) / ideal, held in [-1, 1]: 0 at parity, 1 for a perfect critic. Not offset-free."""

    ideal: float = IDEAL_CRITIC_LOSSES["non-saturating"]

    inputs: ClassVar[tuple[str, ...]] = ("d_loss",)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, setpoint=between(-1.0, 1.0), ideal=above(0.0))

    def strength(self, first: float, second: float) -> float:
        """Return the distance of the averaged critic loss from its ideal, as a share of the ideal."""
        return min(max((self.ideal - first) / self.ideal, -1.0), 1.0)


@dataclass(frozen=True)
class SharePIDLaw(PIDLaw):
    """Strength = -log(kappa), kappa = used / gap as in :class:`~adaptive_critic.laws.gap.GapShareLaw`.

    Invariant under D -> a*D + b. A gap at or below 0 counts as the weakest critic within the error's limit, a numerator
    at or below 0 as the strongest.
    """

    inputs: ClassVar[tuple[str, ...]] = ("used", "gap")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, setpoint=between(0.0, 1.0))

    def target(self) -> float:
        """Return -log(setpoint)."""
        return -math.log(self.setpoint)

    def strength(self, first: float, second: float) -> float:
        """Return -log(used / gap), within the reach of the error's limit around the target."""
        reach = self.error_limit + self.deadband
        if second <= 0.0:
            return self.target() - reach
        share = first / second
        if not share > 0.0:  # too small for a float, too
            return self.target() + reach
        return min(max(-math.log(share), self.target() - reach), self.target() + reach)


@dataclass(frozen=True)
class RatesPIDLaw(PIDLaw):
    """Strength = log(mean of the generator loss's changes / mean of the critic loss's changes), in absolute value.

    A critic whose loss moves faster than the generator's has not settled yet: it is weak. Invariant under
    D -> a*D + b, but it carries the noise of both losses.
    """

    inputs: ClassVar[tuple[str, ...]] = ("d_change", "g_change")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, setpoint=above(0.0))

    def target(self) -> float:
        """Return -log(setpoint): the setpoint is critic's change over generator's."""
        return -math.log(self.setpoint)

    def strength(self, first: float, second: float) -> float:
        """Return the logarithm of generator's change over critic's, within the reach of the error's limit."""
        reach = self.error_limit + self.deadband
        strength = math.log(max(second, _SMALLEST)) - math.log(max(first, _SMALLEST))
        return min(max(strength, self.target() - reach), self.target() + reach)
