"""The handler that watches losses and scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from ignite.engine import Engine, Events

from adaptive_critic import state as saved
from adaptive_critic.events import CriticEvents, owner_of, register_events

__all__ = ["MODES", "DivergenceGuard", "as_guard"]

MODES = ("hold", "terminate_epoch", "terminate", "rollback")


class DivergenceGuard:
    """Watch losses and scores; act when they are not finite."""

    def __init__(
        self,
        on_divergence: str | Callable[..., None] = "hold",
        *,
        check_every: int = 10,
        param_name: str = "num_discriminator_steps",
    ) -> None:
        self.on_divergence = on_divergence
        self.check_every = check_every
        self.param_name = param_name
        self._engine: Engine | None = None
        self.reset()

    def reset(self) -> None:
        """Go back to the state after construction."""
        self.interventions = 0
        self._sums: list[torch.Tensor] = []

    def attach(self, engine: Engine) -> None:
        """Observe every iteration of ``engine``."""
        register_events(engine)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._on_iteration_completed)
        self._engine = engine

    def detach(self) -> None:
        """Stop observing."""
        if self._engine is not None:
            self._engine.remove_event_handler(self._on_iteration_completed, Events.ITERATION_COMPLETED)
        self._engine = None

    def _on_iteration_completed(self, engine: Engine) -> None:
        output = engine.state.output
        if isinstance(output, Mapping) and "g_loss" in output:
            self._sums.append(torch.as_tensor(output["g_loss"]).detach().clone())
        if engine.state.iteration % self.check_every == 0 and self._sums:
            total = float(torch.stack(self._sums).sum())
            self._sums = []
            if not math.isfinite(total):
                self.interventions += 1
                engine.fire_event(CriticEvents.DIVERGED)
                controller = owner_of(engine, self.param_name)
                if controller is not None:
                    controller.hold(self.check_every)

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""
        return {"version": 1, "handler": "DivergenceGuard", "interventions": self.interventions}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        self.interventions = saved.integer(saved.header(state, "DivergenceGuard", 1), "interventions")


def as_guard(on_divergence: Any, param_name: str) -> DivergenceGuard | None:
    """Return the guard that an ``on_divergence=`` argument stands for.

    Raises:
        TypeError: if it is none of None, a mode, a function and a DivergenceGuard.
    """
    if on_divergence is None or isinstance(on_divergence, DivergenceGuard):
        return on_divergence
    if isinstance(on_divergence, str) or callable(on_divergence):
        return DivergenceGuard(on_divergence, param_name=param_name)
    raise TypeError(
        f"on_divergence={on_divergence!r}: expected None, one of {', '.join(map(repr, MODES))}, "
        "a function of (engine, record), or a DivergenceGuard"
    )
