"""Attributes of ``engine.state`` that a controller writes: their owner, their values, a check for other writers."""

from __future__ import annotations

import warnings
from typing import Any

from ignite.engine import Engine

from adaptive_critic.alternation import Next
from adaptive_critic.events import Overridable, claim, register_events, release
from adaptive_critic.handler import free_name, prefix, writes

(_RATE,) = writes("critic_rate")
_BESIDE = writes("critic_ratio", "critic_signal", "critic_updates", "generator_updates", "samples_seen")


class Published:
    """Writes the number of critic updates of one controller, and further values for loggers.

    Args:
        param_name: name of the number; a name of your own is also a prefix of the other attributes.

    Raises:
        TypeError: if ``param_name`` is not a str.
        ValueError: if it can't be an attribute's name, or already has another meaning.
    """

    def __init__(self, param_name: str) -> None:
        self.param_name = free_name(param_name)
        self._names = [f"{prefix(param_name)}{name}" for name in _BESIDE]
        self._rate_name = f"{prefix(param_name)}{_RATE}"
        self.forget()

    def forget(self) -> None:
        """Let the next run warn again."""
        self._warned = False

    def claim(self, engine: Engine, controller: Overridable) -> str:
        """Make ``controller`` the owner; return the text of a warning, empty if the attribute was free.

        Raises:
            RuntimeError: if another controller owns it.
        """
        found = getattr(engine.state, self.param_name, None)
        known = claim(engine, self.param_name, controller)
        register_events(engine)
        if found is None or known:
            return ""
        return f"engine.state.{self.param_name}={found!r} is overwritten by {controller!r}"

    def release(self, engine: Engine) -> None:
        """Let another controller own the attribute. Its value stays."""
        release(engine, self.param_name)

    def check(self, engine: Engine, asked: int, controller: Overridable) -> str:
        """Warn, once per run, if something else has written the number; return a note for an error that follows."""
        found = getattr(engine.state, self.param_name)
        if found == asked:
            return ""
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"something else wrote engine.state.{self.param_name}={found!r}; {controller!r} wrote {asked} and "
                "will overwrite it: only one of the two should write",
                stacklevel=4,
            )
        return f"; something else had written engine.state.{self.param_name}={found!r}"

    def write(self, engine: Engine, what: Next, *beside: Any) -> None:
        """Write the numbers of the next iteration, then signal, critic and generator updates, and samples seen."""
        state = engine.state
        setattr(state, self.param_name, what.steps)
        for name, value in zip(self._names, (what.ratio, *beside), strict=True):
            setattr(state, name, value)
        if what.rate is not None:
            setattr(state, self._rate_name, what.rate)
