"""Law of WassersteinGapController: hold the share of the critic's advantage that one generator update uses up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from adaptive_critic.laws.base import Observation, moved

__all__ = ["GapShareLaw", "GapShareState"]


class GapShareState(NamedTuple):
    """State of :class:`GapShareLaw`."""

    used: float
    """running average of gap after the critic's updates minus gap after the generator's"""
    gap: float
    """running average of the gap after the critic's updates"""
    observed: int
    """iterations observed so far"""


@dataclass(frozen=True)
class GapShareLaw:
    r"""Integral control of the logarithm of the ratio by the share kappa.

    .. math::
        \kappa = \overline{g_{post} - g_{pre}} \,/\, \overline{g_{post}}, \qquad
        \log r \leftarrow \log r + k \cdot \text{gain} \cdot
        \mathrm{clip}\!\left(\log(\kappa / \text{setpoint}), -1, 1\right)

    over a decision of k iterations. Numerator and denominator are averaged before the division, with the factor
    ``smoothing`` per iteration; the ratio is held for the first ``warmup`` observations. A numerator at or below 0
    counts as -1 (the generator's update used nothing up: fewer critic updates), a denominator at or below 0 as +1
    (the critic has no advantage left: more). Both averages scale with the critic and neither depends on its offset,
    so the law is invariant under D -> a*D + b, a > 0.
    """

    setpoint: float = 0.05
    gain: float = 0.02
    smoothing: float = 0.95
    warmup: int = 20

    inputs: ClassVar[tuple[str, ...]] = ("used", "gap")
    whole: ClassVar[bool] = False

    def init(self, ratio: float) -> GapShareState:
        """Return the state before the first observation."""
        return GapShareState(0.0, 0.0, 0)

    def error(self, state: GapShareState) -> float:
        """Return the control error in [-1, 1]: positive asks for more critic updates."""
        if state.gap <= 0.0:
            return 1.0
        share = state.used / state.gap
        if share <= 0.0:
            return -1.0
        return min(max(math.log(share / self.setpoint), -1.0), 1.0)

    def update(self, state: GapShareState, observation: Observation, ratio: float) -> tuple[GapShareState, float]:
        """Average, then move the ratio by at most ``gain`` e-folds per iteration."""
        kept = self.smoothing**observation.iterations
        used, gap = observation.mean
        state = GapShareState(
            kept * state.used + (1.0 - kept) * used,
            kept * state.gap + (1.0 - kept) * gap,
            state.observed + observation.iterations,
        )
        if state.observed <= self.warmup:
            return state, ratio
        return state, moved(ratio, self.gain * observation.iterations * self.error(state))

    def measurement(self, state: GapShareState) -> float:
        """Return kappa; NaN before the first observation."""
        return state.used / state.gap if state.observed and state.gap != 0.0 else math.nan
