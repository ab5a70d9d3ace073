"""Published rules, as baselines. All propose whole numbers.

Those that were written to decide after each single update ("train the critic again, or the generator?") are adapted
to one decision per iteration (= generator update): where the original asks for another critic update, the number of
critic updates of the next iteration grows by one, else it shrinks by one.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

from adaptive_critic.checks import above, between, integer, real, share_kept, whole
from adaptive_critic.laws.base import Observation, check_fields

__all__ = [
    "AccuracyGateLaw",
    "AccuracyLadderLaw",
    "GateState",
    "LadderState",
    "LossChangeRateLaw",
    "LossChangeRateState",
    "ThresholdState",
    "TwoThresholdLaw",
]


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
    """index into the ladder"""
    updates: int
    """generator updates on this rung"""


@dataclass(frozen=True)
class AccuracyLadderLaw:
    """Climb the ladder 1, 2, 5, 10, 20, ... when the critic's accuracy on generated batches has sunk.

    Bie, Kamath, Zhang, "Private GANs, Revisited", TMLR 2023, arXiv 2302.02936 (dpgan/sched.py, DStepScheduler), as it
    stands: average with factor ``smoothing`` that starts at the first value; at average <= ``threshold`` and at least
    ``grace`` generator updates on this rung, the next rung; never down.
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
        """Return the state on the rung of ``ratio``, or on the one below where limits hold it between two."""
        return LadderState(math.nan, max(bisect_right(self.rungs, ratio) - 1, 0), 0)

    def update(self, state: LadderState, observation: Observation, ratio: float) -> tuple[LadderState, float]:
        """Average, and climb if it is time."""
        (accuracy,) = observation.mean
        if not math.isnan(state.accuracy):
            kept = self.smoothing**observation.iterations
            accuracy = kept * state.accuracy + (1.0 - kept) * accuracy
        rung, updates = state.rung, state.updates + observation.iterations
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
    r"""One more critic update if :math:`r_d > \lambda r_g`, else one fewer; :math:`r = |(L - L_{last}) / L_{last}|`.

    Ouyang, Chen, Agam, "Accelerated WGAN update strategy with loss change rate balancing", WACV 2021, arXiv
    2008.12463. Adapted: the original decides after every single update whether the critic or the generator is next.
    Ratios of Wasserstein losses change under D -> D + b; that is the rule's own. Never below one critic update:
    without any there is no new loss that could ask for the next one.
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
    """One more critic update while its loss is not below its threshold, one fewer while the generator's is not.

    ganhacks, section 11, and fastai's AdaptiveGANSwitcher: train the critic until its last loss is below
    ``critic_threshold``, then the generator until below ``generator_threshold``. Adapted: one decision per generator
    update and bounded; with both losses below their thresholds the number is held, and it never sinks below one
    critic update: without any there is no new loss that could ask for the next one.
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
    """``steps`` critic updates while its accuracy is at most ``threshold``, else none.

    Gate of 3D-GAN re-implementations (update the critic only if its accuracy <= 0.8). Adapted: the originals measure
    the accuracy on both batches in a critic forward that they make even when they skip the update; here it is the
    accuracy on the generator's batch, which every iteration has.
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
