"""Moments of a signal between two decisions, gathered on the device and read in one packed vector."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import torch

from adaptive_critic import state as saved
from adaptive_critic.signals.base import Signal
from adaptive_critic.signals.output import Scalar

__all__ = ["Moments"]

Row: TypeAlias = "torch.Tensor | tuple[float, ...]"

_ROWS_KEPT = 32  # rows are folded into the sums when this many wait, so that memory stays bounded


def _pack(values: Sequence[Scalar]) -> Row:
    """Copy scalars into one row: one stack for tensors, no tensor at all for floats."""
    tensors = [value for value in values if isinstance(value, torch.Tensor)]
    if len(tensors) == len(values):
        return torch.stack(tensors).detach()
    if not tensors:
        return tuple(values)  # type: ignore[arg-type]  # no tensor among them
    # Floats come from a loaded state; float64 keeps their bits, and stack promotes the others to it.
    device = tensors[0].device
    return torch.stack([v if isinstance(v, torch.Tensor) else _tensor(v, device) for v in values]).detach()


def _precise(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type == "mps" else torch.float64  # MPS has no float64


def _tensor(values: float | tuple[float, ...], device: torch.device) -> torch.Tensor:
    return torch.tensor(values, dtype=_precise(device), device=device)


def _matrix(rows: Sequence[Row]) -> torch.Tensor:
    """Stack rows into (iterations, picked)."""
    device = next((row.device for row in rows if isinstance(row, torch.Tensor)), torch.device("cpu"))
    stacked = torch.stack([row if isinstance(row, torch.Tensor) else _tensor(row, device) for row in rows])
    return stacked.to(_precise(device))


class Moments:
    """Count, sum and sum of squares of the components of a signal.

    ``add`` costs one stack of 0-d tensors and no synchronisation; rows are combined and summed when a decision is due
    or when many wait. A row with a non-finite component is left out of the sums and counted instead.

    Args:
        signal: whose ``combine`` turns the picked scalars into components.
    """

    def __init__(self, signal: Signal) -> None:
        self._combine = signal.combine
        self._components = len(signal.names)
        self._picked = signal.picked
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._rows: list[Row] = []
        self._sums: torch.Tensor | None = None

    def add(self, values: Sequence[Scalar]) -> None:
        """Add the scalars of one iteration. They are copied."""
        self._rows.append(_pack(values))
        if len(self._rows) >= _ROWS_KEPT:
            self._fold()

    def _fold(self) -> None:
        components = torch.stack(self._combine(*_matrix(self._rows).unbind(dim=1)), dim=1)
        finite = torch.isfinite(components).all(dim=1, keepdim=True)
        components = torch.where(finite, components, 0.0)
        good = finite.to(components.dtype)
        sums = torch.cat((good, 1.0 - good, components, components.square()), dim=1).sum(dim=0)
        self._sums = sums if self._sums is None else self._sums.to(sums.device) + sums
        self._rows = []

    def vector(self) -> torch.Tensor:
        """Return (2 + 2 * components,): rows with finite components, rows without, sums, sums of squares."""
        if self._rows:
            self._fold()
        if self._sums is None:
            return torch.zeros(2 + 2 * self._components, dtype=torch.float64)
        return self._sums

    def read(self) -> list[float]:
        """Return ``vector()`` on the host, with one device-to-host read."""
        if self._sums is not None or len(self._rows) != 1:
            values: list[float] = self.vector().tolist()
            return values
        # The most frequent case, a decision at every iteration, is a few float operations once the row is read.
        (row,) = self._rows
        numbers: Sequence[float] = row.tolist() if isinstance(row, torch.Tensor) else row
        try:
            components = self._combine(*numbers)
        except ZeroDivisionError:  # tensors give an infinity or NaN here
            components = (math.nan,)
        if not all(map(math.isfinite, components)):
            return [0.0, 1.0] + [0.0] * (2 * self._components)
        return [1.0, 0.0, *components, *(c * c for c in components)]

    def on_cuda(self) -> bool:
        """Return whether what was added lies on a CUDA device."""
        newest = self._rows[-1] if self._rows else self._sums
        return isinstance(newest, torch.Tensor) and newest.device.type == "cuda"

    def state_dict(self) -> dict[str, Any]:
        """Return rows and sums as lists of floats (one device-to-host read each)."""
        rows = [row.tolist() if isinstance(row, torch.Tensor) else list(row) for row in self._rows]
        return {"rows": rows, "sums": [] if self._sums is None else self._sums.tolist()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned.

        Raises:
            StateError: if it is something else.
        """
        rows = saved.rows(state, "rows", self._picked)
        sums = saved.floats(state, "sums")
        if sums and len(sums) != 2 + 2 * self._components:
            raise saved.StateError(f"state['sums']={state['sums']!r}: expected {2 + 2 * self._components} numbers")
        self._rows = list(rows)
        self._sums = torch.tensor(sums, dtype=torch.float64) if sums else None
