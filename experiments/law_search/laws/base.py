"""Base of the laws tried. Floats in, floats out: a law sees what one iteration of training produces for free."""

from __future__ import annotations

from typing import NamedTuple


class Observation(NamedTuple):
    """One iteration: critic updates in order, then the generator's batch under the critic that they made.

    ``gain`` is the gain of the last critic update on a fresh batch and is NaN unless the candidate pays for it.
    """

    real: tuple[float, ...]
    fake: tuple[float, ...]
    real_std: tuple[float, ...]
    fake_std: tuple[float, ...]
    losses: tuple[float, ...]
    g_fake: float
    gain: float


class Law:
    """Base of all laws: a constant ratio, and a constant multiplier of the critic's learning rate."""

    def __init__(self, ratio: float = 5.0, rate: float = 1.0) -> None:
        self.ratio, self.rate = ratio, rate

    def first(self) -> float:
        """Return the ratio for the first iteration."""
        return self.ratio

    def update(self, observation: Observation) -> float:
        """Take one iteration's observation and return the ratio for the next."""
        return self.ratio

    def report(self) -> dict[str, float]:
        """Return diagnostics for the traces."""
        return {}
