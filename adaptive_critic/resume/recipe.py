"""complete_recipe: contents of a checkpoint for a resume that equals the uninterrupted run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from ignite.engine import Engine

from adaptive_critic.checks import shortened, stateful
from adaptive_critic.random_state import RandomState
from adaptive_critic.state import StateError


class GeneratorState:
    """State of a ``torch.Generator``, on any device, in a form that a checkpoint can hold."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def state_dict(self) -> dict[str, Any]:
        """Return the state as a tensor of bytes."""
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore the state; a StateError if it is not one of a generator."""
        try:
            self.generator.set_state(state_dict["generator"].cpu())
        except (AttributeError, KeyError, RuntimeError, TypeError) as error:
            raise StateError(f"this is no saved state of a torch.Generator: {error}") from error


def default_device() -> torch.device:
    """Return the current CUDA device, or the CPU if there is none."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def complete_recipe(
    trainer: Engine, objects: Mapping[str, Any], *, device: str | torch.device | None = None
) -> dict[str, Any]:
    """Return the objects that Ignite's ``Checkpoint`` has to save for an exact resume.

    Adds to ``objects`` the trainer (``"trainer"``), the objects in ``trainer.state.to_save`` of ``create_gan_trainer``,
    and last, since loading may draw random numbers, the global random states (``"random_state"``). Nothing is added
    twice. This function can't find objects of the training step: :func:`check_resume` does.

    Args:
        trainer: the engine to resume.
        objects: everything else with a state, by name. Networks, optimizers, schedulers, the controller (which saves
            its guard too), a separate guard, budgets, the position in the data (``infinite_batches``), an average, a
            gradient scaler, a ``torch.Generator``.
        device: the device whose random state is saved beside the CPU's, if no ``RandomState`` is listed yet (that of
            ``create_gan_trainer`` is). Default: the current CUDA device, if there is one.

    Example:
        >>> from torch import nn
        >>> model = nn.Linear(1, 1)
        >>> trainer = Engine(lambda engine, batch: None)
        >>> list(complete_recipe(trainer, {"model": model, "optimizer": torch.optim.Adam(model.parameters())}))
        ['trainer', 'model', 'optimizer', 'random_state']
    """
    if not isinstance(trainer, Engine):
        raise TypeError(f"trainer={trainer!r}: expected an ignite.engine.Engine, got {type(trainer).__name__}")
    if not isinstance(objects, Mapping):
        raise TypeError(
            f"objects={shortened(objects)}: expected a dict from names to objects, got {type(objects).__name__}"
        )
    listed: dict[str, Any] = dict(getattr(trainer.state, "to_save", {}))
    for name, item in objects.items():
        if listed.get(name, item) is not item:
            raise ValueError(f"{name!r} is another object in trainer.state.to_save: give yours another name")
        listed[name] = GeneratorState(item) if isinstance(item, torch.Generator) else item
    for name, item in listed.items():
        stateful("objects", name, item, "an object with a state")
    if not any(item is trainer for item in listed.values()):
        listed = _named("trainer", trainer, listed) | listed
    where = default_device() if device is None else _device(device)
    states = {name: item for name, item in listed.items() if isinstance(item, RandomState)}
    if not states:
        states = _named("random_state", RandomState(where), listed)
    return {name: item for name, item in listed.items() if name not in states} | states


def _device(device: str | torch.device) -> torch.device:
    try:
        found = torch.device(device)
        if found.type == "cuda":
            torch.cuda.get_rng_state(found)
        return found
    except (AssertionError, RuntimeError, TypeError) as error:
        kind = ValueError if isinstance(device, str) else TypeError
        raise kind(f"device={device!r}: expected a torch device such as 'cpu' or 'cuda:0' ({error})") from error


def _named(name: str, item: Any, listed: Mapping[str, Any]) -> dict[str, Any]:
    if name in listed:
        raise ValueError(f"objects[{name!r}]: that name is kept for the {name}, got {type(listed[name]).__name__}")
    return {name: item}
