"""The gap E[D(x)] - E[D(G(z))] around one generator update, from what the training step has at hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from adaptive_critic.signals.base import ANY_NUMBER, NumberT, Picked
from adaptive_critic.signals.output import Scalar, first, scalar

__all__ = ["GapShare", "GapShareFromMetrics", "generated_score"]


def generated_score(output: Any) -> Scalar:
    """Return g_fake, or -g_loss, which it equals under a Wasserstein objective."""
    if isinstance(output, (dict, Mapping)) and "g_fake" not in output and "g_loss" in output:
        return -scalar(output, "g_loss")
    return scalar(output, "g_fake")


class GapShare:
    """Components ``used`` and ``gap`` of iteration t, seen one iteration later with the same critic.

    gap = d_real[0] at t+1 - g_fake at t: the gap after t's critic updates, before the generator's update;
    used = d_fake[0] at t+1 - g_fake at t: what that generator update took from it. Both are offset-free and scale
    with the critic. An iteration without critic updates gives nothing to observe, but its g_fake serves the next.
    """

    names: ClassVar[tuple[str, ...]] = ("used", "gap")
    width: ClassVar[int] = 3
    paired: ClassVar[bool] = True
    domain: ClassVar[tuple[float, float]] = ANY_NUMBER
    hint: ClassVar[str] = ""

    def pick(self, output: Any, steps: int) -> Picked | None:
        """Pick d_real[0], d_fake[0] and g_fake."""
        g_fake = generated_score(output)
        if steps == 0:
            return Picked((g_fake, g_fake, g_fake), False)
        return Picked((first(output, "d_real"), first(output, "d_fake"), g_fake), True)

    def combine(self, *picked: NumberT) -> tuple[NumberT, ...]:
        """Return (used, gap)."""
        d_real, d_fake, _, _, _, g_fake_before = picked
        return d_fake - g_fake_before, d_real - g_fake_before


class GapShareFromMetrics:
    """The same components from two running gaps: before the critic's updates and after them."""

    names: ClassVar[tuple[str, ...]] = ("used", "gap")
    width: ClassVar[int] = 2
    paired: ClassVar[bool] = False
    domain: ClassVar[tuple[float, float]] = ANY_NUMBER
    hint: ClassVar[str] = ""

    def pick(self, output: Any, steps: int) -> Picked | None:
        """Pick both gaps."""
        return None if steps == 0 else Picked((scalar(output, "gap_before"), scalar(output, "gap_after")), True)

    def combine(self, *picked: NumberT) -> tuple[NumberT, ...]:
        """Return (gap after - gap before, gap after)."""
        before, after = picked
        return after - before, after
