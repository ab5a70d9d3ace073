"""Compares the critic updates that a step's output shows with the number that it was asked for."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch

MOST_ENTRIES = 20
"""updates that a loop which ignores the number may make; a batch has more samples"""

_ITERATIONS_CHECKED = 200  # early iterations; later ones only where the number has changed

_logger = logging.getLogger("adaptive_critic")


def entry_lengths(output: Any) -> dict[str, int]:
    """Return the lengths of the entries that have one number for each critic update."""
    if not isinstance(output, (dict, Mapping)):
        return {}
    found: dict[str, Any] = {key: output.get(key) for key in ("d_real", "d_fake", "d_loss")}
    return {key: len(entries) for key, entries in found.items() if _is_vector(entries)}


class Lengths:
    """Logs once if a loop makes another number of critic updates than it was asked for."""

    def __init__(self) -> None:
        self.steps = -1
        """critic updates of the iteration that was checked last"""
        self.left = _ITERATIONS_CHECKED
        """iterations that are still to be checked, whatever their number"""
        self.logged = False

    def check(self, output: Any, steps: int) -> None:
        """Check an iteration's output, without a read of the device.

        Args:
            output: the step's output, of any form.
            steps: critic updates that the step was asked for.
        """
        self.steps, self.left = steps, max(self.left - 1, 0)
        if self.logged:
            return
        lengths = {key: length for key, length in entry_lengths(output).items() if length <= max(steps, MOST_ENTRIES)}
        # Fewer are not a fault beside a complete entry: a costly score may be taken in the first update alone.
        wrong = {key: length for key, length in lengths.items() if length > steps or steps not in lengths.values()}
        if wrong:
            self.logged, self.left = True, 0
            _logger.warning(
                "%r has length %d, but n = %d was asked for: does the loop read the number that the controller writes, "
                "or, in a loop of your own, the one that observe() returns?",
                *next(iter(wrong.items())), steps,
            )  # fmt: skip


def _is_vector(entries: Any) -> bool:
    return isinstance(entries, (tuple, list)) or (isinstance(entries, torch.Tensor) and entries.ndim == 1)
