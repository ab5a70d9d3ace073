"""Groups of candidates that set the critic's rate too: constants, the gap law at a constant rate, the effort law."""

from __future__ import annotations

from experiments.law_search.candidates import Candidate, effort, gap_at, pair

PAIRS = [
    *(pair(n, rate) for n in (0.5, 1.0, 2.0) for rate in (4.0, 8.0, 16.0)),
    pair(1.0, 2.0),
]
EFFORT_ROUNDS: dict[str, list[Candidate]] = {
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
