"""Protocol of decisions: the methods that a controller calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from adaptive_critic.exchange import Ranks


class Decision(Protocol):
    """Decides the number of critic updates of each iteration.

    Reading ``steps`` changes nothing. In each iteration the controller calls ``observe``, or ``skip`` under an
    override. It calls ``ran`` if the iteration was run with the number that ``steps`` gave. Then it reads ``steps`` for
    the next.
    """

    limits: tuple[int, int] | None
    """(lower, upper) of the integer, or None. New limits are checked and apply at once"""

    @property
    def takes_any_output(self) -> bool:
        """Whether it reads running metrics instead, so that the step may return anything."""
        ...

    @property
    def ratio(self) -> float | None:
        """Real-valued number behind ``steps``; None if there is none."""
        ...

    @property
    def rate(self) -> float | None:
        """Multiplier of the critic's learning rate; None if the decision leaves the rate alone."""
        ...

    @property
    def measurement(self) -> float:
        """Quantity that the law regulates, NaN while there is none."""
        ...

    def steps(self, index: int) -> int:
        """Return the critic updates of the iteration with this index (from 0)."""
        ...

    def clear(self) -> None:
        """Forget the run."""
        ...

    def begin(self, ranks: Ranks) -> None:
        """Begin a run, or go on with one, on these ranks."""
        ...

    def observe(self, output: Any, metrics: Mapping[str, Any], steps: int) -> None:
        """Observe an iteration of ``steps`` critic updates; decide if a decision is due.

        Args:
            output: a StepOutput.
            metrics: ``engine.state.metrics``.
            steps: critic updates that were asked of the iteration.

        Raises:
            StepOutputError: if the output lacks what is needed. Nothing is decided then.
        """
        ...

    def skip(self, iterations: int = 1) -> None:
        """Leave iterations out, as under an override: nothing is compared across them."""
        ...

    def ran(self, steps: int, ratio: float) -> None:
        """Note that an iteration was run with this number, for this ratio."""
        ...

    def settings(self) -> str:
        """Return the configuration that may have been assigned since the constructor, the same text on every rank."""
        ...

    def fingerprint(self) -> Any:
        """Return what must be equal on all ranks when a run begins; it has a ``repr``."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return the state: ints, floats, strings, lists and dicts of them."""
        ...

    def read_state(self, state: Mapping[str, Any], steps: int | None) -> Any:
        """Return a state of ``state_dict`` in the form that this decision holds, checked. Changes nothing.

        Args:
            state: what ``state_dict`` returned.
            steps: in states of format 1 the number already decided, since their carry is the one after it; else None.

        Raises:
            StateError: if entries are missing or out of range.
        """
        ...

    def restore(self, state: Any) -> None:
        """Go on from what ``read_state`` returned, clamped to the current limits."""
        ...
