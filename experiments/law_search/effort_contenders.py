"""Contenders that set the critic's learning rate too: constants, the gap law at a constant rate, the law on effort."""

from __future__ import annotations

from typing import Any

from experiments.law_search.batched import Contender
from experiments.law_search.effort_laws import Effort, GapAtRate
from experiments.law_search.laws import Law


def pair(n: float, rate: float) -> Contender:
    """Return the contender that always takes n critic updates at this multiple of the critic's learning rate."""
    return Contender(f"pair n{n:g} m{rate:g}", lambda: Law(n, rate))


def gap_at(rate: float, name: str = "", **options: Any) -> Contender:
    """Return the gap law with a base of 0.5 that starts at 1, at a constant multiple of the critic's learning rate."""
    options = {"base": 0.5} | options
    return Contender(name or f"gap m{rate:g} b{options['base']:g}", lambda: GapAtRate(rate, **options))


def effort(name: str, **options: Any) -> Contender:
    """Return the law on critic effort, with other fields, bounds or start."""
    return Contender(f"effort {name}".strip(), lambda: Effort(**options))


PAIRS = [
    *(pair(n, rate) for n in (0.5, 1.0, 2.0) for rate in (4.0, 8.0, 16.0)),
    pair(1.0, 2.0),
]
EFFORT_ROUNDS: dict[str, list[Contender]] = {
    "pairs": PAIRS,
    "few-pairs": [pair(0.5, 16.0), pair(1.0, 4.0), pair(1.0, 8.0), pair(2.0, 4.0)],
    "more-pairs": [pair(5.0, rate) for rate in (4.0, 8.0, 16.0)],
    "gap-at-rate": [
        gap_at(1.0, "gap", base=2.0, start=2.0, limits=(1.0, 20.0)),
        gap_at(8.0),
        gap_at(16.0),
    ],
    "effort": [effort("")],
    "effort-fields": [
        effort("gain .05", gain=0.05),
        effort("base .7", base=0.7),
        effort("memory 100", memory=100.0),
        effort("start 4", rate=4.0),
        effort("top 32", rates=(1.0, 32.0)),
    ],
}
