"""Checks of the guard's arguments; each returns the argument as the guard uses it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ignite.engine import Engine

from adaptive_critic.checks import stateful
from adaptive_critic.guard.snapshots import Restorable

MODES = ("hold", "terminate_epoch", "terminate", "rollback")
_REACTIONS = ("report", "act", "ignore")


def expected_modes() -> str:
    """Return the possible values of ``on_divergence=``, for an error message."""
    return f"expected one of {', '.join(map(repr, MODES))}, or a function of (engine, record)"


def checked_mode(on_divergence: Any) -> str | Callable[..., None]:
    """Return ``on_divergence``: a mode, or a function that can be called with (engine, record)."""
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
    except ValueError:  # a builtin without a signature
        pass
    return on_divergence  # type: ignore[no-any-return]  # a callable is all that can be known


def checked_objects(to_restore: Any, mode: str | Callable[..., None]) -> dict[str, Restorable]:
    """Return ``to_restore`` as a dict, empty if there is none."""
    if to_restore is None:
        if mode == "rollback":
            raise ValueError(
                "on_divergence='rollback' needs to_restore={'generator': ..., 'optimizer_g': ..., ...}: the models, "
                "optimizers and whatever else has to go back with them"
            )
        return {}
    if isinstance(mode, str) and mode != "rollback":
        raise ValueError(f"to_restore is used by 'rollback' only, and on_divergence={mode!r}")
    if not isinstance(to_restore, Mapping):
        kind = type(to_restore).__name__
        raise TypeError(f"to_restore={to_restore!r}: expected a dict from names to models, optimizers, ..., got {kind}")
    if not to_restore:
        raise ValueError("to_restore={}: expected at least one model to restore")
    for name, value in to_restore.items():
        if isinstance(value, Engine):
            raise TypeError(
                f"to_restore[{name!r}] is an Engine: models and optimizers can be rolled back, iterations go on"
            )
        stateful("to_restore", name, value, "a model, an optimizer, ...")
    return dict(to_restore)


def checked_reactions(**reactions: Any) -> dict[str, str]:
    """Return the reaction to each rule, from ``on_collapse=`` and ``on_spike=``."""
    expected = f"expected one of {', '.join(map(repr, _REACTIONS))}"
    for name, value in reactions.items():
        if not isinstance(value, str):
            raise TypeError(f"{name}={value!r}: {expected}, got {type(value).__name__}")
        if value not in _REACTIONS:
            raise ValueError(f"{name}={value!r}: {expected}")
    return {name.removeprefix("on_"): value for name, value in reactions.items()}
