"""What in the numbers suggests that the training step returns something else than it should: told once each."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from adaptive_critic.signals import GapShare, Signal
from adaptive_critic.signals.gap import STAND_IN, has_stand_in

__all__ = ["Doubts"]

_ENTRIES_CHECKED = 200  # iterations in which the number of entries is compared with the number of critic updates
# The longest that was seen in a run with nothing wrong is 191: the critic's rate 1/25 of the generator's, n fixed at 1.
_NEGATIVE_ITERATIONS = 1000  # iterations in a row with a negative gap before it is told
_NEGATIVE_DECISIONS = 50  # and decisions, where means over many iterations hide the ones that are positive
_SAME_ITERATIONS = 10  # iterations in a row with one number for loss and score before it is told
_HELD_DECISIONS = 20  # decisions in a row without a finite observation before it is told
_SLACK = 1e-3  # a mean in half precision may lie beyond its bounds by this much

_KEYS = ("d_real", "d_fake", "d_loss", "g_loss", "g_fake", "g_fake_accuracy", "gap_before", "gap_after")

_logger = logging.getLogger("adaptive_critic")


class Doubts:
    """Watches a training step's output for what can be told from healthy training without doubt.

    Args:
        signal: what is read from the output.
        param_name: name of the attribute of ``engine.state`` that the step is to read.
    """

    def __init__(self, signal: Signal, param_name: str) -> None:
        self._signal = signal
        self._param_name = param_name
        self._may_stand_in = not isinstance(signal, GapShare) or signal.wasserstein
        self._has_gap = signal.names == ("used", "gap")
        self.reset()

    def reset(self) -> None:
        """Forget what was told: another run begins."""
        self._entries_told = False
        self._domain_told = False
        self._gap_told = False
        self._stand_in_told = self._may_stand_in
        self._held_told = False
        self._score_told = not isinstance(self._signal, GapShare)
        self._same = 0  # iterations in a row
        self._negative = (0, 0)  # iterations and decisions in a row
        self.held = 0
        """decisions in a row that found nothing finite to observe"""

    def check_entries(self, output: Any, steps: int, iteration: int) -> None:
        """Tell if the step seems to make another number of critic updates than it was asked for.

        Args:
            output: the step's output.
            steps: critic updates that it was asked for.
            iteration: iterations before this one; only early ones are looked at.
        """
        if iteration >= _ENTRIES_CHECKED:
            return
        for key in ("d_real", "d_fake", "d_loss"):
            entries: Any = output.get(key) if isinstance(output, Mapping) else None
            is_vector = isinstance(entries, (tuple, list)) or (isinstance(entries, torch.Tensor) and entries.ndim == 1)
            if is_vector and len(entries) != steps and not self._entries_told:
                self._entries_told = True
                _logger.warning(
                    "%r has %d entries, but engine.state.%s was %d: does the step's loop read it?",
                    key, len(entries), self._param_name, steps,
                )  # fmt: skip

    def check_stand_in(self, output: Any) -> None:
        """Tell if the generator's loss is taken for the score of its batch, and whether it is one can't be known."""
        if not self._stand_in_told and has_stand_in(output):
            self._stand_in_told = True
            _logger.warning(STAND_IN)

    def check_score(self, output: Any, iteration: int) -> None:
        """Tell if the generator's loss is returned for the score of its batch, which is its negative or something else.

        Of tensors only one that is returned twice is found: comparing the values of two would wait for the device.

        Args:
            output: the step's output.
            iteration: iterations before this one; only early ones are looked at.
        """
        if self._score_told or iteration >= _ENTRIES_CHECKED or not isinstance(output, Mapping):
            return
        self._same = self._same + 1 if _is_one_number(output.get("g_fake"), output.get("g_loss")) else 0
        if self._same >= _SAME_ITERATIONS:
            self._score_told = True
            _logger.warning(
                "'g_fake' has been the same number as 'g_loss' for %d iterations in a row. It must be the critic's "
                "mean score of the generator's batch, higher for more real; under a Wasserstein objective that is "
                "-g_loss: return that, or leave 'g_fake' out",
                self._same,
            )  # fmt: skip

    def is_impossible(self, mean: Sequence[float]) -> bool:
        """Return whether the signal's first component can't have this mean; tell so if it can't."""
        lowest, highest = self._signal.domain
        if lowest - _SLACK <= mean[0] <= highest + _SLACK:
            return False
        if not self._domain_told:
            self._domain_told = True
            _logger.warning(
                "%r is %.4g: %s. The number of critic updates is held while it is like this",
                self._signal.names[0], mean[0], self._signal.hint,
            )  # fmt: skip
        return True

    def check_held(self, output: Any) -> None:
        """Tell if no decision has had an observation for long, with what is not finite in the latest.

        Args:
            output: the step's output, or the running metrics that are read instead.
        """
        if self.held < _HELD_DECISIONS or self._held_told:
            return
        self._held_told = True
        entries = output if isinstance(output, Mapping) else {}
        numbers = {key: _numbers(value) for key, value in entries.items() if key in _KEYS}
        bad = {key: found for key, found in numbers.items() if not all(map(math.isfinite, found))}
        shown = bad or numbers  # finite ones can lead to a component that is not, or another rank has what is bad
        _logger.warning(
            "%d decisions in a row have found no finite observation of %s, so the number of critic updates is held. "
            "The latest iteration has %s. If it stays like this the run has diverged: look at the training step, or "
            "attach a guard (on_divergence=), which acts on it",
            self.held, " and ".join(map(repr, self._signal.names)),
            ", ".join(f"{key!r}: {_listed(found)}" for key, found in shown.items()) or "none of it",
        )  # fmt: skip

    def check_gap(self, mean: Sequence[float], iterations: int) -> None:
        """Tell if real samples have been scored below generated ones for longer than any critic that learns leaves it.

        Args:
            mean: means of the signal's components at a decision.
            iterations: iterations that they are over.
        """
        if not self._has_gap:
            return
        used, gap = mean
        if gap >= used:  # d_real - d_fake of one critic is what the generator's update has left of the gap
            self._negative = (0, 0)
            return
        self._negative = (self._negative[0] + iterations, self._negative[1] + 1)
        long = self._negative[0] >= _NEGATIVE_ITERATIONS and self._negative[1] >= _NEGATIVE_DECISIONS
        if long and not self._gap_told:
            self._gap_told = True
            _logger.warning(
                "d_real has been below d_fake for %d iterations in a row, now by %.4g. Higher scores must mean more "
                "real: are the two swapped, or do the scores have the other sign? If not, the critic learns nothing",
                self._negative[0], used - gap,
            )  # fmt: skip


def _is_one_number(one: Any, other: Any) -> bool:
    """Return whether two entries are one number other than 0, or one tensor's memory; reads nothing from the device."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.device == other.device and one.data_ptr() == other.data_ptr() != 0
    return isinstance(one, (int, float)) and isinstance(other, (int, float)) and one == other != 0.0


def _numbers(value: Any) -> list[float]:
    """Return what is in an entry."""
    if isinstance(value, torch.Tensor):
        return [float(number) for number in value.detach().flatten().tolist()]
    if isinstance(value, (tuple, list)):
        return [number for item in value for number in _numbers(item)]
    return [float(value)] if isinstance(value, (int, float)) else []


def _listed(numbers: Sequence[float]) -> str:
    """Return numbers in brackets, a few of many."""
    return f"[{', '.join(f'{number:.4g}' for number in numbers[:3])}{', ...' if len(numbers) > 3 else ''}]"
