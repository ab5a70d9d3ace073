"""What competes in the search: a law with a name, and short ways to make one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from experiments.law_search.laws import Clock, Decay, Effort, GapAtRate, Law, Lean, LossRatio, Swing


@dataclass(frozen=True)
class Candidate:
    """A law with a name; ``make`` builds a fresh one.

    Args:
        name: identity in the result files.
        make: builds the law of one replica.
        marginal: pay for the gain of the last critic update on a fresh batch, at every iteration.
        paired: pay, at every so many iterations, for the fall of the critic's score of one batch of latents, the same
            before and after the generator's update; 0 never.
        reuse: the first critic update takes the latents of the generator update before it, which pairs the two scores
            for free.
    """

    name: str
    make: Callable[[], Law]
    marginal: bool = False
    paired: int = 0
    reuse: bool = False


FIXED = (1, 2, 3, 5, 10, 20)


def fixed(n: float) -> Candidate:
    """Return the candidate that always takes n critic updates."""
    return Candidate(f"fixed {n:g}", lambda: Law(n))


def decay(start: float, end: float, time: float) -> Candidate:
    """Return an open-loop schedule from start to end with a time constant in iterations."""
    return Candidate(f"decay {start:g}>{end:g}/{time:g}", lambda: Decay(start, end, time))


def law(
    name: str, kind: type[Law], marginal: bool = False, reuse: bool = False, paired: int = 0, **options: Any
) -> Candidate:
    """Return a candidate whose law is ``kind(**options)``."""
    return Candidate(name, lambda: kind(**options), marginal, paired, reuse)


def lean(name: str, **options: Any) -> Candidate:
    """Return a lean law on independent batches."""
    return law(f"lean {name}", Lean, **options)


def reuse(name: str, **options: Any) -> Candidate:
    """Return a lean law whose first critic update reuses the generator's latents."""
    return law(f"reuse {name}", Lean, reuse=True, **options)


def clock(name: str, **options: Any) -> Candidate:
    """Return a law that counts its time in critic updates: rate and window follow n."""
    return law(f"clock {name}", Clock, **options)


def lead(name: str, **options: Any) -> Candidate:
    """Return a law with exponent 1, a rate of 0.05 to 0.1 per iteration, windows of 20 and a contrast of 2.5."""
    fixed_options: dict[str, Any] = {"span": 20.0, "shortest": 20.0, "slowest": 0.05, "fastest": 0.1, "visible": 2.5}
    return clock(name, **fixed_options | {"lean": 1.0} | options)


def swing(name: str, **options: Any) -> Candidate:
    """Return a law with r* = 2 + kappa / 0.05, raised where the gap swings by more than 0.4 of itself."""
    fixed_options: dict[str, Any] = {"multiply": True, "steady": 0.4, "setpoint": 0.05, "base": 2.0, "hold": 10}
    return law(f"swing {name}", Swing, **fixed_options | options)


def larger(name: str, **options: Any) -> Candidate:
    """Return a law that leads n to the larger of what kappa and what the swings ask for."""
    return law(f"swing larger {name}", Swing, **options)


def loss_ratios(ideal: float) -> list[Candidate]:
    """Return the loss-ratio PID with several setpoints and starts, for losses whose ideal this is."""
    held = [(setpoint, start) for start in (5.0, 3.0, 2.0) for setpoint in (0.05, 0.1, 0.15, 0.2, 0.3, 0.4)]
    tried = [(s, n) for s, n in held if n == 5.0 or s in ((0.1, 0.2) if n == 3.0 else (0.05, 0.1, 0.2))]
    return [
        law(f"pid {s:g}" + ("" if n == 5.0 else f" st{n:g}"), LossRatio, ideal=ideal, setpoint=s, start=n)
        for s, n in tried
    ]


def pair(n: float, rate: float) -> Candidate:
    """Return the candidate that always takes n critic updates at this multiple of the critic's learning rate."""
    return Candidate(f"pair n{n:g} m{rate:g}", lambda: Law(n, rate))


def gap_at(rate: float, name: str = "", **options: Any) -> Candidate:
    """Return the gap law with a base of 0.5 that starts at 1, at a constant multiple of the critic's learning rate."""
    options = {"base": 0.5} | options
    return Candidate(name or f"gap m{rate:g} b{options['base']:g}", lambda: GapAtRate(rate, **options))


def effort(name: str, **options: Any) -> Candidate:
    """Return the law on critic effort, with other fields, bounds or start."""
    return Candidate(f"effort {name}".strip(), lambda: Effort(**options))
