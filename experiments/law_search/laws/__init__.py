"""Every law tried, by what it measures."""

from __future__ import annotations

from experiments.law_search.laws.base import Law, Observation
from experiments.law_search.laws.clock import Clock
from experiments.law_search.laws.effort import Effort, GapAtRate
from experiments.law_search.laws.kappa import Kappa, Lean
from experiments.law_search.laws.open_loop import Decay, Reference
from experiments.law_search.laws.others import LossRatio, Marginal, Rise, Seek, Spread
from experiments.law_search.laws.share import Root, Share
from experiments.law_search.laws.swing import Swing

__all__ = [
    "Clock",
    "Decay",
    "Effort",
    "GapAtRate",
    "Kappa",
    "Law",
    "Lean",
    "LossRatio",
    "Marginal",
    "Observation",
    "Reference",
    "Rise",
    "Root",
    "Seek",
    "Share",
    "Spread",
    "Swing",
]
