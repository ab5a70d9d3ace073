"""Copies of models and optimizers that a rollback goes back to."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import torch
from ignite.engine import Engine

from adaptive_critic.state import StateError

__all__ = ["Restorable", "Snapshot", "Snapshots", "checked_objects"]


class Restorable(Protocol):
    """What a rollback can restore: a model, an optimizer, a gradient scaler, a controller, ..."""

    def state_dict(self) -> Any:
        """Return the state."""
        ...

    def load_state_dict(self, state_dict: Any, /) -> Any:
        """Restore a state."""
        ...


class Snapshot(NamedTuple):
    """A copy of all states at one iteration."""

    iteration: int
    """engine.state.iteration at that time"""
    states: dict[str, Any]
    """state by name"""


def checked_objects(to_restore: Any) -> dict[str, Restorable]:
    """Return ``to_restore`` as a dict.

    Raises:
        TypeError: if it is no mapping from names to objects with state_dict and load_state_dict, or holds an engine.
        ValueError: if it is empty.
    """
    if not isinstance(to_restore, Mapping):
        raise TypeError(
            f"to_restore={to_restore!r}: expected a dict from names to models, optimizers, ..., got "
            f"{type(to_restore).__name__}"
        )
    if not to_restore:
        raise ValueError("to_restore={}: expected at least one model to restore")
    for name, value in to_restore.items():
        if not isinstance(name, str):
            raise TypeError(f"to_restore has the key {name!r}: expected names, got {type(name).__name__}")
        if isinstance(value, Engine):
            raise TypeError(
                f"to_restore[{name!r}] is an Engine: models and optimizers can be rolled back, iterations go on"
            )
        if isinstance(value, type):
            raise TypeError(f"to_restore[{name!r}] is the class {value.__name__}: expected an object of it")
        for method in ("state_dict", "load_state_dict"):
            if not callable(getattr(value, method, None)):
                raise TypeError(
                    f"to_restore[{name!r}] has no {method}(): expected a model, an optimizer, ..., got "
                    f"{type(value).__name__}"
                )
    return dict(to_restore)


def _fits(value: Restorable, state: Any) -> bool:
    """Return whether an optimizer can load a state: half of the others would be restored before it refuses."""
    if not isinstance(value, torch.optim.Optimizer):
        return True
    try:
        saved = [len(group["params"]) for group in state["param_groups"]]
    except (IndexError, KeyError, TypeError):
        return False
    known = state.get("state", {})  # a wrapper may have none
    return saved == [len(group["params"]) for group in value.param_groups] and isinstance(known, Mapping)


def _misfit(value: Restorable, state: Mapping[str, Any]) -> str:
    """Return what in a network's state is not as it is now, "" if nothing is or it is no network."""
    if not isinstance(value, torch.nn.Module):
        return ""
    now: Mapping[str, Any] = value.state_dict()
    for key in (*now, *state):
        if key not in state or key not in now:
            return f"{key!r}, which {'it lacks' if key in now else 'the network has not'}"
    for key, weight in value.named_parameters():
        # One that is lazy has no shape yet; buffers may have another one, as those of observers do.
        if key in now and not torch.nn.parameter.is_lazy(weight):
            saved = state[key]
            if not isinstance(saved, torch.Tensor) or saved.shape != now[key].shape:
                found = tuple(saved.shape) if isinstance(saved, torch.Tensor) else type(saved).__name__
                return f"{key!r}, of shape {tuple(now[key].shape)} and not {found}"
    return ""


