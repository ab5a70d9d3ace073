"""Moments of a signal between two decisions, gathered on the device and read in one packed vector."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from adaptive_critic import state as saved
from adaptive_critic.signals import Picked, Signal
from adaptive_critic.window import Row, as_tensors, device_of, numbers, pack

_ROWS_KEPT = 32  # rows that wait before they are folded into the sums, to bound the memory


class Moments:
    """Count, sum and sum of squares of the components of a signal.

    ``add`` costs one stack of 0-d tensors and no synchronisation. Rows are combined and summed when a decision is due
    or when many wait. The sums leave out a row with a non-finite component, and count it instead.

    Args:
        signal: turns picked scalars into components by ``combine``.
    """

    def __init__(self, signal: Signal) -> None:
        self._combine = signal.combine
        self._components = len(signal.names)
        self._width = signal.width
        self._paired = signal.paired
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._rows: list[Row] = []
        self._observed: list[int] = []  # indices of rows that are observations
        self._sums: torch.Tensor | None = None

    def next_window(self) -> None:
        """Start a new window. If ``paired``, the last row stays for comparison with the next."""
        self._sums = None
        self._drop_rows()

    def add(self, picked: Picked) -> None:
        """Add the scalars of one iteration. They are copied."""
        if picked.observed and (self._rows or not self._paired):
            self._observed.append(len(self._rows))
        self._rows.append(pack(picked.scalars))
        if len(self._rows) >= _ROWS_KEPT:
            self._fold()

    def _drop_rows(self) -> None:
        self._rows = self._rows[-1:] if self._paired else []
        self._observed = []

    def _fold(self) -> None:
        if not self._observed:
            self._drop_rows()
            return
        matrix = torch.stack(as_tensors(self._rows, device_of(self._rows)))
        first, last = self._observed[0], self._observed[-1]
        gaps = len(self._observed) <= last - first  # iterations without critic updates; a slice is faster
        now = matrix[self._observed if gaps else slice(first, last + 1)].unbind(dim=1)
        before: tuple[torch.Tensor, ...] = ()
        if self._paired:
            before = matrix[[i - 1 for i in self._observed] if gaps else slice(first - 1, last)].unbind(dim=1)
        components = torch.stack(self._combine(*now, *before), dim=1)
        finite = torch.isfinite(components).all(dim=1, keepdim=True)
        components = torch.where(finite, components, 0.0)
        good = finite.to(matrix.dtype)
        sums = torch.cat((good, 1.0 - good, components, components.square()), dim=1).sum(dim=0)
        self._sums = sums if self._sums is None else self._sums.to(sums.device) + sums
        self._drop_rows()

    def vector(self) -> torch.Tensor:
        """Return (2 + 2 * components,): rows with finite components, rows without, sums, sums of squares."""
        if self._observed:
            self._fold()
        if self._sums is None:
            return torch.zeros(2 + 2 * self._components, dtype=torch.float64)
        return self._sums

    def read(self) -> list[float]:
        """Return ``vector()`` on the host, with at most one device-to-host read."""
        if self._sums is not None:
            values: list[float] = self.vector().tolist()
            return values
        # Windows of a few iterations are frequent. Once their rows are read, float arithmetic is the fastest.
        total = [0.0] * (2 + 2 * self._components)
        if not self._observed:
            return total
        rows = numbers(self._rows)
        for index in self._observed:
            before = rows[index - 1] if self._paired else ()
            try:
                components = self._combine(*rows[index], *before)
            except ZeroDivisionError:  # tensors give an infinity or NaN here
                components = (math.nan,)
            if not all(map(math.isfinite, components)):
                total[1] += 1.0
                continue
            total[0] += 1.0
            for position, component in enumerate(components, start=2):
                total[position] += component
                total[position + self._components] += component * component
        return total

    def on_cuda(self) -> bool:
        """Return whether the newest scalars are on a CUDA device."""
        newest = self._rows[-1] if self._rows else self._sums
        return isinstance(newest, torch.Tensor) and newest.device.type == "cuda"

    def state_dict(self) -> dict[str, Any]:
        """Return rows and sums as lists of numbers."""
        return {
            "rows": [list(row) for row in numbers(self._rows)],
            "observed": list(self._observed),
            "sums": [] if self._sums is None else self._sums.tolist(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned.

        Raises:
            StateError: if it is something else.
        """
        rows = saved.rows(state, "rows", self._width)
        observed = saved.integers(state, "observed")
        lowest = 1 if self._paired else 0
        if list(observed) != sorted(set(observed)) or not all(lowest <= index < len(rows) for index in observed):
            raise saved.StateError(
                f"state['observed']={list(observed)!r}: expected ascending indices of {len(rows)} rows"
            )
        sums = saved.packed(state, "sums", 2 + 2 * self._components)
        self._rows, self._observed = list(rows), list(observed)
        self._sums = torch.tensor(sums, dtype=torch.float64) if sums else None
