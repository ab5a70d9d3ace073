"""The gap E[D(x)] - E[D(G(z))] around one generator update, from what the training step has at hand."""

from __future__ import annotations

from typing import Any, ClassVar

from adaptive_critic.signals.base import Memory, NumberT, Picked
from adaptive_critic.signals.output import Scalar, first, kept, scalar

__all__ = ["GapShare", "GapShareFromMetrics", "generated_score"]


def generated_score(output: Any) -> Scalar:
    """Return g_fake, or -g_loss, which it equals under a Wasserstein objective."""
    if isinstance(output, dict) and "g_fake" not in output and "g_loss" in output:
        return -scalar(output, "g_loss")
    return scalar(output, "g_fake")


class GapShare:
    """Components ``used`` and ``gap`` of iteration t, seen one iteration later with the same critic.

    gap = d_real[0] at t+1 - g_fake at t: the gap after t's critic updates, before the generator's update;
    used = d_fake[0] at t+1 - g_fake at t: what that generator update took from it. Both are offset-free and scale
    with the critic. An iteration without critic updates gives nothing to observe.
    """

    names: ClassVar[tuple[str, ...]] = ("used", "gap")
    keys: ClassVar[tuple[str, ...]] = ("d_real", "d_fake", "g_fake")
    picked: ClassVar[int] = 3
    remembered: ClassVar[int] = 1

    def pick(self, output: Any, memory: Memory, steps: int) -> tuple[Picked, Memory]:
        """Pick d_real[0], d_fake[0] and the g_fake that was remembered."""
        g_fake = generated_score(output)
        if steps == 0:
            return None, (kept(g_fake),)
        d_real, d_fake = first(output, "d_real"), first(output, "d_fake")
        return ((d_real, d_fake, memory[0]) if memory else None), (kept(g_fake),)

    def combine(self, *picked: NumberT) -> tuple[NumberT, ...]:
        """Return (used, gap)."""
        d_real, d_fake, g_fake = picked
        return d_fake - g_fake, d_real - g_fake


class GapShareFromMetrics:
    """The same components from two running gaps: before the critic's updates and after them."""

    names: ClassVar[tuple[str, ...]] = ("used", "gap")
    keys: ClassVar[tuple[str, ...]] = ("gap_before", "gap_after")
    picked: ClassVar[int] = 2
    remembered: ClassVar[int] = 0

    def pick(self, output: Any, memory: Memory, steps: int) -> tuple[Picked, Memory]:
        """Pick both gaps."""
        if steps == 0:
            return None, memory
        return (scalar(output, "gap_before"), scalar(output, "gap_after")), memory

    def combine(self, *picked: NumberT) -> tuple[NumberT, ...]:
        """Return (gap after - gap before, gap after)."""
        before, after = picked
        return after - before, after
