"""The gap E[D(x)] - E[D(G(z))] around one generator update, from what the training step has at hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from adaptive_critic.signals.base import ANY_NUMBER, NumberT, Picked
from adaptive_critic.signals.output import Scalar, first, scalar

__all__ = ["STAND_IN", "GapShare", "GapShareFromMetrics", "generated_score", "has_stand_in"]

STAND_IN = (
    "the training step's output has no 'g_fake', so -g_loss stands for it. Under a Wasserstein or hinge objective the "
    "two are the same; under any other return 'g_fake', the critic's mean score of the generator's batch, or the gap "
    "is wrong"
)
"""what the user is told where the objective can't be known"""


def has_stand_in(output: Any) -> bool:
    """Return whether g_fake is not there and -g_loss is."""
    return isinstance(output, (dict, Mapping)) and "g_fake" not in output and "g_loss" in output


def generated_score(output: Any) -> Scalar:
    """Return g_fake, or -g_loss, which it equals under a Wasserstein objective."""
    return -scalar(output, "g_loss") if has_stand_in(output) else scalar(output, "g_fake")


class GapShare:
    """Components ``used`` and ``gap`` of iteration t, seen one iteration later with the same critic.

    gap = d_real[0] at t+1 - g_fake at t: the gap after t's critic updates, before the generator's update;
    used = d_fake[0] at t+1 - g_fake at t: what that generator update took from it. Both are offset-free and scale
    with the critic. An iteration without critic updates gives nothing to observe, but its g_fake serves the next.

    Args:
        wasserstein: whether the objective is known to be one, so that g_fake may be left out.
    """

    names: ClassVar[tuple[str, ...]] = ("used", "gap")
    width: ClassVar[int] = 3
    paired: ClassVar[bool] = True
    domain: ClassVar[tuple[float, float]] = ANY_NUMBER
    hint: ClassVar[str] = ""

    def __init__(self, *, wasserstein: bool = False) -> None:
        self.wasserstein = wasserstein

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
