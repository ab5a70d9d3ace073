"""Published rules, as baselines. All propose whole numbers.

Some originals decide after each single update whether to train the critic again or the generator. Here they decide once
per iteration (= generator update). If the original asks for another critic update, the next iteration gets one more,
else one fewer.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

from adaptive_critic.checks import above, between, integer, real, share_kept, whole
from adaptive_critic.laws.base import Observation, check_fields


def _rungs(name: str, value: Any) -> tuple[int, ...]:
    """Check the rungs of a ladder: ints that ascend."""
    if not isinstance(value, tuple) or not value:
        raise TypeError(f"{name}={value!r}: expected a tuple of ints, got {type(value).__name__}")
    rungs = tuple(integer(f"{name}[{index}]", rung, at_least=1) for index, rung in enumerate(value))
    if not all(lower < higher for lower, higher in pairwise(rungs)):
        raise ValueError(f"{name}={value!r}: expected ints that ascend")
    return rungs


class LadderState(NamedTuple):
    """State of :class:`AccuracyLadderLaw`."""

    accuracy: float
    """running average of the critic's accuracy on generated batches; NaN before the first"""
    rung: int
    """index of the current rung"""
    updates: int
    """generator updates on this rung"""


@dataclass(frozen=True)
class AccuracyLadderLaw:
    """Climbs the ladder 1, 2, 5, 10, 20, ... when the critic's accuracy on generated batches has fallen.

    Source: Bie, Kamath, Zhang, "Private GANs, Revisited", TMLR 2023, arXiv 2302.02936 (dpgan/sched.py, DStepScheduler),
    unchanged. The running average has the factor ``smoothing`` and starts at the first value. The law takes the next
    rung if the average is at most ``threshold`` after at least ``grace`` generator updates on a rung. It never goes
    down.
    """

    rungs: tuple[int, ...] = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
    threshold: float = 0.60
    grace: int = 200
    smoothing: float = 0.99

    inputs: ClassVar[tuple[str, ...]] = ("g_fake_accuracy",)
    whole: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_fields(self, rungs=_rungs, threshold=between(0.0, 1.0), grace=whole(1), smoothing=share_kept)

    def init(self, ratio: float) -> LadderState:
        """Return the state on the rung of ``ratio``, or on the rung below if limits hold it between two."""
        return LadderState(math.nan, max(bisect_right(self.rungs, ratio) - 1, 0), 0)

    def update(self, state: LadderState, observation: Observation, ratio: float) -> tuple[LadderState, float]:
        """Update the average, and climb if it is low enough after ``grace`` updates."""
        (accuracy,) = observation.mean
        if not math.isnan(state.accuracy):
            kept = self.smoothing**observation.iterations
            accuracy = kept * state.accuracy + (1.0 - kept) * accuracy
        # Limits may hold the ratio below the rung: climbing on behind them would end in a jump once they are widened.
        rung = min(state.rung, bisect_left(self.rungs, ratio))
        updates = state.updates + observation.iterations
        if updates >= self.grace and accuracy <= self.threshold:
            rung, updates = min(rung + 1, len(self.rungs) - 1), 0
        return LadderState(accuracy, rung, updates), float(self.rungs[rung])

    def measurement(self, state: LadderState) -> float:
        """Return the averaged accuracy."""
        return state.accuracy


class LossChangeRateState(NamedTuple):
    """State of :class:`LossChangeRateLaw`."""

    d_rate: float
    """last relative change of the critic's loss"""
    g_rate: float
    """last relative change of the generator's loss"""


