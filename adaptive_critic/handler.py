"""Base class of all handlers: one engine at a time, fresh runs, each iteration counted once, names on engine.state."""

from __future__ import annotations

import copy
from collections.abc import Callable
from numbers import Integral
from typing import Any, ClassVar, TypeVar

from ignite.engine import Engine, Events, State

from adaptive_critic.checks import attribute_name, call, describe, kind_of
from adaptive_critic.events import CriticEvents

DEFAULT_NAME = "num_discriminator_steps"
_written: set[str] = set()

_SelfT = TypeVar("_SelfT", bound="Handler")


# Handlers of ITERATION_COMPLETED fire our events, so later handlers see those as the engine's last event.
_AFTER_THE_STEP = (Events.ITERATION_COMPLETED, *CriticEvents)
_BETWEEN_RUNS = (None, Events.COMPLETED, Events.TERMINATE, Events.INTERRUPT, Events.EXCEPTION_RAISED)


class Handler:
    """Base class of the handlers: attached to one engine at a time.

    A subclass defines what it does with an iteration (``_count``), what a fresh run forgets (``_clear``), and further
    events to listen to. A run is fresh if it starts at iteration 0 and no state was loaded since the last run.
    """

    _call: tuple[tuple[Any, ...], dict[str, Any]]
    _engine: Engine | None = None
    _loaded = False
    """whether a state was loaded from which the next run goes on"""
    _counted = 0
    """engine.state.iteration when an iteration was last counted, or when the run began"""
    _also_listens: ClassVar[dict[Events, str]] = {}
    """names of the methods called at events besides STARTED and ITERATION_COMPLETED"""

    def __new__(cls: type[_SelfT], *args: Any, **kwargs: Any) -> _SelfT:
        """Check the names of the call's arguments, and remember the call for ``repr``."""
        call(cls, args, kwargs)
        self = super().__new__(cls)
        self._call = (args, kwargs)
        return self

    # --- hooks of a subclass ------------------------------------------------------------------------------------

    def _clear(self) -> None:
        """Forget the run."""

    def _begin(self, engine: Engine, fresh: bool) -> None:
        """Begin a run; a fresh run is cleared before."""

    def _count(self, engine: Engine) -> None:
        """Count the iteration whose training step has returned. Called once per iteration."""

    def _publish(self, engine: Engine) -> None:
        """Write the published attributes on ``engine.state``."""

    # --- use ----------------------------------------------------------------------------------------------------

    def attach(self, engine: Engine) -> None:
        """Handle every iteration of ``engine`` from now on.

        Raises:
            TypeError: if ``engine`` is not an Ignite Engine.
            RuntimeError: if the handler is attached already.
        """
        self._check_free(engine)
        self._join(engine)
        self._publish(engine)

    def detach(self) -> None:
        """Leave the engine. The state and the attributes on ``engine.state`` stay.

        Raises:
            RuntimeError: if the handler is not attached.
        """
        self._leave()

    def reset(self) -> None:
        """Go back to the state after construction."""
        self._clear()
        self._loaded = False
        self._show()

    def _show(self) -> None:
        """Publish a change that no iteration made, if attached."""
        if self._engine is not None:
            self._publish(self._engine)

    def _check_free(self, engine: object) -> None:
        """Check that this can be attached to ``engine``, or raise what :meth:`attach` says."""
        if not isinstance(engine, Engine):
            raise TypeError(f"attach expects an ignite.engine.Engine, got {kind_of(engine)}")
        if self._engine is not None:
            raise RuntimeError(f"{self!r} is attached already; detach() it first")

    def _events(self) -> list[tuple[Events, Callable[[Engine], None]]]:
        also = [(event, getattr(self, name)) for event, name in self._also_listens.items()]
        return [(Events.STARTED, self._on_started), *also, (Events.ITERATION_COMPLETED, self._on_iteration_completed)]

    def _join(self, engine: Engine) -> None:
        """Listen to the events of ``engine`` from now on."""
        for event, handler in self._events():
            engine.add_event_handler(event, handler)
        self._engine = engine
        begun = engine.last_event_name is Events.ITERATION_STARTED  # an iteration whose step has not run yet
        self._counted = engine.state.iteration - begun

    def _leave(self) -> Engine:
        """Stop listening; return the engine."""
        engine = self._engine
        if engine is None:
            raise RuntimeError(f"{self!r} is not attached")
        for event, handler in self._events():
            engine.remove_event_handler(handler, event)
        self._engine = None
        return engine

    # --- runs and iterations ------------------------------------------------------------------------------------

    def _on_started(self, engine: Engine) -> None:
        fresh = engine.state.iteration == 0 and not self._loaded
        if fresh:
            self._clear()
        self._loaded = False
        self._counted = engine.state.iteration
        self._begin(engine, fresh)
        self._publish(engine)

    def _on_iteration_completed(self, engine: Engine) -> None:
        if engine.state.iteration != self._counted:  # else a checkpoint has already counted this iteration
            # Set first, so that state_dict does not count a refused output again.
            self._counted = engine.state.iteration
            self._loaded = False  # after a load within a run the next run may still be fresh
            self._count(engine)

    def _catch_up(self) -> None:
        """Count the iteration whose step has returned, for an earlier handler that asks for the state."""
        engine = self._engine
        if engine is None or engine.last_event_name in _BETWEEN_RUNS:
            return
        # Ignite clears the output before each iteration. For a step that returns None the last event tells.
        if engine.state.output is not None or engine.last_event_name in _AFTER_THE_STEP:
            self._on_iteration_completed(engine)

    def _is_within_iteration(self) -> bool:
        """Return whether an iteration has begun that is not counted yet."""
        engine = self._engine
        return engine is not None and not self._is_before_a_run() and engine.state.iteration != self._counted

    def _is_before_a_run(self) -> bool:
        """Return whether a request made now is for a run that has not begun yet."""
        return self._engine is None or self._engine.last_event_name in (Events.STARTED, *_BETWEEN_RUNS)

    # --- copies and repr ----------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes for a copy or a pickle.

        Raises:
            TypeError: if attached: the engine's handlers and data can't be copied with it.
        """
        if self._engine is not None:
            raise TypeError(
                f"{self!r} is attached to an engine and can't be copied: detach() it first, or make another one and "
                "load this one's state_dict()"
            )
        return vars(self)

    def __copy__(self: _SelfT) -> _SelfT:
        """Copy deeply: a shallow copy would add its observations to the original's sums."""
        return copy.deepcopy(self)

    def __repr__(self) -> str:
        args, kwargs = self._call
        shown = [describe(value) for value in args]
        shown += [f"{name}={self._describe(name, value)}" for name, value in kwargs.items()]
        return f"{type(self).__name__}({', '.join(shown)})"

    def _describe(self, name: str, value: Any) -> str:
        """Return how an argument is shown; the same on every rank."""
        return describe(value)


