"""Signals: scalars of a step's output, and the numbers that a law gets from them, without device-to-host copies."""

from __future__ import annotations

import math
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

import torch

from adaptive_critic.step_output import Scalar, gap_scores, generated_score, last, require, scalar

_ANY_NUMBER = (-math.inf, math.inf)
_NEVER_NEGATIVE = (
    "the loss of a non-saturating, hinge or least-squares critic, penalties left out, is never negative; for a "
    "Wasserstein loss take LossRatioPIDController('wasserstein')"
)

NumberT = TypeVar("NumberT", torch.Tensor, float)


class Picked(NamedTuple):
    """Scalars of one iteration."""

    scalars: tuple[Scalar, ...]
    """always the same number, in the same order"""
    observed: bool
    """False if the iteration only serves the next one and is not an observation itself"""


class Signal(Protocol):
    """Turns step outputs into rows of scalars without a device-to-host copy.

    ``pick`` runs at every iteration and only collects scalars. ``combine`` runs when a decision is due, on all scalars
    collected since the last decision.
    """

    names: ClassVar[tuple[str, ...]]
    """names of the components that ``combine`` returns, as the law expects them"""
    width: ClassVar[int]
    """number of scalars that ``pick`` returns"""
    paired: ClassVar[bool]
    """True if ``combine`` compares an iteration with the one before it"""
    domain: ClassVar[tuple[float, float]]
    """lowest and highest possible mean of the first component; a value outside is not this quantity"""
    hint: ClassVar[str]
    """probable cause of a value outside, and what to do; empty if any number is possible"""

    def pick(self, output: Any, steps: int) -> Picked | None:
        """Return this iteration's scalars, or None if it has none.

        Args:
            output: the training step's output (StepOutput), after ``output_transform``.
            steps: critic updates of this iteration; with 0 the critic's entries may be empty or absent.

        Raises:
            StepOutputError: if the output lacks an entry that is needed.
        """
        ...

    def combine(self, *picked: NumberT) -> tuple[NumberT, ...]:
        """Turn the picked scalars into components, one for each name.

        Called with this iteration's scalars, followed by those of the iteration before if ``paired``. They are floats,
        or columns (iterations,) in float64.
        """
        ...


class GapShare:
    """Components ``used`` and ``gap`` of iteration t, seen one iteration later with the same critic.

    gap = d_real[0] at t+1 - g_fake at t is the gap after t's critic updates, before the generator's update. used =
    d_fake[0] at t+1 - g_fake at t is the part of it that the generator's update took. Both are offset-free and scale
    with the critic. An iteration without critic updates is not an observation, but its g_fake serves the next.

    Args:
        wasserstein: whether the objective is known to be Wasserstein, so that g_fake may be left out.
    """

    names: ClassVar[tuple[str, ...]] = ("used", "gap")
    width: ClassVar[int] = 3
    paired: ClassVar[bool] = True
    domain: ClassVar[tuple[float, float]] = _ANY_NUMBER
    hint: ClassVar[str] = ""

    def __init__(self, *, wasserstein: bool = False) -> None:
        self.wasserstein = wasserstein

    def pick(self, output: Any, steps: int) -> Picked | None:
        """Pick d_real[0], d_fake[0] and g_fake."""
        if steps == 0:
            g_fake = generated_score(output)
            return Picked((g_fake, g_fake, g_fake), False)
        return Picked(gap_scores(output), True)

    def combine(self, *picked: NumberT) -> tuple[NumberT, ...]:
        """Return (used, gap)."""
        d_real, d_fake, _, _, _, g_fake_before = picked
        return d_fake - g_fake_before, d_real - g_fake_before


class GapShareFromMetrics:
    """Components ``used`` and ``gap`` from two running gaps: before the critic's updates and after them."""

    names: ClassVar[tuple[str, ...]] = ("used", "gap")
    width: ClassVar[int] = 2
    paired: ClassVar[bool] = False
    domain: ClassVar[tuple[float, float]] = _ANY_NUMBER
    hint: ClassVar[str] = ""

    def pick(self, output: Any, steps: int) -> Picked | None:
        """Pick both gaps."""
        return None if steps == 0 else Picked((scalar(output, "gap_before"), scalar(output, "gap_after")), True)

    def combine(self, *picked: NumberT) -> tuple[NumberT, ...]:
        """Return (gap after - gap before, gap after)."""
        before, after = picked
        return after - before, after


