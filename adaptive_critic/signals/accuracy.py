"""Signal of the critic's accuracy on the generator's batch."""

from __future__ import annotations

from typing import Any, ClassVar

from adaptive_critic.signals.base import NumberT, Picked
from adaptive_critic.step_output import scalar


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
