"""Named groups of contenders, in the order in which they were tried."""

from __future__ import annotations

import math
from typing import Any

from experiments.law_search.batched import Contender
from experiments.law_search.laws import (
    Clock,
    Decay,
    Kappa,
    Law,
    Lean,
    LossRatio,
    Marginal,
    Reference,
    Rise,
    Root,
    Seek,
    Share,
    Spread,
    Swing,
)

FIXED = (1, 2, 3, 5, 10, 20)


def fixed(n: float) -> Contender:
    """Return the contender that always takes n critic updates."""
    return Contender(f"fixed {n:g}", lambda: Law(n))


def decay(start: float, end: float, time: float) -> Contender:
    """Return an open-loop schedule from start to end with a time constant in iterations."""
    return Contender(f"decay {start:g}>{end:g}/{time:g}", lambda: Decay(start, end, time))


def law(
    name: str, kind: type[Law], marginal: bool = False, reuse: bool = False, paired: int = 0, **options: Any
) -> Contender:
    """Return a contender whose law is ``kind(**options)``."""
    return Contender(name, lambda: kind(**options), marginal, paired, reuse)


def lean(name: str, **options: Any) -> Contender:
    """Return a lean law on independent batches."""
    return law(f"lean {name}", Lean, **options)


def reuse(name: str, **options: Any) -> Contender:
    """Return a lean law whose first critic update reuses the generator's latents."""
    return law(f"reuse {name}", Lean, reuse=True, **options)


def clock(name: str, **options: Any) -> Contender:
    """Return a law that counts its time in critic updates: rate and window follow n."""
    return law(f"clock {name}", Clock, **options)


def lead(name: str, **options: Any) -> Contender:
    """Return a law with exponent 1, a rate of 0.05 to 0.1 per iteration, windows of 20 and a contrast of 2.5."""
    fixed_options: dict[str, Any] = {"span": 20.0, "shortest": 20.0, "slowest": 0.05, "fastest": 0.1, "visible": 2.5}
    return clock(name, **fixed_options | {"lean": 1.0} | options)


def swing(name: str, **options: Any) -> Contender:
    """Return a law with r* = 2 + kappa / 0.05, raised where the gap swings by more than 0.4 of itself."""
    fixed_options: dict[str, Any] = {"multiply": True, "steady": 0.4, "setpoint": 0.05, "base": 2.0, "hold": 10}
    return law(f"swing {name}", Swing, **fixed_options | options)


def larger(name: str, **options: Any) -> Contender:
    """Return a law that leads n to the larger of what kappa and what the swings ask for."""
    return law(f"swing larger {name}", Swing, **options)


def loss_ratios(ideal: float) -> list[Contender]:
    """Return the loss-ratio PID with several setpoints and starts, for losses whose ideal this is."""
    held = [(setpoint, start) for start in (5.0, 3.0, 2.0) for setpoint in (0.05, 0.1, 0.15, 0.2, 0.3, 0.4)]
    tried = [(s, n) for s, n in held if n == 5.0 or s in ((0.1, 0.2) if n == 3.0 else (0.05, 0.1, 0.2))]
    return [
        law(f"pid {s:g}" + ("" if n == 5.0 else f" st{n:g}"), LossRatio, ideal=ideal, setpoint=s, start=n)
        for s, n in tried
    ]


