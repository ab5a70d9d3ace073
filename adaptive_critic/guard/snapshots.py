"""Copies of models and optimizers for rollbacks."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import torch

from adaptive_critic import distributed
from adaptive_critic import state as saved
from adaptive_critic.state import StateError


class Restorable(Protocol):
    """Protocol of objects that a rollback can restore: a model, an optimizer, a controller, ..."""

    def state_dict(self) -> Any:
        """Return the state."""

    def load_state_dict(self, state_dict: Any, /) -> Any:
        """Restore a state."""


class Snapshot(NamedTuple):
    """A copy of all states at one iteration."""

    iteration: int
    """engine.state.iteration at that time"""
    states: dict[str, Any]
    """state by name"""


def _misfit(value: Restorable, state: Any) -> str:
    """Return why an object can't load this state, judged without loading it; "" if no reason is found."""
    if isinstance(value, torch.optim.Optimizer):
        try:
            sizes = [len(group["params"]) for group in state["param_groups"]]
        except (IndexError, KeyError, TypeError):
            sizes = []
        # A wrapper's state may be its groups alone.
        if sizes != [len(group["params"]) for group in value.param_groups] or not isinstance(
            state.get("state", {}), Mapping
        ):
            return "is of an optimizer with other parameter groups"
    if isinstance(value, torch.nn.Module):
        now: Mapping[str, Any] = value.state_dict()
        for key in (*now, *state):
            if key not in state or key not in now:
                lacking = "it lacks" if key in now else "the network has not"
                return f"is of another network: look at {key!r}, which {lacking}"
        for key, weight in value.named_parameters():
            # A lazy weight has no shape yet. Buffers may change shape, as those of observers do.
            shaped = key in now and not torch.nn.parameter.is_lazy(weight)
            if shaped and not _alike(now[key], state[key]):
                found = state[key]
                shape = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
                return f"is of another network: look at {key!r}, of shape {tuple(now[key].shape)} and not {shape}"
    return ""


def _alike(left: Any, right: Any) -> bool:
    return isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor) and left.shape == right.shape


def _refusal(value: Restorable, state: Any) -> str:
    """Return why an object does not load this state, "" if it does. In doubt, load it and undo that."""
    misfit = _misfit(value, state)
    if misfit or isinstance(value, torch.optim.Optimizer):
        return misfit
    now: Any = value.state_dict()
    if isinstance(value, torch.nn.Module):
        buffers = [key for key, _ in value.named_buffers() if key in now]
        if all(_alike(now[key], state[key]) for key in buffers):
            return ""
    now = copy.deepcopy(now)
    try:
        value.load_state_dict(copy.deepcopy(state))
    except Exception as error:  # whatever the user's class raises: it can't be restored
        return f"can't be loaded: {type(error).__name__}: {error}"
    finally:
        value.load_state_dict(now)
    return ""


class SnapshotsState(NamedTuple):
    """State of :class:`Snapshots`: two snapshots."""

    promoted: Snapshot | None = None
    """snapshot that a rollback restores"""
    candidate: Snapshot | None = None
    """snapshot that is not trusted yet"""
    clean_checks: int = 0
    """clean checks since the candidate was taken"""


class Snapshots:
    """Takes snapshots of objects, and restores the latest trusted one.

    A divergence is found some time after it began, so one clean check does not make a state trustworthy. A candidate is
    promoted after ``patience`` further clean checks, and dropped at the first check that is not clean.

    Args:
        objects: the objects to copy and restore, by name.
        patience: clean checks before a candidate is promoted, at least 1.
        every: iterations from one candidate to the next, at least 1.
    """

    def __init__(self, objects: dict[str, Restorable], patience: int, every: int) -> None:
        self._objects = objects
        self._patience = patience
        self._every = every
        self.busy = False
        """whether states are currently copied or restored"""
        self.state = SnapshotsState()

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        self.busy = True
        try:
            yield
        finally:
            self.busy = False

    def follow(self, iteration: int, clean: bool) -> None:
        """Take, promote or drop the candidate after a check."""
        promoted, candidate, clean_checks = self.state
        if not clean:
            self.state = self.state._replace(candidate=None)
            return
        if candidate is not None:
            clean_checks += 1
            if clean_checks >= self._patience:
                promoted, candidate = candidate, None
        if candidate is None and (promoted is None or iteration - promoted.iteration >= self._every):
            with self._at_work():
                states = {name: copy.deepcopy(distributed.full_state(one)) for name, one in self._objects.items()}
            candidate, clean_checks = Snapshot(iteration, states), 0
        self.state = SnapshotsState(promoted, candidate, clean_checks)

    @property
    def name(self) -> str:
        """Name of the promoted snapshot in a reason."""
        return f"the snapshot of iteration {self.state.promoted.iteration}" if self.state.promoted else "no snapshot"

    def refusal(self) -> str:
        """Return why the promoted snapshot can't be restored, "" if it can."""
        promoted = self.state.promoted
        if promoted is None:
            return "there is no snapshot to roll back to yet"
        with self._at_work():
            for name, value in self._objects.items():
                refusal = _refusal(value, promoted.states[name])
                if refusal:
                    return f"{self.name} can't be restored: its {name!r} {refusal}"
        return ""

    def restore(self) -> int:
        """Load the promoted snapshot into the objects; return its iteration.

        Raises:
            RuntimeError: if :meth:`refusal` says why not. Nothing is changed then.
        """
        refusal, promoted = self.refusal(), self.state.promoted
        if promoted is None or refusal:
            raise RuntimeError(refusal)
        with self._at_work():
            for name, value in self._objects.items():
                # Copied again: optimizers keep the loaded tensors and change them in place.
                value.load_state_dict(copy.deepcopy(promoted.states[name]))
        self.state = self.state._replace(candidate=None)
        return promoted.iteration

    def state_dict(self) -> dict[str, Any]:
        """Return both snapshots."""
        promoted, candidate, clean_checks = self.state
        return {
            "promoted": promoted and promoted._asdict(),
            "candidate": candidate and candidate._asdict(),
            "clean_checks": clean_checks,
        }

    def read(self, state: Mapping[str, Any]) -> SnapshotsState:
        """Return the snapshots in a state dict; a StateError if they are not of these objects."""
        promoted, candidate = (self._read_snapshot(state, name) for name in ("promoted", "candidate"))
        return SnapshotsState(promoted, candidate, saved.integer(state, "clean_checks"))

    def _read_snapshot(self, state: Mapping[str, Any], name: str) -> Snapshot | None:
        if saved.entry(state, name) is None:
            return None
        snapshot = saved.mapping(state, name)
        iteration, states = saved.integer(snapshot, "iteration"), saved.mapping(snapshot, "states")
        if set(states) != set(self._objects):
            raise StateError(
                f"the {name} snapshot holds {sorted(map(str, states))}, to_restore has {sorted(self._objects)}; pass "
                "the same objects, or delete the entry 'snapshots' of the state to go on without"
            )
        for key, value in self._objects.items():
            misfit = _misfit(value, saved.mapping(states, key))
            if misfit:
                raise StateError(f"the {name} snapshot's {key!r} {misfit}")
        return Snapshot(iteration, dict(states))
