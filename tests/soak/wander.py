"""Outputs of a training step whose scores and losses wander, drawn from a seeded generator; no networks."""

from __future__ import annotations

import math
import random
from typing import Any

import torch

__all__ = ["FORMS", "Wander"]

FORMS = (*("floats",) * 8, "tuple", "tensor")
"""forms of (n,) entries; floats are the most frequent since they cost the least"""


class Wander:
    """A critic whose gap, offset and loss drift, and a generator that uses up less of the gap the more updates it had.

    The gap stays above 0 and within what a guard takes for healthy, so that whatever a guard finds is a fault's doing.

    Args:
        seed: of all that is drawn.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._gap, self._share, self._loss, self._accuracy, self._offset = 0.0, 0.0, 0.0, 0.0, 0.0
        self._scores = (1.0, 0.0)  # of real and generated samples as the next iteration begins

    def _drifted(self, value: float, pace: float, noise: float) -> float:
        return (1.0 - pace) * value + self._random.gauss(0.0, noise)

    def output(self, steps: int, form: str) -> dict[str, Any]:
        """Return a StepOutput of ``steps`` critic updates."""
        real, fake = (score + self._random.gauss(0.0, 0.02) for score in self._scores)
        self._gap = self._drifted(self._gap, 0.02, 0.05)
        self._share = self._drifted(self._share, 0.005, 0.06)
        self._loss = self._drifted(self._loss, 0.01, 0.08)
        self._accuracy = self._drifted(self._accuracy, 0.01, 0.2)
        self._offset = self._drifted(self._offset, 0.001, 0.02)
        gap = math.exp(self._gap)
        used = gap * min(0.5 * math.exp(self._share) / (1.0 + steps), 0.6)
        loss = math.exp(0.6 * self._loss) / math.sqrt(1.0 + steps)
        g_fake = self._drifted(self._offset, 0.0, 0.02)
        self._scores = (self._offset + gap, self._offset + used)
        later = max(steps - 1, 0)
        vectors = {
            # The first entry is from before the critic's updates.
            "d_real": [real, *[self._offset + gap] * later][:steps],
            "d_fake": [fake, *[self._offset] * later][:steps],
            "d_loss": [*[1.5 * loss] * later, loss][:steps],
        }
        accuracy = 1.0 / (1.0 + math.exp(-self._accuracy))
        return formed(vectors, {"g_loss": -g_fake, "g_fake": g_fake, "g_fake_accuracy": accuracy}, form)


def formed(vectors: dict[str, list[float]], scalars: dict[str, float], form: str) -> dict[str, Any]:
    """Return entries as floats, as tuples of 0-d tensors, or as tensors (n,)."""
    if form == "floats":
        return {**vectors, **scalars}
    entries: dict[str, Any] = {key: torch.tensor(values) for key, values in vectors.items()}
    if form == "tuple":
        entries = {key: value.unbind() for key, value in entries.items()}
    return entries | {key: torch.tensor(value) for key, value in scalars.items()}
