"""Warnings about training-step outputs that look wrong. Each is logged once per run."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from operator import add
from typing import Any

import torch

from adaptive_critic.lengths import MOST_ENTRIES, entry_lengths
from adaptive_critic.signals import GapShare, Signal
from adaptive_critic.step_output import lacks_g_fake

NO_G_FAKE = (
    "the training step's output has no 'g_fake', so -g_loss stands for it. Under a Wasserstein or hinge objective the "
    "two are the same; under any other return 'g_fake', the critic's mean score of the generator's batch, or the gap "
    "is wrong"
)
"""logged where the objective is not known"""

_ITERATIONS_CHECKED = 200  # early iterations in which the form of the output is checked
# The longest seen in a healthy run is 191: the critic's rate 1/25 of the generator's, n fixed at 1.
_NEGATIVE_ITERATIONS = 1000  # iterations in a row with a negative gap
_NEGATIVE_DECISIONS = 50  # decisions in a row: means over many iterations hide positive gaps
_SAME_ITERATIONS = 10  # iterations in a row with one number for loss and score
_SOON, _LATE = 50, 200  # iterations over which generator updates are judged
_ERRORS = 5.0  # their mean effect on the gap has to be this many standard errors from 0
_RAISED_SHARE = -0.02  # and raise the gap by this share of it
# Swapped scores swap the two components. The root mean square of the gap over 50 iterations, as a multiple of what a
# generator update uses up, was at least 1.67 in 61 healthy runs of the suite, and at most 0.37 with the scores swapped.
_SWAPPED_SIZE = 0.7
_SMALLEST = 1e-300
_LOSS_ITERATIONS = 50  # iterations over which the critic's loss is averaged
_LOSS_AVERAGES = 4  # averages in a row near the same multiple of the ideal
_LOSS_SPREAD = 0.06  # standard deviation of an undecided critic's loss, as a share of it; a decided one's is larger
_HELD_DECISIONS = 20  # decisions in a row without a finite observation
_SLACK = 1e-3  # a mean in half precision may lie beyond its bounds by this much

_KEYS = ("d_real", "d_fake", "d_loss", "g_loss", "g_fake", "g_fake_accuracy", "gap_before", "gap_after")

_logger = logging.getLogger("adaptive_critic")


class OutputWarnings:
    """Logs faults of a training step's output that healthy training never shows, each once per run.

    Args:
        signal: the signal that is read from the output.
        metrics: whether it is read from running metrics instead; the output may then have any form.
    """

    def __init__(self, signal: Signal, metrics: bool) -> None:
        self._signal = signal
        self._is_gap = isinstance(signal, GapShare)
        self._g_fake_needed = isinstance(signal, GapShare) and not signal.wasserstein
        self._reads_output = not metrics
        self.reset()

    def reset(self) -> None:
        """Forget the logged faults for a new run."""
        self._logged: set[str] = set()
        self._iterations = 0
        self.checks_output = self._reads_output
        """whether early outputs are still to be checked"""
        self._same = 0  # iterations in a row
        self._negative = (0, 0)  # iterations and decisions in a row
        # Sums over iterations: their number, what generator updates used and its square, the gap and its square.
        self._recent, self._earlier = [0.0] * 5, [0.0] * 5
        self._loss = (0, 0.0, 0.0)  # iterations, sums of the loss and its square
        self._multiple = (1.0, 0)  # of the ideal, and averages in a row near it
        self.held = 0
        """decisions in a row that moved nothing; whoever decides sets it back"""

    def _log(self, what: str, text: str, *values: object) -> None:
        if what not in self._logged:
            self._logged.add(what)
            _logger.warning(text, *values)

    def check_output(self, output: Any, steps: int, most: float) -> str:
        """Check the form of an iteration's output, without a read of the device.

        Args:
            output: the step's output.
            steps: critic updates that the step was asked for.
            most: largest number that a step is ever asked for.

        Returns:
            the fault of the output in words, empty if there is none.
        """
        if not isinstance(output, Mapping):
            return ""
        self._iterations += 1
        self.checks_output = self._iterations < _ITERATIONS_CHECKED
        if self._g_fake_needed and lacks_g_fake(output):
            self._log("no g_fake", NO_G_FAKE)
        if self._is_gap:
            self._check_score(output)
        for key, length in entry_lengths(output).items():
            if length > max(most, steps, MOST_ENTRIES):
                return (
                    f"{key!r} has length {length}, and n = {steps} was asked for: are these the values of "
                    "a batch's samples? Return their mean for each critic update, such as "
                    f"{{{key!r}: [values.mean() for each update], ...}}"
                )
        return ""

    def _check_score(self, output: Mapping[str, Any]) -> None:
        """Compare g_fake with g_loss. Of tensors, find only one returned twice: values would be read."""
        self._same = self._same + 1 if _is_one_number(output.get("g_fake"), output.get("g_loss")) else 0
        if self._same >= _SAME_ITERATIONS:
            self._log(
                "score",
                "'g_fake' has been the same number as 'g_loss' for %d iterations in a row. It must be the critic's "
                "mean score of the generator's batch, higher for more real; under a Wasserstein objective that is "
                "-g_loss: return that, or leave 'g_fake' out",
                self._same,
            )

    def check_held(self, entries: Any) -> None:
        """Count a decision that moved nothing; after many in a row log the non-finite entries of the latest.

        Args:
            entries: the step's output, or the running metrics that are read instead.
        """
        self.held += 1
        if self.held < _HELD_DECISIONS or "held" in self._logged:
            return
        entries = entries if isinstance(entries, Mapping) else {}
        numbers = {key: _numbers(value) for key, value in entries.items() if key in _KEYS}
        bad = {key: found for key, found in numbers.items() if not all(map(math.isfinite, found))}
        shown = bad or numbers  # finite entries can give a non-finite component, or another rank has the bad one
        self._log(
            "held",
            "%d decisions in a row have found no finite observation of %s, or no number from it, so the number of "
            "critic updates is held. The latest iteration has %s. If it stays like this the run has diverged: look at "
            "the training step, or attach a guard (on_divergence=), which acts on it",
            self.held, " and ".join(map(repr, self._signal.names)),
            ", ".join(f"{key!r}: {_listed(found)}" for key, found in shown.items()) or "none of it",
        )  # fmt: skip

    def check_means(self, mean: Sequence[float], square: Sequence[float], iterations: int, ideal: float | None) -> bool:
        """Log impossible means, gaps that show wrong scores, and a critic loss that shows a wrong ideal.

        Gaps show three faults: generator updates that use up more than the whole gap, those that raise it, and real
        samples scored below generated ones for longer than with any critic that learns.

        Args:
            mean: means of the signal's components at a decision.
            square: means of their squares.
            iterations: iterations that they are over.
            ideal: loss of an undecided critic that the law assumes, None if it has none.

        Returns:
            whether the mean of the signal's first component is possible.
        """
        lowest, highest = self._signal.domain
        if not lowest - _SLACK <= mean[0] <= highest + _SLACK:
            self._log(
                "impossible",
                "%r is %.4g: %s. The number of critic updates is held while it is like this",
                self._signal.names[0], mean[0], self._signal.hint,
            )  # fmt: skip
            self.held = 0
            return False
        if ideal is not None and self._reads_output:  # a running metric's spread says nothing
            self._check_ideal(mean[0], square[0], iterations, ideal)
        if self._signal.names == ("used", "gap"):
            self._check_gap(mean, square, iterations)
        return True

    def _check_gap(self, mean: Sequence[float], square: Sequence[float], iterations: int) -> None:
        used, gap = mean
        recent = self._recent
        recent[0] += iterations
        recent[1] += iterations * used
        recent[2] += iterations * square[0]
        recent[3] += iterations * gap
        recent[4] += iterations * square[1]
        if recent[0] >= _SOON:
            self._judge_effect()
        if gap >= used:  # d_real - d_fake of one critic is the rest of the gap after the generator's update
            self._negative = (0, 0)
            return
        self._negative = (self._negative[0] + iterations, self._negative[1] + 1)
        if self._negative[0] >= _NEGATIVE_ITERATIONS and self._negative[1] >= _NEGATIVE_DECISIONS:
            self._log(
                "gap",
                "d_real has been below d_fake for %d iterations in a row, now by %.4g. Higher scores must mean more "
                "real: are the two swapped, or do the scores have the other sign? If not, the critic learns nothing",
                self._negative[0], used - gap,
            )  # fmt: skip

    def _check_ideal(self, loss: float, square: float, iterations: int, ideal: float) -> None:
        added = iterations, iterations * loss, iterations * square
        count, *sums = self._loss = tuple(map(add, self._loss, added))
        if count < _LOSS_ITERATIONS:
            return
        loss, square = (value / count for value in sums)
        self._loss = (0, 0.0, 0.0)
        times = 2.0 ** round(math.log2(loss / ideal)) if loss / ideal > 0.0 else 1.0
        # Against a wrong ideal that is too small the number rises to its limit, and the critic gains a little.
        lowest = 0.85 if times > 1.0 else 0.94
        quiet = math.sqrt(max(square - loss * loss, 0.0)) <= _LOSS_SPREAD * loss
        near = times != 1.0 and lowest <= loss / (times * ideal) <= 1.02 and quiet
        before, in_a_row = self._multiple
        self._multiple = times, (in_a_row + 1 if times == before else 1) if near else 0
        if self._multiple[1] >= _LOSS_AVERAGES:
            self._log(
                "ideal",
                "'d_loss' has been about %g times the ideal of %.4g for %d iterations, and quiet. So is the loss of an "
                "undecided critic whose terms are averaged, or summed over several heads: give "
                "LossRatioPIDController(ideal=%.4g) if yours are. If not, the critic learns nothing",
                times, ideal, _LOSS_AVERAGES * _LOSS_ITERATIONS, times * ideal,
            )  # fmt: skip

    def _judge_effect(self) -> None:
        """Judge the recent iterations, and with earlier ones if they are many."""
        if self._is_gap:  # running metrics are smooth, so that few iterations say nothing of their errors
            self._judge(self._recent)
        self._earlier = list(map(add, self._earlier, self._recent))
        if self._earlier[0] >= _LATE:
            self._judge(self._earlier)
            self._earlier = [0.0] * 5
        self._recent = [0.0] * 5

    def _judge(self, sums: Sequence[float]) -> None:
        iterations, *effects = sums
        used, used_square, gap, gap_square = (effect / iterations for effect in effects)
        error = math.sqrt(max(used_square - used * used, 0.0) / iterations)
        size = max(math.sqrt(gap_square), _SMALLEST)
        swapped = self._is_gap and used > _ERRORS * error and size < _SWAPPED_SIZE * used
        raised = used < -_ERRORS * error and used < _RAISED_SHARE * size
        if gap < used and (swapped or raised):
            self._log(
                "gap",
                "the critic has scored fakes above real samples for %d iterations, by %.4g on average: are d_real and "
                "d_fake swapped, or do the scores have the other sign? Higher scores must mean more real",
                iterations, used - gap,
            )  # fmt: skip
        elif raised:
            self._log(
                "share",
                "the generator's updates have raised the critic's gap over %d iterations, each by %.2g of it. Scores "
                "of one critic on fresh batches show them lowering it. Are d_real and d_fake swapped, or g_fake of the "
                "other sign? Is d_fake of an image pool or older fakes, g_fake from after the generator's step? Does "
                "the critic change between the two (weights clipped before they are scored, another mode)?",
                iterations, -used / size,
            )  # fmt: skip


def _is_one_number(one: Any, other: Any) -> bool:
    """Return whether two entries are one number other than 0, or one tensor's memory; reads nothing from the device."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.device == other.device and one.data_ptr() == other.data_ptr() != 0
    return isinstance(one, (int, float)) and isinstance(other, (int, float)) and one == other != 0.0


def _numbers(value: Any) -> list[float]:
    """Return the values of an entry."""
    if isinstance(value, torch.Tensor):
        return [float(number) for number in value.detach().flatten().tolist()]
    if isinstance(value, (tuple, list)):
        return [number for item in value for number in _numbers(item)]
    return [float(value)] if isinstance(value, (int, float)) else []


def _listed(numbers: Sequence[float]) -> str:
    """Return numbers in brackets, a few of many."""
    return f"[{', '.join(f'{number:.4g}' for number in numbers[:3])}{', ...' if len(numbers) > 3 else ''}]"
