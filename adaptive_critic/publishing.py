"""What a controller writes to ``engine.state``: the number of critic updates, and what goes with it for loggers."""

from __future__ import annotations

from typing import Any

from ignite.engine import State

from adaptive_critic.checks import attribute_name

__all__ = ["Published"]

_DEFAULT = "num_discriminator_steps"
_BESIDE = ("critic_ratio", "critic_signal", "critic_updates", "generator_updates", "samples_seen")
# What the guard, StopAtBudget and create_gan_trainer write: the two would write over each other.
_OF_OTHERS = ("divergence", "guard_interventions", "cost_spent", "batches", "ema_generator", "scaler", "to_save")


class Published:
    """The names of the attributes, and writing them.

    Args:
        param_name: the number's; with one of your own, the others carry it as a prefix.

    Raises:
        TypeError: if ``param_name`` is not a str.
        ValueError: if it is no name, or one that means something else.
    """

    def __init__(self, param_name: str) -> None:
        attribute_name("param_name", param_name)
        if hasattr(State(), param_name) or param_name in (*_BESIDE, *_OF_OTHERS):
            raise ValueError(f"param_name={param_name!r}: engine.state.{param_name} has a meaning of its own already")
        prefix = "" if param_name == _DEFAULT else f"{param_name}_"
        self._ratio, self._signal, self._critic, self._generator, self._samples = [
            f"{prefix}{name}" for name in _BESIDE
        ]

    def write_decision(self, state: Any, ratio: float, signal: float) -> None:
        """Write what changes at decisions alone."""
        setattr(state, self._ratio, ratio)
        setattr(state, self._signal, signal)

    def write_counts(self, state: Any, critic: int, generator: int, samples: int) -> None:
        """Write critic updates, generator updates and real samples seen so far."""
        setattr(state, self._critic, critic)
        setattr(state, self._generator, generator)
        setattr(state, self._samples, samples)
