"""What a controller asks of a decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

__all__ = ["Decision"]


class Decision(Protocol):
    """Decides the number of critic updates of each iteration.

    Reading changes nothing. In each iteration the controller calls ``observe``, or ``skip`` under an override, then
    ``ran`` if the iteration was run with the number that ``steps`` gave, and reads ``steps`` for the next one.
    """

    limits: tuple[int, int] | None
    """(lower, upper) of the integer, or None. Others that are assigned are checked, and hold at once"""

    @property
    def ratio(self) -> float | None:
        """Real-valued number behind ``steps``; None if there is none but the number itself."""
        ...

    @property
    def rate(self) -> float | None:
        """Multiplier of the critic's learning rate; None if the decision is about the number alone."""
        ...

    @property
    def signal(self) -> float:
        """What the law regulates, NaN while there is nothing to show."""
        ...

    def steps(self, index: int) -> int:
        """Return the critic updates of the iteration with this index (from 0)."""
        ...

    def clear(self) -> None:
        """Forget the run."""
        ...

    def begin(self, ranks: int) -> None:
        """Begin a run, or go on with one, on so many ranks."""
        ...

    def observe(self, output: Any, metrics: Mapping[str, Any], steps: int) -> None:
        """Take in an iteration that made ``steps`` critic updates; decide if it is time.

        Args:
            output: a StepOutput.
            metrics: ``engine.state.metrics``.
            steps: critic updates that were asked of the iteration.

        Raises:
            StepOutputError: if the output is not what is needed. Nothing was decided then.
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
        """Return a state of ``state_dict`` as this decision holds it, checked; nothing is changed.

        Args:
            state: what ``state_dict`` returned.
            steps: the number that had been decided, in states of format 1, which hold the carry after it; else None.

        Raises:
            StateError: if entries are missing or out of range.
        """
        ...

    def restore(self, state: Any) -> None:
        """Go on from what ``read_state`` returned, clamped to the current limits."""
        ...