class Snapshots:
    """Keeps two snapshots: a candidate, and the promoted one that a rollback restores.

    A divergence is found some time after it began, so a state is not to be trusted because its own check was clean: a
    candidate is promoted after ``patience`` further clean checks, and dropped at the first that is not.

    Args:
        objects: what is copied and restored, by name.
        patience: clean checks before a candidate is promoted, at least 1.
        every: iterations from one candidate to the next, at least 1.
    """

    def __init__(self, objects: dict[str, Restorable], patience: int, every: int) -> None:
        self._objects = objects
        self._patience = patience
        self._every = every
        self.busy = False
        """whether states are being copied or restored at this moment"""
        self.clear()

    def clear(self) -> None:
        """Forget both snapshots."""
        self.promoted: Snapshot | None = None
        self.candidate: Snapshot | None = None
        self.clean_checks = 0

    def follow(self, iteration: int, clean: bool) -> None:
        """Take, promote or drop the candidate after a check."""
        if not clean:
            self.candidate = None
            return
        if self.candidate is not None:
            self.clean_checks += 1
            if self.clean_checks >= self._patience:
                self.promoted, self.candidate = self.candidate, None
        if self.candidate is None and (self.promoted is None or iteration - self.promoted.iteration >= self._every):
            self.candidate = Snapshot(iteration, self._copies())
            self.clean_checks = 0

    def _copies(self) -> dict[str, Any]:
        self.busy = True
        try:
            return {name: copy.deepcopy(value.state_dict()) for name, value in self._objects.items()}
        finally:
            self.busy = False

    @property
    def usable(self) -> Snapshot | None:
        """The promoted snapshot, if there is one and it can be loaded."""
        fits = self.promoted is not None and all(
            _fits(value, self.promoted.states[name]) for name, value in self._objects.items()
        )
        return self.promoted if fits else None

    def restore(self) -> int:
        """Load the promoted snapshot into the objects; return the iteration that it is from.

        Raises:
            RuntimeError: if none was promoted yet, or an optimizer has got other parameter groups since.
        """
        if self.promoted is None:
            raise RuntimeError("there is no snapshot to restore: none was followed by enough clean checks yet")
        if self.usable is None:
            raise RuntimeError(f"the snapshot of iteration {self.promoted.iteration} is of other parameter groups")
        self.busy = True
        try:
            for name, value in self._objects.items():
                # A copy of the copy: optimizers keep the tensors that they are given, and change them in place.
                value.load_state_dict(copy.deepcopy(self.promoted.states[name]))
        finally:
            self.busy = False
        self.candidate = None
        return self.promoted.iteration

    def state_dict(self) -> dict[str, Any]:
        """Return both snapshots."""
        return {
            "promoted": None if self.promoted is None else self.promoted._asdict(),
            "candidate": None if self.candidate is None else self.candidate._asdict(),
            "clean_checks": self.clean_checks,
        }

    def put(self, promoted: Snapshot | None, candidate: Snapshot | None, clean_checks: int) -> None:
        """Put checked snapshots in force."""
        self.promoted, self.candidate, self.clean_checks = promoted, candidate, clean_checks

    def checked(self, name: str, entry: Any) -> Snapshot | None:
        """Return a saved snapshot after a check of what can be checked.

        Raises:
            StateError: if it is no snapshot of these objects.
        """
        if entry is None:
            return None
        if not isinstance(entry, Mapping) or set(entry) != {"iteration", "states"}:
            raise StateError(
                f"the {name} snapshot must be None or a dict of 'iteration' and 'states', got {type(entry)}"
            )
        iteration, states = entry["iteration"], entry["states"]
        if isinstance(iteration, bool) or not isinstance(iteration, int) or iteration < 0:
            raise StateError(f"the {name} snapshot's iteration={iteration!r}: expected an int of at least 0")
        if not isinstance(states, Mapping) or set(states) != set(self._objects):
            found = sorted(map(str, states)) if isinstance(states, Mapping) else type(states).__name__
            raise StateError(
                f"the {name} snapshot holds {found}, to_restore has {sorted(self._objects)}; pass the same objects, or "
                "delete the entry 'snapshots' of the state to go on without"
            )
        for key, value in states.items():
            if not isinstance(value, Mapping):
                raise StateError(f"the {name} snapshot's {key!r} must be a state dict, got {type(value).__name__}")
            if not _fits(self._objects[key], value):
                raise StateError(f"the {name} snapshot's {key!r} is of an optimizer with other parameter groups")
            misfit = _misfit(self._objects[key], value)
            if misfit:
                raise StateError(f"the {name} snapshot's {key!r} is of another network: look at {misfit}")
        return Snapshot(iteration, dict(states))
