"""AttributeActuator: drives loops written elsewhere through the attribute that they read."""

from __future__ import annotations

import logging
from typing import Any

from adaptive_critic.rounds import Rounds

_NOTHING = object()
_logger = logging.getLogger("adaptive_critic")


class AttributeActuator:
    """Lets an attribute of an object read as the number of critic updates of the current round.

    For loops written elsewhere that read their number of critic updates from ``obj.<name>``, at any time. Updates
    advance the rounds: let hooks, callbacks or overridden methods call ``rounds.critic(...)`` and
    ``rounds.generator(...)``. Rounds refuses a loop that makes another number of updates than it has read. Writing the
    attribute is refused. Meanwhile a descriptor stands on the class, which leaves its other objects, copies of this one
    included, as they are.

    Args:
        obj: the object that holds the attribute.
        name: name of the attribute.
        rounds: gives the number.

    Raises:
        TypeError: if attributes of the class of ``obj`` can't be set.
        RuntimeError: if another AttributeActuator drives the attribute already.

    Example:
        >>> from adaptive_critic import Rounds, StepDecayController
        >>> class Elsewhere:
        ...     critic_steps = 5
        ...     def fit(self, rounds):
        ...         for _ in range(rounds):
        ...             for _ in range(self.critic_steps):
        ...                 self.update("critic")
        ...             self.update("generator")
        ...     def update(self, network):
        ...         print(network[0], end=" ")
        >>> rounds = Rounds(StepDecayController(milestones={0: 4, 1: 2}))
        >>> class Reporting(Elsewhere):
        ...     def update(self, network):
        ...         super().update(network)
        ...         rounds.critic() if network == "critic" else rounds.generator()
        >>> model = Reporting()
        >>> with AttributeActuator(model, "critic_steps", rounds):
        ...     model.fit(3)
        c c c c g c c g c c g
        >>> model.critic_steps
        5
    """

    def __init__(self, obj: Any, name: str, rounds: Rounds) -> None:
        if not isinstance(name, str):
            raise TypeError(f"name={name!r}: expected a str, got {type(name).__name__}")
        if not isinstance(rounds, Rounds):
            raise TypeError(f"rounds={rounds!r}: expected Rounds(controller), got {type(rounds).__name__}")
        if not hasattr(obj, name):
            raise ValueError(f"name={name!r}: {type(obj).__name__} object has no such attribute")
        self.name = name
        self.rounds = rounds
        self._obj = obj
        self._reads = 0
        self._updates = rounds.generator_updates
        self._driven = _Driven.on(type(obj), name)
        self._driven.add(obj, self)

    def _read(self) -> int:
        self._reads += 1
        return self.rounds.steps

    def restore(self) -> None:
        """Restore the attribute. A second call changes nothing."""
        if not self._driven.remove(self._obj, self):
            return
        if self._reads > 1 and self.rounds.generator_updates == self._updates:
            _logger.warning(
                "%r was read %d times, and no generator update was reported: it has been %d all the time. Let the loop "
                "call rounds.critic(...) and rounds.generator(...)",
                self.name, self._reads, self.rounds.steps,
            )  # fmt: skip

    def __enter__(self) -> AttributeActuator:
        return self

    def __exit__(self, *_: object) -> None:
        self.restore()


class _Driven:
    """Replaces an attribute of a class, while actuators drive it on some of the class's objects."""

    def __init__(self, cls: type, name: str) -> None:
        self._cls, self._name = cls, name
        self._before = vars(cls).get(name, _NOTHING)
        self._actuators: dict[int, AttributeActuator] = {}  # by the id of an object that the actuator keeps alive

    @classmethod
    def on(cls, owner: type, name: str) -> _Driven:
        """Return the descriptor of this class and attribute, a new one if there is none yet."""
        found = vars(owner).get(name)
        return found if isinstance(found, cls) else cls(owner, name)

    def add(self, obj: Any, actuator: AttributeActuator) -> None:
        if id(obj) in self._actuators:
            raise RuntimeError(
                f"name={self._name!r}: an AttributeActuator drives it already on this {self._cls.__name__} object; "
                "restore() that one first"
            )
        setattr(self._cls, self._name, self)
        self._actuators[id(obj)] = actuator

    def remove(self, obj: Any, actuator: AttributeActuator) -> bool:
        """Return whether the actuator was there."""
        if self._actuators.get(id(obj)) is not actuator:
            return False
        del self._actuators[id(obj)]
        if not self._actuators:
            if self._before is _NOTHING:
                delattr(self._cls, self._name)
            else:
                setattr(self._cls, self._name, self._before)
        return True

    def __get__(self, obj: Any, owner: type) -> Any:
        if id(obj) in self._actuators:
            return self._actuators[id(obj)]._read()
        found = self._found(owner)
        values = getattr(obj, "__dict__", {})
        if self._name in values and not hasattr(type(found), "__set__"):
            return values[self._name]
        if found is _NOTHING:
            raise AttributeError(f"{owner.__name__!r} object has no attribute {self._name!r}")
        return found.__get__(obj, owner) if hasattr(type(found), "__get__") else found

    def __set__(self, obj: Any, value: Any) -> None:
        if id(obj) in self._actuators:
            raise AttributeError(
                f"{self._name} can't be set to {value!r}: {self._actuators[id(obj)].rounds.controller!r} drives it; "
                "restore() first"
            )
        found = self._found(type(obj))
        if hasattr(type(found), "__set__"):
            found.__set__(obj, value)
        else:
            vars(obj)[self._name] = value

    def _found(self, owner: type) -> Any:
        """Return the value of the classes under this name without this descriptor."""
        for cls in owner.__mro__:
            found = vars(cls).get(self._name, _NOTHING)
            found = self._before if found is self else found
            if found is not _NOTHING:
                return found
        return _NOTHING
