"""What handlers that belong to one engine have in common: joining and leaving it, a repr that is their call, copies."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

from ignite.engine import Engine, Events

from adaptive_critic.checks import describe

__all__ = ["Attachable"]

_SelfT = TypeVar("_SelfT", bound="Attachable")


class Attachable(ABC):
    """A handler that is attached to one engine at a time.

    A copy of an attached one, or one from a pickle, has its state and is attached to nothing. An engine with attached
    ones can't be copied: Ignite hands each handler a weak reference to its engine, which would still be the original.
    """

    _call: tuple[tuple[Any, ...], dict[str, Any]]
    _engine: Engine | None = None

    def __new__(cls: type[_SelfT], *args: Any, **kwargs: Any) -> _SelfT:
        """Remember the call for ``repr``."""
        self = super().__new__(cls)
        self._call = (args, kwargs)
        return self

    @abstractmethod
    def _handlers(self) -> tuple[tuple[Events, Callable[[Engine], None]], ...]:
        """Return the events that are listened to, each with what is called then."""

    def _check_free(self, engine: object) -> None:
        """Check that this can be attached to ``engine``.

        Raises:
            TypeError: if ``engine`` is not an Ignite Engine.
            RuntimeError: if this is attached already.
        """
        if not isinstance(engine, Engine):
            raise TypeError(f"attach expects an ignite.engine.Engine, got {type(engine).__name__}")
        if self._engine is not None:
            raise RuntimeError(f"{self!r} is attached already; detach() it first")

    def _join(self, engine: Engine) -> None:
        """Listen to the events of ``engine`` from now on."""
        for event, handler in self._handlers():
            engine.add_event_handler(event, handler)
        self._engine = engine

    def _leave(self) -> Engine:
        """Stop listening; return the engine that was listened to.

        Raises:
            RuntimeError: if this is not attached.
        """
        engine = self._engine
        if engine is None:
            raise RuntimeError(f"{self!r} is not attached")
        for event, handler in self._handlers():
            engine.remove_event_handler(handler, event)
        self._engine = None
        return engine

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy or a pickle holds: an engine's handlers and data are not ours to copy."""
        return {**vars(self), "_engine": None}

    def __copy__(self: _SelfT) -> _SelfT:
        """Copy deeply: a shallow copy would go on observing into the original's sums."""
        return copy.deepcopy(self)

    def __deepcopy__(self: _SelfT, memo: dict[int, Any]) -> _SelfT:
        """Copy.

        Raises:
            TypeError: if the engine is being copied, which is then in ``memo``.
        """
        if self._engine is not None and id(self._engine) in memo:
            raise TypeError(
                f"an engine can't be copied while {self!r} is attached: the handlers of Ignite's copy would go on "
                "with the original. Build a second engine and attach a copy of this to it, with its state"
            )
        twin = type(self).__new__(type(self))
        memo[id(self)] = twin
        vars(twin).update(copy.deepcopy(self.__getstate__(), memo))
        return twin

    def __repr__(self) -> str:
        args, kwargs = self._call
        shown = [describe(value) for value in args]
        shown += [f"{name}={self._describe(name, value)}" for name, value in kwargs.items()]
        return f"{type(self).__name__}({', '.join(shown)})"

    def _describe(self, name: str, value: Any) -> str:
        """Return how an argument is shown; the same on every rank."""
        return describe(value)