# --- names on engine.state ----------------------------------------------------------------------------------------


def writes(*names: str) -> tuple[str, ...]:
    """Note that a module of this package writes these attributes of ``engine.state``; return the names."""
    _written.update(names)
    return names


def prefix(param_name: str) -> str:
    """Return what stands before the names that are published beside ``param_name``: nothing with the default."""
    return "" if param_name == DEFAULT_NAME else f"{param_name}_"


def critic_updates(engine: Engine, param_name: str, reader: str) -> int:
    """Return the critic updates of the running iteration, as a controller or a user has written them."""
    steps = getattr(engine.state, param_name, None)
    if isinstance(steps, bool) or not isinstance(steps, Integral) or steps < 0:
        raise ValueError(
            f"engine.state.{param_name}={steps!r}: {reader} expects an int of at least 0, written by a controller or "
            f"by hand before the run; a controller's own param_name= goes to {reader}(param_name=...), too"
        )
    return int(steps)


def free_name(param_name: str) -> str:
    """Return ``param_name`` if a controller may write that attribute of ``engine.state``."""
    attribute_name("param_name", param_name)
    if hasattr(State(), param_name) or param_name in _written:
        raise ValueError(f"param_name={param_name!r}: engine.state.{param_name} has a meaning of its own already")
    return param_name
