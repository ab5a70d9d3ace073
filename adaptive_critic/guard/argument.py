"""Guard from a controller's ``on_divergence=`` argument."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from adaptive_critic.guard.handler import DivergenceGuard
from adaptive_critic.guard.options import expected_modes

__all__ = ["as_guard"]


def as_guard(
    on_divergence: Any, param_name: str, output_transform: Callable[[Any], Any] | None = None
) -> DivergenceGuard | None:
    """Return the guard for a controller's ``on_divergence=``.

    Raises:
        TypeError: if it is not None, a mode, a function or a DivergenceGuard.
        ValueError: if it is an unknown mode, ``"rollback"``, which needs ``to_restore``, or a guard with another
            ``param_name``, which would ask another controller.
    """
    if isinstance(on_divergence, DivergenceGuard) and on_divergence.param_name != param_name:
        raise ValueError(
            f"on_divergence=DivergenceGuard(..., param_name={on_divergence.param_name!r}) asks another controller than "
            f"this one, whose param_name is {param_name!r}: give both the same"
        )
    if on_divergence is None or isinstance(on_divergence, DivergenceGuard):
        return on_divergence
    if isinstance(on_divergence, str) and on_divergence == "rollback":
        raise ValueError(
            "on_divergence='rollback' has to be told what to restore: "
            "on_divergence=DivergenceGuard('rollback', to_restore={'generator': generator, ...})"
        )
    if isinstance(on_divergence, str) or callable(on_divergence):
        return DivergenceGuard(on_divergence, output_transform=output_transform, param_name=param_name)
    raise TypeError(f"on_divergence={on_divergence!r}: {expected_modes()}, a DivergenceGuard, or None")