@dataclass(frozen=True)
class LossChangeRateLaw:
    r"""Adds a critic update if :math:`r_d > \lambda r_g`, else removes one; :math:`r = |(L - L_{last}) / L_{last}|`.

    Source: Ouyang, Chen, Agam, "Accelerated WGAN update strategy with loss change rate balancing", WACV 2021, arXiv
    2008.12463. Adapted: the original decides after every single update whether the critic or the generator is next.
    Ratios of Wasserstein losses change under D -> D + b, as in the original. The law proposes at least one critic
    update: without one there is no new loss to ask for the next.
    """

    balance: float = 2.0

    inputs: ClassVar[tuple[str, ...]] = ("d_rate", "g_rate")
    whole: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_fields(self, balance=above(0.0))

    def init(self, ratio: float) -> LossChangeRateState:
        """Return the state before the first observation: both rates are 1 at first."""
        return LossChangeRateState(1.0, 1.0)

    def update(
        self, state: LossChangeRateState, observation: Observation, ratio: float
    ) -> tuple[LossChangeRateState, float]:
        """Compare the two rates of change, move by one."""
        d_rate, g_rate = observation.mean
        state = LossChangeRateState(d_rate, g_rate)
        return state, max(ratio + (1.0 if d_rate > self.balance * g_rate else -1.0), 1.0)

    def measurement(self, state: LossChangeRateState) -> float:
        """Return r_d / r_g."""
        return state.d_rate / state.g_rate if state.g_rate > 0.0 else math.nan


class ThresholdState(NamedTuple):
    """State of :class:`TwoThresholdLaw`."""

    d_loss: float
    """last critic loss"""
    g_loss: float
    """last generator loss"""


@dataclass(frozen=True)
class TwoThresholdLaw:
    """Adds a critic update while the critic's loss is high, else removes one while the generator's loss is high.

    High means at or above ``critic_threshold`` or ``generator_threshold``. Source: ganhacks, section 11, and fastai's
    AdaptiveGANSwitcher, which train the critic until its last loss is below the one threshold, then the generator until
    its loss is below the other. Adapted: one decision per generator update, within limits. With both losses below their
    thresholds the number stays. The law proposes at least one critic update: without one there is no new loss to ask
    for the next.
    """

    critic_threshold: float
    generator_threshold: float

    inputs: ClassVar[tuple[str, ...]] = ("d_loss", "g_loss")
    whole: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_fields(self, critic_threshold=real, generator_threshold=real)

    def init(self, ratio: float) -> ThresholdState:
        """Return the state before the first observation."""
        return ThresholdState(math.nan, math.nan)

    def update(self, state: ThresholdState, observation: Observation, ratio: float) -> tuple[ThresholdState, float]:
        """Compare both losses with their thresholds, move by one."""
        d_loss, g_loss = observation.mean
        if d_loss >= self.critic_threshold:
            ratio += 1.0
        elif g_loss >= self.generator_threshold:
            ratio = max(ratio - 1.0, 1.0)
        return ThresholdState(d_loss, g_loss), ratio

    def measurement(self, state: ThresholdState) -> float:
        """Return the last critic loss."""
        return state.d_loss


class GateState(NamedTuple):
    """State of :class:`AccuracyGateLaw`."""

    accuracy: float
    """last accuracy; NaN before the first observation"""


@dataclass(frozen=True)
class AccuracyGateLaw:
    """Gives ``steps`` critic updates while the critic's accuracy is at most ``threshold``, else none.

    Source: 3D-GAN re-implementations, which update the critic only if its accuracy is at most 0.8. Adapted: the
    originals measure the accuracy on both batches, in a forward pass that they make even without an update. Here it is
    the accuracy on the generator's batch, which every iteration has.
    """

    steps: int = 1
    threshold: float = 0.8

    inputs: ClassVar[tuple[str, ...]] = ("g_fake_accuracy",)
    whole: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_fields(self, steps=whole(1), threshold=between(0.0, 1.0))

    def init(self, ratio: float) -> GateState:
        """Return the state before the first observation."""
        return GateState(math.nan)

    def update(self, state: GateState, observation: Observation, ratio: float) -> tuple[GateState, float]:
        """Open or close the gate."""
        (accuracy,) = observation.mean
        return GateState(accuracy), float(self.steps if accuracy <= self.threshold else 0)

    def measurement(self, state: GateState) -> float:
        """Return the last accuracy."""
        return state.accuracy
