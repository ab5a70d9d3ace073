"""Custom events, and the owners of the attributes of ``engine.state``."""

from __future__ import annotations

from typing import Protocol

from ignite.engine import Engine
from ignite.engine.events import EventEnum

_OWNERS = "_adaptive_critic_owners"
_REGISTERED = "_adaptive_critic_events"


class CriticEvents(EventEnum):
    """Events that controllers and the guard fire.

    They are registered when a controller or a guard is attached, so attach those before ``engine.on(CriticEvents...)``.

    - ``STEPS_CHANGED``: ``num_discriminator_steps`` has a new value (already written). Fired only on a change.
    - ``DIVERGED``: the guard found a divergence and is about to act. ``engine.state.divergence`` has the record, with
      the reason (``<param_name>_divergence`` with a ``param_name`` of your own).

    Example:
        >>> from adaptive_critic import StepDecayController
        >>> trainer = Engine(lambda engine, batch: None)
        >>> StepDecayController(milestones={0: 5, 2: 3}).attach(trainer)
        >>> @trainer.on(CriticEvents.STEPS_CHANGED)
        ... def show(engine):
        ...     print(engine.state.iteration, engine.state.num_discriminator_steps)
        >>> state = trainer.run(range(4))
        2 3
    """

    STEPS_CHANGED = "critic_steps_changed"
    DIVERGED = "critic_diverged"


class Overridable(Protocol):
    """Protocol of controllers: the methods that the guard calls."""

    def hold(self, iterations: int) -> None:
        """Freeze the number of critic updates for the next iterations."""
        ...

    def override(self, iterations: int, steps: int | None = None) -> None:
        """Use ``steps``, by default the lower limit, for the next iterations."""
        ...


def register_events(engine: Engine) -> None:
    """Register CriticEvents with ``engine`` once (Ignite 0.5.2 can't say which events are registered)."""
    if not engine.__dict__.get(_REGISTERED, False):
        engine.register_events(*CriticEvents)
        engine.__dict__[_REGISTERED] = True


def fire(engine: Engine, event: CriticEvents) -> None:
    """Fire ``event`` if it has handlers.

    Without handlers Ignite's ``fire_event`` still costs 5 us, and n may change at every iteration.
    """
    if engine._event_handlers[event]:
        engine.fire_event(event)


def _owners(engine: Engine) -> dict[str, Overridable | None]:
    owners: dict[str, Overridable | None] = engine.__dict__.setdefault(_OWNERS, {})
    return owners


def owner_of(engine: Engine, param_name: str) -> Overridable | None:
    """Return the controller that writes ``engine.state.<param_name>``, or None."""
    return _owners(engine).get(param_name)


def claim(engine: Engine, param_name: str, controller: Overridable) -> bool:
    """Make ``controller`` the owner of the attribute; return whether a controller owned it before.

    Raises:
        RuntimeError: if another controller owns it.
    """
    owner = owner_of(engine, param_name)
    if owner is not None:
        raise RuntimeError(
            f"engine.state.{param_name} is already controlled by {owner!r}; detach() that one first, "
            "or give one of the two another param_name="
        )
    known = param_name in _owners(engine)
    _owners(engine)[param_name] = controller
    return known


def release(engine: Engine, param_name: str) -> None:
    """Remove the owner of the attribute."""
    _owners(engine)[param_name] = None
