"""In what ranges a law's numbers lie: checked wherever a controller gets one, by its constructor or later."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any, TypeAlias, TypeVar

from adaptive_critic.checks import integer, real
from adaptive_critic.laws.gap import GapShareLaw
from adaptive_critic.laws.pid import DistancePIDLaw, RatesPIDLaw, SharePIDLaw
from adaptive_critic.laws.published import AccuracyGateLaw, AccuracyLadderLaw, LossChangeRateLaw, TwoThresholdLaw

__all__ = ["RANGES", "checked"]

Check: TypeAlias = "Callable[[str, Any], Any]"
LawT = TypeVar("LawT")

_SHARE: Check = partial(real, above=0.0, below=1.0)
_POSITIVE: Check = partial(real, above=0.0)
_NOT_NEGATIVE: Check = partial(real, at_least=0.0)
_AT_LEAST_1: Check = partial(real, at_least=1.0)
_KEPT: Check = partial(real, at_least=0.0, below=1.0)
_COUNT: Check = partial(integer, at_least=1)


def _rungs(name: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, tuple) or not value:
        raise TypeError(f"{name}={value!r}: expected a tuple of ints, got {type(value).__name__}")
    rungs = tuple(integer(f"{name}[{index}]", rung, at_least=1) for index, rung in enumerate(value))
    if not all(lower < higher for lower, higher in pairwise(rungs)):
        raise ValueError(f"{name}={value!r}: expected ints that ascend")
    return rungs


_PID: Mapping[str, Check] = {
    "kp": _NOT_NEGATIVE,
    "ki": _NOT_NEGATIVE,
    "kd": _NOT_NEGATIVE,
    "smoothing": _KEPT,
    "deadband": _NOT_NEGATIVE,
    "error_limit": _POSITIVE,
    "slew": _POSITIVE,
    "tracking_time": _AT_LEAST_1,
}

RANGES: Mapping[type, Mapping[str, Check]] = {
    GapShareLaw: {
        "setpoint": _SHARE,
        "base": _NOT_NEGATIVE,
        "contrast": _NOT_NEGATIVE,
        "gain": _POSITIVE,
        "window": _AT_LEAST_1,
        "warmup": partial(integer, at_least=0),
    },
    DistancePIDLaw: {"setpoint": partial(real, above=-1.0, below=1.0), **_PID, "ideal": _POSITIVE},
    SharePIDLaw: {"setpoint": _SHARE, **_PID},
    RatesPIDLaw: {"setpoint": _POSITIVE, **_PID},
    AccuracyLadderLaw: {"rungs": _rungs, "threshold": _SHARE, "grace": _COUNT, "smoothing": _KEPT},
    LossChangeRateLaw: {"balance": _POSITIVE},
    TwoThresholdLaw: {"critic_threshold": real, "generator_threshold": real},
    AccuracyGateLaw: {"steps": _COUNT, "threshold": _SHARE},
}
"""law -> field -> check, which returns the value as a plain int or float; other laws are taken as they are"""


def checked(law: LawT) -> LawT:
    """Return ``law`` with plain numbers in its fields, whatever kind of numbers they were.

    Raises:
        TypeError: if a field is no number, or an int is needed.
        ValueError: if one is out of its range.
    """
    ranges = RANGES.get(type(law))
    if ranges is None:
        return law
    fields: Any = law
    return replace(fields, **{name: check(name, getattr(law, name)) for name, check in ranges.items()})  # type: ignore[no-any-return]  # of the same class
