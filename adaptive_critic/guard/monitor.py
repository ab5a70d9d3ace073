"""Gathers iterations and judges them: what the guard knows of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from adaptive_critic.guard.rules import PREFIX, DivergenceRules, Judgement, gather
from adaptive_critic.guard.updates import Updates
from adaptive_critic.guard.window import ScoreWindow

__all__ = ["Monitor"]


class Monitor:
    """Joins window and rules.

    Args:
        rules: what counts as a divergence.
        check_every: iterations from check to check.
        output_transform: turns the step's output into a StepOutput, or None.
        updates: measures an update of each optimizer, if there are any, in the first iteration with one after a check.
    """

    def __init__(
        self,
        rules: DivergenceRules,
        check_every: int,
        output_transform: Callable[[Any], Any] | None,
        updates: Updates,
    ) -> None:
        self.rules = rules
        self.updates = updates
        self.window = ScoreWindow([PREFIX + name for name in updates.names])
        self._check_every = check_every
        self._output_transform = output_transform
        self.seen = 0
        """number of the iteration that was gathered last"""
        self.clear()

    def clear(self) -> None:
        """Forget all iterations and checks."""
        self.window.clear()
        self.state = self.rules.init()

    @property
    def due(self) -> bool:
        """Whether enough iterations wait for a check."""
        return len(self.window) >= self._check_every

    def wants(self, optimizer: str) -> bool:
        """Return whether no update of this optimizer was measured since the last check."""
        return not self.window.has(PREFIX + optimizer)

    def gather(self, iteration: int, output: Any) -> None:
        """Add an iteration, unless it was added already.

        Raises:
            StepOutputError: if the output has nothing to watch.
        """
        if iteration == self.seen:
            return
        if self._output_transform is not None:
            output = self._output_transform(output)
        self.window.add(output, self.updates.take(iteration))
        self.seen = iteration

    def check(self) -> tuple[Judgement, int]:
        """Judge the iterations that wait; return the judgement and how many they were."""
        iterations = len(self.window)
        evidence = gather(self.window.read())
        self.window.clear()
        self.state, judgement = self.rules.update(self.state, evidence)
        return judgement, iterations

    def rearm(self) -> None:
        """Let a collapse that was found, but could not be acted on, be found again."""
        self.state = self.rules.arm(self.state)
