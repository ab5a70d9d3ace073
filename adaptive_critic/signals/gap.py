"""Signal of the gap between real and generated scores: the share of it that a generator update uses up."""

from __future__ import annotations

from typing import Any, ClassVar

from adaptive_critic.signals.base import ANY_NUMBER, NumberT, Picked
from adaptive_critic.step_output import gap_scores, generated_score


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
    domain: ClassVar[tuple[float, float]] = ANY_NUMBER
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
