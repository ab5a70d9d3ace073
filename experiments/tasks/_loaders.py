"""Endless loaders of real batches whose position is a small state, so that a resumed run goes on where it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor


class FreshSamples:
    """Batches drawn afresh from a formula; no point is ever seen twice.

    Args:
        sampler: Draws n points, given n and a generator.
        batch_size: Points in a batch.
        seed: Of the draws.
    """

    def __init__(self, sampler: Callable[[int, torch.Generator], Tensor], batch_size: int, seed: int) -> None:
        self.sampler = sampler
        self.batch_size = batch_size
        self._random = torch.Generator().manual_seed(seed)

    def __iter__(self) -> FreshSamples:
        return self

    def __next__(self) -> Tensor:
        return self.sampler(self.batch_size, self._random)

    def state_dict(self) -> dict[str, Any]:
        """Return the position."""
        return {"random": self._random.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a saved position."""
        self._random.set_state(state["random"])


class ShuffledRows:
    """Batches from a fixed set of rows: pass after pass, each in a new order, the incomplete last batch left out.

    Args:
        rows: Real samples, (n, ...), n at least ``batch_size``.
        batch_size: Rows in a batch.
        seed: Of the orders.
    """

    def __init__(self, rows: Tensor, batch_size: int, seed: int) -> None:
        if len(rows) < batch_size:
            raise ValueError(f"{len(rows)} rows: at least batch_size={batch_size} are needed")
        self.rows = rows
        self.batch_size = batch_size
        self._random = torch.Generator().manual_seed(seed)
        self._begin_pass()

    def _begin_pass(self) -> None:
        self._before_order = self._random.get_state()
        self._order = torch.randperm(len(self.rows), generator=self._random)
        self._position = 0

    def __iter__(self) -> ShuffledRows:
        return self

    def __next__(self) -> Tensor:
        if self._position + self.batch_size > len(self.rows):
            self._begin_pass()
        chosen = self._order[self._position : self._position + self.batch_size]
        self._position += self.batch_size
        return self.rows[chosen]

    def state_dict(self) -> dict[str, Any]:
        """Return the position: what made this pass's order, and how far the pass is."""
        return {"before_order": self._before_order, "position": self._position}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a saved position."""
        self._random.set_state(state["before_order"])
        self._begin_pass()
        self._position = state["position"]
