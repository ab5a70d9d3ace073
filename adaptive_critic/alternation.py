"""Alternation: the number of the next iteration, from the decision or from an override, and sums of updates."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from adaptive_critic import state as saved
from adaptive_critic.decision import Decision
from adaptive_critic.lengths import Lengths
from adaptive_critic.run_summary import RunSummary
from adaptive_critic.step_output import counts

_logger = logging.getLogger("adaptive_critic")


class Next(NamedTuple):
    """Numbers of the next iteration, or of the running one."""

    steps: int
    """critic updates"""
    ratio: float
    """real-valued number behind ``steps``"""
    rate: float | None
    """multiplier of the critic's learning rate, None if the decision leaves it alone"""
    decided: bool
    """whether ``steps`` comes from the decision, not from an override"""


class AlternationState(NamedTuple):
    """State of :class:`Alternation`, checked."""

    critic_updates: int
    generator_updates: int
    samples_seen: int
    override: tuple[int, ...]
    decision: Any
    summary: tuple[tuple[int, ...], float]


class Alternation:
    """Reads each iteration's number from a decision, overrides it on request, and counts updates.

    Args:
        decision: decides the number.
        output_transform: turns the step's output into a StepOutput, or None.
    """

    def __init__(self, decision: Decision, output_transform: Callable[[Any], Any] | None) -> None:
        self.decision = decision
        self._output_transform = output_transform
        self._override_steps = 0
        self._rate_lowered = False
        self._waits = False  # whether an override is for the next run
        self.overridden = 0
        """remaining iterations of an override"""
        self.clear()
        self.refresh()

    def clear(self) -> None:
        """Forget the run, but not an override."""
        self.critic_updates = 0
        self.generator_updates = 0
        self.samples_seen = 0
        self.index = 0
        """index of the next iteration (from 0), which a schedule reads"""
        self.decision.clear()
        self._lengths = Lengths()
        self._summary = RunSummary(self.decision.steps(0))

    def refresh(self) -> None:
        """Read the decision anew. Reading it changes nothing."""
        decided = self.overridden == 0
        steps = self.decision.steps(self.index) if decided else self._override_steps
        ratio, rate = self.decision.ratio, self.decision.rate
        if rate is not None and self._rate_lowered:
            rate = min(rate, 1.0)
        self.next = Next(steps, float(steps) if ratio is None else ratio, rate, decided)

    def go_on_at(self, index: int) -> None:
        """Set the index of the next iteration; log if a schedule begins again though the state has iterations."""
        self.index = index
        self.refresh()
        due = self.decision.steps(self.generator_updates)
        if self.decision.ratio is None and index == 0 and due != self.next.steps:
            _logger.warning(
                "the schedule begins again with n = %d, and the loaded state has %d iterations, after which n = %d is "
                "due: a schedule follows engine.state.iteration, so load the trainer's state, too",
                self.next.steps, self.generator_updates, due,
            )  # fmt: skip

    def advance(self, output: Any, metrics: Mapping[str, Any], index: int) -> None:
        """Observe and count the iteration that was run with ``next``; set ``next`` for the one with this index.

        Raises:
            StepOutputError: if the output lacks what the decision needs. Nothing is counted then.
        """
        self._waits = False  # an override belongs to the run that has begun
        if self._output_transform is not None:
            output = self._output_transform(output)
        ran = self.next
        made, samples = counts(output, ran.steps)
        if self.overridden > 0:
            self.overridden -= 1
            self._rate_lowered = self._rate_lowered and self.overridden > 0
            self.decision.skip()
        else:
            self.decision.observe(output, metrics, ran.steps)
        if (self._lengths.left or ran.steps != self._lengths.steps) and not self.decision.takes_any_output:
            self._lengths.check(output, ran.steps)
        if ran.decided:
            self.decision.ran(ran.steps, ran.ratio)
        limits = self.decision.limits if ran.decided and self.decision.ratio is not None else None
        self._summary.count(ran.steps, limits, ran.rate)
        self.critic_updates += made
        self.generator_updates += 1
        self.samples_seen += samples
        self.index = index
        self.refresh()

    @property
    def ignores_number(self) -> bool:
        """Whether it was logged that the loop makes another number of critic updates than it was asked for."""
        return self._lengths.logged

    def summary(self) -> str:
        """Return the run so far in one line."""
        limited = self.decision.limits is not None and self.decision.ratio is not None
        rated = self.decision.rate is not None
        return self._summary.line(self.critic_updates, self.generator_updates, limited, rated)

    # --- override -----------------------------------------------------------------------------------------------

    def override(self, steps: int, iterations: int, *, lower_rate: bool, waits: bool) -> None:
        """Give ``steps`` to some iterations.

        Args:
            steps: critic updates of each.
            iterations: number of iterations.
            lower_rate: whether a raised learning rate falls back to the user's own meanwhile.
            waits: whether the override is for a run that has not begun yet.
        """
        self._override_steps, self.overridden = steps, iterations
        self._rate_lowered, self._waits = lower_rate, self._waits or waits

    def clear_override(self) -> None:
        """Go back to the decision's number."""
        self._override_steps, self.overridden, self._rate_lowered, self._waits = 0, 0, False, False

    def begin_fresh(self) -> None:
        """Clear an override of an earlier run; keep one that waits for this run."""
        if not self._waits:
            self.clear_override()

    # --- state --------------------------------------------------------------------------------------------------

    def fingerprint(self) -> Any:
        """Return the values that must be equal on all ranks when a run begins."""
        override = self._override_steps, self.overridden, self._rate_lowered
        return self.decision.settings(), self.decision.fingerprint(), override

    def state_dict(self) -> dict[str, Any]:
        """Return the state: ints, floats, strings, lists and dicts of them."""
        return {
            "critic_updates": self.critic_updates,
            "generator_updates": self.generator_updates,
            "samples_seen": self.samples_seen,
            "override": [self._override_steps, self.overridden, int(self._rate_lowered)],
            "law": self.decision.state_dict(),
            **self._summary.state_dict(),
        }

    def read_state(self, state: Mapping[str, Any]) -> AlternationState:
        """Return a state, checked. Changes nothing.

        Raises:
            StateError: if entries are missing or out of range.
        """
        counts = [saved.integer(state, key) for key in ("critic_updates", "generator_updates", "samples_seen")]
        override = saved.integers(state, "override", 2 if state["version"] == 1 else 3)
        # A state of format 1 has the number already decided, and the carry after it.
        steps = saved.integer(state, "steps") if state["version"] == 1 else None
        if override[1] > 0:
            steps = None
        decision = self.decision.read_state(saved.mapping(state, "law"), steps)
        return AlternationState(counts[0], counts[1], counts[2], override, decision, RunSummary.read_state(state))

    def restore(self, state: AlternationState) -> None:
        """Go on from a state, within the current limits."""
        self.critic_updates, self.generator_updates, self.samples_seen = state[:3]
        self._override_steps, self.overridden, *lowered = state.override
        self._rate_lowered, self._waits = lowered == [1], False
        self.index = self.generator_updates
        self.decision.restore(state.decision)
        self._summary.restore(state.summary)
        self.refresh()
