"""Signals of the losses: the critic's, both, or their changes."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from adaptive_critic.signals.base import ANY_NUMBER, NumberT, Picked
from adaptive_critic.step_output import last, require, scalar

_NEVER_NEGATIVE = (
    "the loss of a non-saturating, hinge or least-squares critic, penalties left out, is never negative; for a "
    "Wasserstein loss take LossRatioPIDController('wasserstein')"
)


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

    domain: ClassVar[tuple[float, float]] = ANY_NUMBER
    hint: ClassVar[str] = ""


class BothLosses:
    """Loss of the last critic update and the generator's loss."""

    names: ClassVar[tuple[str, ...]] = ("d_loss", "g_loss")
    width: ClassVar[int] = 2
    paired: ClassVar[bool] = False
    domain: ClassVar[tuple[float, float]] = ANY_NUMBER
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