BASELINES = [*(fixed(n) for n in FIXED), law("reference", Reference), law("kappa", Kappa)]
ROUNDS: dict[str, list[Contender]] = {
    "baselines": BASELINES,
    "1": [
        decay(10, 3, 60),
        decay(3, 8, 150),
        law("kappa asym .1/.02", Kappa, rate=0.1, down=0.2, hold=10),
        law("kappa r.05 lo1", Kappa, rate=0.05, hold=10, limits=(1.0, 20.0)),
        law("root 8A^.5", Root, home=4.0, reference=0.25, power=0.5, start=4.0),
        law("root 15A^.75", Root, home=4.0, reference=0.172, power=0.75, start=4.0),
        law("root 20A", Root, home=4.0, reference=0.2, power=1.0, start=4.0),
        law("spread 1", Spread),
        law("spread .6", Spread, setpoint=0.6),
    ],
    "3": [
        law("share 10A^.5", Share, scale=10.0, power=0.5),
        law("share 12A^.6", Share, scale=12.0, power=0.6),
        law("share 10A^.5 L100", Share, scale=10.0, power=0.5, longest=100.0),
        law("share 10A^.5 gap15", Share, scale=10.0, power=0.5, gap_longest=15.0),
        law("share 10A^.5 pr3", Share, scale=10.0, power=0.5, prior=3.0),
        lean(".01 r.05"),
        law("share 15A^.75", Share),
        law("share 8A^.5", Share, scale=8.0, power=0.5),
    ],
    "4": [
        lean(".01 s.6", lean=0.6),
        lean(".01 s.6 r.1", lean=0.6, rate=0.1),
        lean(".01 s1 r.1", rate=0.1),
        lean(".01 s.6 z.5", lean=0.6, optimism=0.5),
        lean(".01 s1 z.5", optimism=0.5),
        lean(".01 s.6 z1", lean=0.6, optimism=1.0),
        lean(".007 s1", setpoint=0.007),
        lean(".01 s.6 L50", lean=0.6, longest=50.0),
    ],
    "5": [
        lean("s1 z.5 e3", optimism=0.5, early=3.0),
        lean("s.8 z.5 st3", lean=0.8, optimism=0.5, start=3.0),
        lean("s.8 z.5 L50", lean=0.8, optimism=0.5, longest=50.0),
        lean("s.8 z.5 L50 e3 st3", lean=0.8, optimism=0.5, longest=50.0, early=3.0, start=3.0),
        lean("s1 z.5 L50 e3 st2", optimism=0.5, longest=50.0, early=3.0, start=2.0),
        lean("s.8 z.25 L50 e3", lean=0.8, optimism=0.25, longest=50.0, early=3.0),
        lean("s1 z.5 r.1 L50", optimism=0.5, longest=50.0, rate=0.1),
    ],
    "6": [
        law("pair4 s1 r.05", Lean, paired=4, listen=True, longest=6.0),
        law("pair4 s.6 r.1", Lean, paired=4, listen=True, lean=0.6, longest=6.0, rate=0.1),
        law("pair4 k.05 r.05", Lean, paired=4, listen=True, lean=0.0, setpoint=0.05, longest=6.0),
        reuse("s1 r.05"),
        reuse("s.6 r.1 sp.015", lean=0.6, rate=0.1, setpoint=0.015),
        reuse("k.05", lean=0.0, setpoint=0.05),
        reuse("s1 sp.02", setpoint=0.02),
    ],
    "7": [
        reuse("s.6 sp.01 L8", lean=0.6, longest=8.0),
        reuse("s.6 sp.015 L8", lean=0.6, setpoint=0.015, longest=8.0),
        reuse("s.8 sp.01 L8", lean=0.8, longest=8.0),
        reuse("s.8 sp.01 r.1 L8", lean=0.8, longest=8.0, rate=0.1),
        reuse("s1 sp.007 r.1 L8", setpoint=0.007, longest=8.0, rate=0.1),
        law("reuse share 14A^.6 L10", Share, reuse=True, scale=14.0, power=0.6, longest=10.0),
        law("reuse share 10A^.5 L10", Share, reuse=True, scale=10.0, power=0.5, longest=10.0),
    ],
    "8": [
        reuse("s.8 sp.01 r.1 L8 st3", lean=0.8, longest=8.0, rate=0.1, start=3.0),
        reuse("s.8 sp.01 r.1 L8 st2", lean=0.8, longest=8.0, rate=0.1, start=2.0),
        reuse("s.8 sp.01 r.2 L8 st3", lean=0.8, longest=8.0, rate=0.2, start=3.0),
        reuse("s.8 sp.01 r.1 L5 st3", lean=0.8, longest=5.0, rate=0.1, start=3.0),
        reuse("s.8 sp.012 r.2 L5 st3", lean=0.8, longest=5.0, rate=0.2, start=3.0, setpoint=0.012),
        reuse("s1 sp.008 r.2 L5 st2", lean=1.0, longest=5.0, rate=0.2, start=2.0, setpoint=0.008),
    ],
    "9": [
        reuse("s1 sp.01 r.1 L5 st3", longest=5.0, rate=0.1, start=3.0),
        reuse("s1 sp.008 r.1 L5 st3 h20", setpoint=0.008, longest=5.0, rate=0.1, start=3.0, hold=20),
        reuse("s1 sp.01 r.1 L5 st3 h20", longest=5.0, rate=0.1, start=3.0, hold=20),
        reuse("s.5 sp.012 r.1 L5 st3 h20", lean=0.5, setpoint=0.012, longest=5.0, rate=0.1, start=3.0, hold=20),
        reuse(
            "s.5 sp.012 r.1 L5 st3 h20 d.5",
            lean=0.5,
            setpoint=0.012,
            longest=5.0,
            rate=0.1,
            start=3.0,
            hold=20,
            down=0.5,
        ),
    ],
    "final": [
        reuse("s.5 sp.012 r.1 L5 st3 h20", lean=0.5, setpoint=0.012, longest=5.0, rate=0.1, start=3.0, hold=20),
        lean("s.5 sp.012 z.5 r.05 L20 st3 h20", lean=0.5, setpoint=0.012, optimism=0.5, start=3.0, hold=20),
        reuse("s.4 sp.016 r.1 L5 st3 h20", lean=0.4, setpoint=0.016, longest=5.0, rate=0.1, start=3.0, hold=20),
        law("kappa r.05 lo1", Kappa, rate=0.05, hold=10, limits=(1.0, 20.0)),
    ],
    "10": [
        clock("base"),
        clock("span its20", shortest=20.0),
        clock("lim10", limits=(1.0, 10.0)),
        lean("current lim10", lean=0.5, setpoint=0.012, optimism=0.5, start=3.0, hold=20, limits=(1.0, 10.0)),
        clock("s1 .01", lean=1.0, setpoint=0.01),
        clock("z.25", optimism=0.25),
        clock("r.033 span40", rate=1 / 30, span=40.0),
        clock("sp.02", setpoint=0.02),
    ],
    "11": [
        clock("s1 .02", lean=1.0, setpoint=0.02),
        clock("s1.5 .014", lean=1.5, setpoint=0.014),
        clock("s1 .02 z.25", lean=1.0, setpoint=0.02, optimism=0.25),
        clock("s1 .02 st4 h40", lean=1.0, setpoint=0.02, start=4.0, hold=40.0),
        clock("s1 .02 st4 h20 L40", lean=1.0, setpoint=0.02, start=4.0, hold=20.0, span=40.0),
    ],
    "12": [
        clock("s1 .015 t2 cl", lean=1.0, setpoint=0.015, visible=2.0),
        clock("s1 .015 t2", lean=1.0, slowest=0.05, setpoint=0.015, visible=2.0),
        clock("s1 .015 t3", lean=1.0, slowest=0.05, setpoint=0.015, visible=3.0),
        clock("s1 .02 t2.5", lean=1.0, slowest=0.05, setpoint=0.02, visible=2.5),
        clock("s1 .02 t2.5 w2", lean=1.0, slowest=0.05, setpoint=0.02, visible=2.5, weight=2.0),
        clock(
            "s1 .015 t2.5 iter",
            lean=1.0,
            slowest=0.05,
            setpoint=0.015,
            visible=2.5,
            rate=0.0,
            span=20.0,
            shortest=20.0,
        ),
        clock("s1 .015 t2.5 st4 h40", lean=1.0, slowest=0.05, setpoint=0.015, visible=2.5, start=4.0, hold=40.0),
        clock("s1 .012 t2", lean=1.0, slowest=0.05, setpoint=0.012, visible=2.0),
    ],
    "13": [
        lead("4 s1 .015", setpoint=0.015),
        lead("4 s1 .012", setpoint=0.012),
        lead("4 s1 .012 r.05", setpoint=0.012, fastest=0.05),
        lead("4 s1 .012 L120", setpoint=0.012, span=120.0, shortest=10.0),
        lead("4 s.75 .012", setpoint=0.012, lean=0.75),
        lead("4 s1 .015 st4 h40", setpoint=0.015, start=4.0, hold=40.0),
        lead("4 s1 .015 z.75", setpoint=0.015, optimism=0.75),
        lead("4 s1 .015 w2", setpoint=0.015, weight=2.0),
    ],
    "14": [
        lead("5 .015 z.75 cap.03", setpoint=0.015, optimism=0.75, doubt=0.03),
        lead("5 .015 z0 c.02", setpoint=0.015, optimism=0.0, floor=0.02),
        lead("5 .015 z.75 L50", setpoint=0.015, optimism=0.75, span=50.0, shortest=50.0),
        lead("5 .015 z.5 cap.02 t2", setpoint=0.015, optimism=0.5, doubt=0.02, visible=2.0),
        lead("5 .015 z.75 cap.03 t0", setpoint=0.015, optimism=0.75, doubt=0.03, visible=0.0),
        lead("5 .015 z.75 cap.03 st4 h30", setpoint=0.015, optimism=0.75, doubt=0.03, start=4.0, hold=30.0),
        lead("5 .012 z.75 cap.02", setpoint=0.012, optimism=0.75, doubt=0.02),
        lead("5 .02 z.75 cap.04", setpoint=0.02, optimism=0.75, doubt=0.04),
    ],
    "15": [
        lead("6 c.04 s.02", setpoint=0.02, optimism=0.0, floor=0.04),
        lead("6 c.06 s.03", setpoint=0.03, optimism=0.0, floor=0.06),
        lead("6 c.04 s.02 L10", setpoint=0.02, optimism=0.0, floor=0.04, span=10.0, shortest=10.0),
        lead("6 c.04 s.02 f.15", setpoint=0.02, optimism=0.0, floor=0.04, fastest=0.15),
        lead("6 c.04 s.02 st4 h40", setpoint=0.02, optimism=0.0, floor=0.04, start=4.0, hold=40.0),
        lead("6 c.04 s.02 t2", setpoint=0.02, optimism=0.0, floor=0.04, visible=2.0),
        lead("6 c.02 s.015 st4 h20", setpoint=0.015, optimism=0.0, floor=0.02, start=4.0, hold=20.0),
        lead("6 c.04 s.02 t3.5", setpoint=0.02, optimism=0.0, floor=0.04, visible=3.5),
    ],
    "second-final": [lead("5 .015 z0 c.02", setpoint=0.015, optimism=0.0, floor=0.02)],
    "16": [
        larger(".015 s.3", setpoint=0.015, start=3.0),
        larger(".03 s.3", setpoint=0.03),
        larger(".05 s.3"),
        larger(".05 s.2", steady=0.2),
        larger(".05 s.3 L20", swing_span=20.0),
        larger(".05 s.3 root", root=True),
        larger(".03 s.2 st3", setpoint=0.03, steady=0.2, start=3.0),
        swing(".05 b1.33 h20", base=4.0 / 3.0, hold=20),
    ],
    "17": [
        swing(".03 b1.33 h20", setpoint=0.03, base=4.0 / 3.0, hold=20),
        swing(".03 h20", setpoint=0.03, hold=20),
        swing(".05 h20", hold=20),
        swing(".03 c4 h20", setpoint=0.03, steady=0.25, hold=20),
        swing(".03 noise0 h20", setpoint=0.03, noise=0.0, hold=20),
        swing(".02 b1.33 h20", setpoint=0.02, base=4.0 / 3.0, hold=20),
        swing(".03 st3 h20", setpoint=0.03, start=3.0, hold=20),
        swing(".02 b1.33 root h20", setpoint=0.02, base=4.0 / 3.0, root=True, hold=20),
    ],
    "18": [
        swing(".05 root h20", root=True, hold=20),
        swing(".05 b1.5 root h20", root=True, base=1.5, hold=20),
        swing(".05 c3.3 h20", steady=0.3, hold=20),
        swing(".05 L20 h20", swing_span=20.0, hold=20),
        swing(".07 h20", setpoint=0.07, hold=20),
        swing(".05 r.08 h20", rate=0.08, hold=20),
        swing(".05"),
        swing(".04 L60 h20", setpoint=0.04, swing_span=60.0, hold=20),
    ],
    "19": [
        swing("slope 6 b1.33", slope=6.0, base=4.0 / 3.0),
        swing("slope 4", slope=4.0),
        swing("slope 6.5 p.75 b1", slope=6.5, power=0.75, base=1.0),
        swing("slope 9 b1.33", slope=9.0, base=4.0 / 3.0),
        swing("slope 6 b1.33 c2", slope=6.0, base=4.0 / 3.0, steady=0.5),
        swing("slope 4 c3.3", slope=4.0, steady=0.3),
        swing(".1", setpoint=0.1),
        swing(".07", setpoint=0.07),
    ],
    "20": [
        swing(".05 W20", swing_span=20.0),
        swing(".05 W30", span=30.0, swing_span=30.0),
        swing(".05 W40", span=40.0),
        swing(".05 W30 c3", span=30.0, swing_span=30.0, steady=1.0 / 3.0),
        swing(".05 b2.5 W30", span=30.0, swing_span=30.0, base=2.5),
    ],
    # Each for the problems with such a loss; the prototype halves the least-squares loss.
    "pid-non-saturating": loss_ratios(math.log(4.0)),
    "pid-hinge": loss_ratios(2.0),
    "pid-least-squares": loss_ratios(0.25),
    "third-final": [swing(".05 W20", swing_span=20.0)],
    "others": [
        law("marginal .02", Marginal, marginal=True),
        law("rise .6", Rise),
        law("seek", Seek),
    ],
}
