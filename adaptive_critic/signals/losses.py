"""Signals from the losses and from accuracies."""

from __future__ import annotations

from typing import Any, ClassVar

from adaptive_critic.signals.base import Memory, NumberT, Picked
from adaptive_critic.signals.output import kept, last, scalar

__all__ = ["BothLosses", "CriticLoss", "CriticLossChecked", "GeneratedAccuracy", "LossChanges", "RelativeLossChanges"]


class CriticLoss:
    """The loss of the last critic update."""

    names: ClassVar[tuple[str, ...]] = ("d_loss",)
    keys: ClassVar[tuple[str, ...]] = ("d_loss",)
    picked: ClassVar[int] = 1
    remembered: ClassVar[int] = 0

    def pick(self, output: Any, memory: Memory, steps: int) -> tuple[Picked, Memory]:
        """Pick the last d_loss."""
        return (None if steps == 0 else (last(output, "d_loss"),)), memory

    def combine(self, *picked: NumberT) -> tuple[NumberT, ...]:
        """Return what was picked."""
        return picked


class CriticLossChecked:
    """The loss of the last critic update, where a non-finite loss of the generator counts as a bad observation too."""

    names: ClassVar[tuple[str, ...]] = ("d_loss",)
    keys: ClassVar[tuple[str, ...]] = ("d_loss", "g_loss")
    picked: ClassVar[int] = 2
    remembered: ClassVar[int] = 0

    def pick(self, output: Any, memory: Memory, steps: int) -> tuple[Picked, Memory]:
        """Pick the last d_loss and g_loss."""
        g_loss = scalar(output, "g_loss")
        return (None if steps == 0 else (last(output, "d_loss"), g_loss)), memory

    def combine(self, *picked: NumberT) -> tuple[NumberT, ...]:
        """Return d_loss, not finite unless g_loss is finite."""
        d_loss, g_loss = picked
        return (d_loss + 0.0 * g_loss,)


class BothLosses:
    """The loss of the last critic update and the generator's loss."""

    names: ClassVar[tuple[str, ...]] = ("d_loss", "g_loss")
    keys: ClassVar[tuple[str, ...]] = ("d_loss", "g_loss")
    picked: ClassVar[int] = 2
    remembered: ClassVar[int] = 0

    def pick(self, output: Any, memory: Memory, steps: int) -> tuple[Picked, Memory]:
        """Pick the last d_loss and g_loss."""
        g_loss = scalar(output, "g_loss")
        return (None if steps == 0 else (last(output, "d_loss"), g_loss)), memory

    def combine(self, *picked: NumberT) -> tuple[NumberT, ...]:
        """Return what was picked."""
        return picked


class LossChanges:
    """Absolute changes of both losses from one iteration to the next."""

    names: ClassVar[tuple[str, ...]] = ("d_change", "g_change")
    keys: ClassVar[tuple[str, ...]] = ("d_loss", "g_loss")
    picked: ClassVar[int] = 4
    remembered: ClassVar[int] = 2

    def pick(self, output: Any, memory: Memory, steps: int) -> tuple[Picked, Memory]:
        """Pick both losses, now and before."""
        g_loss = scalar(output, "g_loss")
        if steps == 0:
            return None, memory
        now = (last(output, "d_loss"), g_loss)
        return ((*now, *memory) if memory else None), (kept(now[0]), kept(now[1]))

    def combine(self, *picked: NumberT) -> tuple[NumberT, ...]:
        """Return the absolute differences."""
        d_now, g_now, d_before, g_before = picked
        return abs(d_now - d_before), abs(g_now - g_before)


class RelativeLossChanges(LossChanges):
    """Relative changes of both losses, abs((now - before) / before)."""

    names: ClassVar[tuple[str, ...]] = ("d_rate", "g_rate")

    def combine(self, *picked: NumberT) -> tuple[NumberT, ...]:
        """Return the absolute relative differences; a loss that was exactly 0 has none, which is held."""
        d_now, g_now, d_before, g_before = picked
        return abs((d_now - d_before) / d_before), abs((g_now - g_before) / g_before)


class GeneratedAccuracy:
    """Share of the generator's batch that the critic calls fake; every iteration has it, also with n = 0."""

    names: ClassVar[tuple[str, ...]] = ("g_fake_accuracy",)
    keys: ClassVar[tuple[str, ...]] = ("g_fake_accuracy",)
    picked: ClassVar[int] = 1
    remembered: ClassVar[int] = 0

    def pick(self, output: Any, memory: Memory, steps: int) -> tuple[Picked, Memory]:
        """Pick g_fake_accuracy."""
        return (scalar(output, "g_fake_accuracy"),), memory

    def combine(self, *picked: NumberT) -> tuple[NumberT, ...]:
        """Return what was picked."""
        return picked
