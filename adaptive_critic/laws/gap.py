"""Law of WassersteinGapController: hold the share of the critic's advantage that one generator update uses up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from adaptive_critic.laws.base import Observation, exp_clamped

__all__ = ["GapShareLaw", "GapShareState"]

_WINDOW_SHARE = 3.0  # early on, averages reach back over about a third of the iterations so far


class GapShareState(NamedTuple):
    """State of :class:`GapShareLaw`."""

    used: float
    """running average of what a generator update takes from the gap"""
    used_square: float
    """running average of its square"""
    gap: float
    """running average of the gap before the generator's update"""
    weight_square: float
    """sum of the squares of the averages' weights: 1 / the number of iterations that count"""
    observed: int
    """iterations observed so far"""


@dataclass(frozen=True)
class GapShareLaw:
    r"""Integral control of the logarithm of the ratio r by the share kappa.

    .. math::
        \kappa = \frac{\overline{u} + z\, s_u}{\overline{g}}, \qquad
        \log r \leftarrow \log r + k \cdot \text{gain} \cdot
        \mathrm{clip}\!\left(\log \frac{\kappa}{\text{setpoint}} - p \log r, -1, 1\right)

    over a decision of k iterations, with g the gap before a generator update, u what the update takes from it, both
    averaged over about ``window`` iterations before the division, :math:`s_u` the standard error of the average of u,
    z the ``optimism`` and p the ``exponent``. At rest kappa = setpoint * r ** exponent.

    The ratio is held for the first ``warmup`` observations: a critic that has learned nothing yet has a gap near 0, and
    kappa is meaningless. A numerator at or below 0 counts as -1 (the generator's update used nothing up: fewer critic
    updates), a denominator at or below 0 as +1 (the critic has no advantage left: more). Averages and standard error
    scale with the critic and do not depend on its offset, so the law is invariant under D -> a*D + b, a > 0.
    """

    setpoint: float = 0.012
    exponent: float = 0.5
    gain: float = 0.05
    window: float = 20.0
    optimism: float = 0.5
    warmup: int = 20

    inputs: ClassVar[tuple[str, ...]] = ("used", "gap")
    whole: ClassVar[bool] = False

    def init(self, ratio: float) -> GapShareState:
        """Return the state before the first observation."""
        return GapShareState(0.0, 0.0, 0.0, 1.0, 0)

    def share(self, state: GapShareState) -> float:
        """Return kappa; 0 or below if the generator used nothing up, infinite if the critic has no advantage."""
        if state.gap <= 0.0:
            return math.inf
        variance = state.used_square - state.used * state.used
        error = math.sqrt(variance * state.weight_square) if 0.0 < variance < math.inf else 0.0
        return (state.used + self.optimism * error) / state.gap

    def error(self, state: GapShareState, ratio: float) -> float:
        """Return the control error in [-1, 1]: positive asks for more critic updates."""
        share = self.share(state)
        if share <= 0.0:
            return -1.0
        return min(max(math.log(share) - math.log(self.setpoint) - self.exponent * math.log(ratio), -1.0), 1.0)

    def update(self, state: GapShareState, observation: Observation, ratio: float) -> tuple[GapShareState, float]:
        """Average, then move the ratio by at most ``gain`` e-folds per iteration."""
        kept = self._kept(state.observed, observation.iterations)
        used, gap = observation.mean
        state = GapShareState(
            kept * state.used + (1.0 - kept) * used,
            kept * state.used_square + (1.0 - kept) * observation.mean_square[0],
            kept * state.gap + (1.0 - kept) * gap,
            kept**2 * state.weight_square + (1.0 - kept) ** 2 / observation.samples,
            state.observed + observation.iterations,
        )
        if state.observed < self.warmup:
            return state, ratio
        move = self.gain * observation.iterations * self.error(state, ratio)
        return state, exp_clamped(math.log(ratio) + move)

    def _kept(self, observed: int, iterations: int) -> float:
        """Return the weight that the past keeps: none at first, then what windows that grow to ``window`` leave it."""
        growing = math.ceil(_WINDOW_SHARE * (self.window - 1.0))  # from here on the weights are constant
        kept = 1.0
        for count in range(observed + 1, min(observed + iterations, growing) + 1):
            kept *= 0.0 if count == 1 else 1.0 - max(_WINDOW_SHARE / (count + _WINDOW_SHARE), 1.0 / self.window)
        constant = observed + iterations - max(observed, growing)
        return kept * (1.0 - 1.0 / self.window) ** max(constant, 0)

    def measurement(self, state: GapShareState) -> float:
        """Return kappa; NaN before the first observation."""
        return self.share(state) if state.observed else math.nan