class CriticLoss:
    """Loss of the last critic update, of an objective that has an ideal loss: never negative."""

    names: ClassVar[tuple[str, ...]] = ("d_loss",)
    width: ClassVar[int] = 1
    paired: ClassVar[bool] = False
    domain: ClassVar[tuple[float, float]] = (0.0, math.inf)
    hint: ClassVar[str] = _NEVER_NEGATIVE

    def pick(self, output: Any, steps: int) -> Picked | None:
        """Pick the last d_loss."""
        return None if steps == 0 else Picked((last(output, "d_loss"),), True)

    def combine(self, *picked: NumberT) -> tuple[NumberT, ...]:
        """Return what was picked."""
        return picked


class LastLoss(CriticLoss):
    """Loss of the last critic update, of any objective."""

    domain: ClassVar[tuple[float, float]] = _ANY_NUMBER
    hint: ClassVar[str] = ""


class BothLosses:
    """Loss of the last critic update and the generator's loss."""

    names: ClassVar[tuple[str, ...]] = ("d_loss", "g_loss")
    width: ClassVar[int] = 2
    paired: ClassVar[bool] = False
    domain: ClassVar[tuple[float, float]] = _ANY_NUMBER
    hint: ClassVar[str] = ""

    def pick(self, output: Any, steps: int) -> Picked | None:
        """Pick the last d_loss and g_loss."""
        if steps > 0:
            require(output, "d_loss", "g_loss")
        g_loss = scalar(output, "g_loss")
        return None if steps == 0 else Picked((last(output, "d_loss"), g_loss), True)

    def combine(self, *picked: NumberT) -> tuple[NumberT, ...]:
        """Return what was picked."""
        return picked


class CriticLossChecked(BothLosses):
    """Loss of the last critic update. A non-finite loss of the generator makes it a bad observation too."""

    names: ClassVar[tuple[str, ...]] = ("d_loss",)
    domain: ClassVar[tuple[float, float]] = (0.0, math.inf)
    hint: ClassVar[str] = _NEVER_NEGATIVE

    def pick(self, output: Any, steps: int) -> Picked | None:
        """Pick the last d_loss, and g_loss if it is there: a reinforcement learner has none."""
        if steps == 0:
            return None
        d_loss = last(output, "d_loss")
        return Picked((d_loss, scalar(output, "g_loss") if "g_loss" in output else d_loss), True)

    def combine(self, *picked: NumberT) -> tuple[NumberT, ...]:
        """Return d_loss, made non-finite if g_loss is not finite."""
        d_loss, g_loss = picked
        return (d_loss + 0.0 * g_loss,)


class LossChanges(BothLosses):
    """Absolute changes of both losses from one iteration with critic updates to the next one."""

    names: ClassVar[tuple[str, ...]] = ("d_change", "g_change")
    paired: ClassVar[bool] = True

    def combine(self, *picked: NumberT) -> tuple[NumberT, ...]:
        """Return the absolute differences."""
        d_now, g_now, d_before, g_before = picked
        return abs(d_now - d_before), abs(g_now - g_before)


class RelativeLossChanges(LossChanges):
    """Relative changes of both losses, abs((now - before) / before)."""

    names: ClassVar[tuple[str, ...]] = ("d_rate", "g_rate")

    def combine(self, *picked: NumberT) -> tuple[NumberT, ...]:
        """Return the absolute relative differences; a loss that was exactly 0 has none: a bad observation."""
        d_now, g_now, d_before, g_before = picked
        return abs((d_now - d_before) / d_before), abs((g_now - g_before) / g_before)


class GeneratedAccuracy:
    """Share of the generator's batch that the critic calls fake; measured in every iteration, also with n = 0."""

    names: ClassVar[tuple[str, ...]] = ("g_fake_accuracy",)
    width: ClassVar[int] = 1
    paired: ClassVar[bool] = False
    domain: ClassVar[tuple[float, float]] = (0.0, 1.0)
    hint: ClassVar[str] = "an accuracy is a share in [0, 1], this may be a percentage or a number of samples"

    def pick(self, output: Any, steps: int) -> Picked | None:
        """Pick g_fake_accuracy."""
        return Picked((scalar(output, "g_fake_accuracy"),), True)

    def combine(self, *picked: NumberT) -> tuple[NumberT, ...]:
        """Return what was picked."""
        return picked
