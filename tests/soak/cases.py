"""The controllers that are soaked, each with what its twin has to know."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from adaptive_critic import (
    DivergenceGuard,
    LossChangeRateController,
    LossRatioPIDController,
    WassersteinGapController,
    WGANReferenceController,
)
from adaptive_critic.controller import Controller
from adaptive_critic.signals import CriticLossChecked, GapShare, RelativeLossChanges, Signal

__all__ = ["CASES", "COOLDOWN", "OVERRIDE", "Case"]

COOLDOWN = 60
"""iterations that the guard waits, or holds the number, after an intervention"""
OVERRIDE = 40
"""iterations at the lower limit after an epoch that the guard has ended"""


class Case(NamedTuple):
    """A controller to soak."""

    make: Callable[..., Controller]
    signal: Callable[[], Signal] | None
    """what its law looks at; None for an open loop"""
    mode: str
    """what its guard does about a divergence"""
    limits: tuple[tuple[int, int], ...]
    """limits that take turns; none for an open loop, whose own numbers hold"""
    laws: tuple[Mapping[str, Any], ...] = ({},)
    """numbers of the law that take turns"""

    def build(self) -> Controller:
        """Return a new controller, with a guard that never has enough of intervening."""
        guard = DivergenceGuard(
            self.mode, cooldown=COOLDOWN, override_iterations=OVERRIDE, max_interventions=1_000_000_000
        )
        return self.make(on_divergence=guard)

    def tuned(self, law: Any, index: int) -> Any:
        """Return the law with other numbers in it."""
        return replace(law, **self.laws[index % len(self.laws)])


CASES: Mapping[str, Case] = {
    "gap": Case(
        WassersteinGapController,
        GapShare,
        "terminate_epoch",
        ((1, 20), (1, 10), (2, 6), (3, 3), (4, 30)),
        ({"gain": 0.05, "window": 20.0}, {"gain": 0.2}, {"window": 5.0}, {"setpoint": 0.02}, {"setpoint": 0.05}),
    ),
    "gap, may skip the critic": Case(
        partial(WassersteinGapController, limits=(0, 5), base=0.2, contrast=0.0, setpoint=0.2),
        GapShare,
        "hold",
        ((0, 5), (0, 2), (1, 5), (0, 1)),
        ({"base": 0.2}, {"base": 0.0, "gain": 0.3}),
    ),
    "gap, every 5": Case(
        partial(WassersteinGapController, update_every=5),
        GapShare,
        "terminate_epoch",
        ((1, 20), (2, 6)),
        ({"gain": 0.05}, {"gain": 0.01}),
    ),
    "PID, wasserstein": Case(
        LossRatioPIDController,
        partial(GapShare, wasserstein=True),
        "hold",
        ((1, 10), (2, 4), (1, 30)),
        ({"kp": 0.5}, {"kp": 1.5, "kd": 0.5}, {"kd": 0.0, "ki": 0.05}),
    ),
    "PID, hinge": Case(
        partial(LossRatioPIDController, "hinge"),
        CriticLossChecked,
        "terminate_epoch",
        ((1, 10), (2, 4), (0, 6)),
        ({"kp": 0.5}, {"kp": 1.5, "kd": 0.5}, {"kd": 0.0, "ki": 0.05}),
    ),
    "loss change rate": Case(
        partial(LossChangeRateController, initial=3),
        RelativeLossChanges,
        "hold",
        ((1, 10), (2, 4), (1, 30)),
        ({"balance": 2.0}, {"balance": 0.5}),
    ),
    "WGAN reference": Case(WGANReferenceController, None, "terminate_epoch", ()),
}
