"""AdaRpGAN's rule for the number of critic updates, as a baseline."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from adaptive_critic.checks import above, at_least, whole
from adaptive_critic.laws.base import Observation, check_fields


class LossVarianceState(NamedTuple):
    """State of :class:`LossVarianceLaw`."""

    loss: float
    """running average of the critic's loss"""
    loss_square: float
    """running average of its square"""
    observed: int
    """losses observed so far"""
    wait: int
    """losses to observe before the next move"""


@dataclass(frozen=True)
class LossVarianceLaw:
    r"""Adds a critic update while the variance of the critic's loss is above ``high``, removes one below ``low``.

    Source: AdaRpGAN, research3gmiu/AdaRpGAN, adarppgan/trainer/adaptive_controller.py, 2025. It compares the variance
    of the last 50 critic losses with 0.50 and 0.05. n is from 1 to 5 and does not move for 100 losses after each move.

    Adapted: the original observes each critic update. Here each generator update observes the loss of the last critic
    update before it; window and cooldown count those losses. The averages forget exponentially, with the mean age of
    the original's window, so that the state is four numbers. A loss weighs :math:`\alpha = 2 / (\text{window} + 1)`,
    or 1 over the number of losses if that is larger. The original's adaptive weight of the gradient penalty is left
    out. The variance depends on the scale of the loss, as in the original.

    Args:
        high: variance above which n grows, above ``low``.
        low: variance below which n shrinks, at least 0.
        window: losses that the variance is taken over, at least 2.
        cooldown: losses without another move after a move, at least 0.
        highest: largest n that it moves to, at least 1.

    Raises:
        TypeError: if a number is of the wrong type.
        ValueError: if one is out of its range.
    """

    high: float = 0.50
    low: float = 0.05
    window: int = 50
    cooldown: int = 100
    highest: int = 5

    inputs: ClassVar[tuple[str, ...]] = ("d_loss",)
    whole: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_fields(self, low=at_least(0.0), window=whole(2), cooldown=whole(0), highest=whole(1))
        check_fields(self, high=above(self.low))

    def init(self, ratio: float) -> LossVarianceState:
        """Return the state before the first observation."""
        return LossVarianceState(0.0, 0.0, 0, 0)

    def update(
        self, state: LossVarianceState, observation: Observation, ratio: float
    ) -> tuple[LossVarianceState, float]:
        """Update the averages, and move by one unless the cooldown forbids it."""
        observed = state.observed + observation.iterations
        alpha = max(1.0 - (1.0 - 2.0 / (self.window + 1)) ** observation.iterations, observation.iterations / observed)
        loss, square = (
            before + alpha * (now - before)
            for before, now in zip(state[:2], (*observation.mean, *observation.mean_square), strict=True)
        )
        waits = state.wait >= observation.iterations
        state = LossVarianceState(loss, square, observed, max(state.wait - observation.iterations, 0))
        variance = self.measurement(state)
        if not waits and variance > self.high and ratio < self.highest:
            return state._replace(wait=self.cooldown), min(ratio + 1.0, float(self.highest))
        if not waits and variance < self.low and ratio > 1.0:
            return state._replace(wait=self.cooldown), max(ratio - 1.0, 1.0)
        return state, ratio

    def measurement(self, state: LossVarianceState) -> float:
        """Return the variance of the critic's loss; NaN before the first observation."""
        return max(state.loss_square - state.loss**2, 0.0) if state.observed else math.nan
