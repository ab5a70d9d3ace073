"""What is kept of a run: its quality, its numbers, and signals summed over equal parts of its budget."""

from __future__ import annotations

from dataclasses import dataclass, field

from experiments.law_search.laws import Observation

SEGMENTS = 10
SIGNALS = (
    "count",
    "n",
    "fall",
    "fall^2",
    "pre",
    "post",
    "post^2",
    "real_std",
    "fake_std",
    "rise1",
    "rise2",
    "step1",
    "loss",
)


@dataclass
class Run:
    """What one replica did: quality at the common costs, n of every iteration, diagnostics of its law."""

    candidate: str
    seed: int
    quality: list[float] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    trace: list[dict[str, float]] = field(default_factory=list)
    signals: list[list[float]] = field(default_factory=list)


def signals(held: Observation, now: Observation) -> tuple[float, ...]:
    """Return SIGNALS of the iteration ``held``, known in full at the next, ``now``; both have critic updates."""
    gaps = [a - b for a, b in zip(held.real, held.fake, strict=True)] + [now.real[0] - held.g_fake]
    n, fall = len(held.real), now.fake[0] - held.g_fake
    return (
        1.0,
        n,
        fall,
        fall * fall,
        now.real[0] - now.fake[0],
        gaps[n],
        gaps[n] ** 2,
        held.real_std[-1],
        held.fake_std[-1],
        gaps[n // 2] - gaps[0],
        gaps[n] - gaps[n // 2],
        gaps[1] - gaps[0],
        held.losses[-1],
    )
