"""Which action a divergence calls for: what was asked for, or what is left of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["MODES", "Plan", "checked_mode", "expected_modes", "plan"]

MODES = ("hold", "terminate_epoch", "terminate", "rollback")


class Plan(NamedTuple):
    """What to do about a divergence."""

    action: str
    """one of MODES, "call" or "report" """
    why: str = ""
    """why it is not what was asked for, empty if it is"""
    restore: bool = False
    """whether the promoted snapshot is restored first"""


def expected_modes() -> str:
    """Return what ``on_divergence=`` may be, for an error message."""
    return f"expected one of {', '.join(map(repr, MODES))}, or a function of (engine, record)"


def checked_mode(on_divergence: Any) -> str | Callable[..., None]:
    """Return ``on_divergence``.

    Raises:
        TypeError: if it is neither a str nor a function.
        ValueError: if it is a str that names no mode.
    """
    if isinstance(on_divergence, str):
        if on_divergence not in MODES:
            raise ValueError(f"on_divergence={on_divergence!r}: {expected_modes()}")
        return on_divergence
    if not callable(on_divergence) or inspect.isclass(on_divergence):
        raise TypeError(f"on_divergence={on_divergence!r}: {expected_modes()}")
    try:
        inspect.signature(on_divergence).bind(None, None)
    except TypeError:
        raise TypeError(f"on_divergence={on_divergence!r}: it is called with (engine, record), and can't be") from None
    except ValueError:  # a builtin that does not tell its signature
        pass
    return on_divergence  # type: ignore[no-any-return]  # a callable is all that can be known


def plan(
    mode: str | Callable[..., None],
    made: int,
    maximum: int,
    *,
    controlled: bool,
    snapshot: int | None,
    relapse: bool,
) -> Plan:
    """Return what to do about a divergence.

    Args:
        mode: a mode or a function.
        made: interventions that were made already.
        maximum: interventions that may be made.
        controlled: whether there is a controller to ask.
        snapshot: iteration of the promoted snapshot, None if there is none that can be loaded.
        relapse: whether it comes within the cooldown of an intervention.
    """
    exhausted = f"{made} of {maximum} interventions were made" if made >= maximum else ""
    if mode == "terminate":
        return Plan("terminate")
    if mode == "terminate_epoch":
        return Plan("terminate", f"{exhausted}, so the run is terminated") if exhausted else Plan("terminate_epoch")
    if mode == "rollback":
        if snapshot is None:
            return Plan("terminate", "there is no snapshot to roll back to yet, so the run is terminated")
        if relapse:  # what was restored diverges again at once: restoring it over and over would never end
            exhausted = "this is within the cooldown of the last rollback"
        if not exhausted:
            return Plan("rollback", restore=True)
        last = f"the snapshot of iteration {snapshot} is restored a last time and the run is terminated"
        return Plan("terminate", f"{exhausted}, so {last}", restore=True)
    if exhausted:
        return Plan("report", f"{exhausted}, so nothing is done")
    if mode == "hold":
        return Plan("hold") if controlled else Plan("report", "there is no controller to ask, so nothing is held")
    return Plan("call")
