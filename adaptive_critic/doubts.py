"""What in the numbers suggests that the training step returns something else than it should: told once each."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from adaptive_critic.signals import Signal

__all__ = ["Doubts"]

_ENTRIES_CHECKED = 200  # iterations in which the number of entries is compared with the number of critic updates
_SLACK = 1e-3  # a mean in half precision may lie beyond its bounds by this much

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
        self.reset()

    def reset(self) -> None:
        """Forget what was told: another run begins."""
        self._entries_told = False
        self._domain_told = False

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
