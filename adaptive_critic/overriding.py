"""Another number of critic updates than the law's, for some iterations."""

from __future__ import annotations

__all__ = ["Override"]


class Override:
    """What was asked for, and for how long it is still in force."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Let the law have its way."""
        self.steps = 0
        self.left = 0
        """iterations that are still to be run with ``steps``, 0 if nothing is overridden"""
        self._waits = False  # for a run that is yet to begin, and must not begin without it

    def order(self, steps: int, iterations: int, *, waits: bool) -> None:
        """Put ``steps`` in force for some iterations; ``waits`` says that they are those of a run yet to begin."""
        self.steps, self.left, self._waits = steps, iterations, self._waits or waits

    def begin_afresh(self) -> None:
        """Forget what was left of an earlier run, keep what waits for this one."""
        if not self._waits:
            self.clear()

    def observe(self) -> None:
        """Note that an iteration of the run was seen: what was asked for is this run's."""
        self._waits = False

    def restore(self, steps: int, iterations: int) -> None:
        """Put the entries of a state in force."""
        self.steps, self.left, self._waits = steps, iterations, False
