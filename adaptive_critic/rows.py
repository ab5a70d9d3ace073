"""Rows of scalars on the device: copied in each iteration, read together."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import reduce
from itertools import accumulate
from typing import Any, TypeAlias

import torch

from adaptive_critic.step_output import Scalar

Row: TypeAlias = "torch.Tensor | tuple[float, ...]"
"""copied scalars of one iteration: a tensor (n,), or floats if none of them is a tensor"""


def precise(device: torch.device) -> torch.dtype:
    """Return the data type for sums."""
    return torch.float32 if device.type == "mps" else torch.float64  # MPS has no float64


def pack(values: Sequence[Scalar]) -> Row:
    """Copy scalars into one row: one stack for tensors, no tensor at all for floats.

    A copy is needed, since steps may write into the same buffers at every iteration.
    """
    if isinstance(values[0], torch.Tensor):
        try:
            row = torch.stack(values)  # type: ignore[arg-type]  # a TypeError if there are floats among them
        except (TypeError, RuntimeError):  # also tensors on several devices
            pass
        else:
            return row.detach() if row.requires_grad else row
    tensors = [value for value in values if isinstance(value, torch.Tensor)]
    if not tensors:
        return tuple(float(value) for value in values)
    device = tensors[0].device
    # A float among tensors may exceed the range of their data type.
    least = precise(device) if len(tensors) < len(values) else torch.float32
    dtype = reduce(torch.promote_types, (tensor.dtype for tensor in tensors), least)
    return torch.stack([torch.as_tensor(value, dtype=dtype, device=device) for value in values]).detach()


def device_of(rows: Sequence[Row]) -> torch.device:
    """Return the device of the latest row that is on one."""
    return next((row.device for row in reversed(rows) if isinstance(row, torch.Tensor)), torch.device("cpu"))


def as_tensors(rows: Sequence[Row], device: torch.device) -> list[torch.Tensor]:
    """Return the rows on the device, in the data type for sums."""
    return [torch.as_tensor(row, dtype=precise(device), device=device) for row in rows]


def numbers(rows: Sequence[Row]) -> list[Sequence[float]]:
    """Return the rows on the host, with at most one device-to-host read."""
    found: torch.Tensor | None = None
    if rows and isinstance(rows[0], torch.Tensor):
        with suppress(TypeError, RuntimeError):  # floats among them, or rows of several lengths
            found = rows[0][None] if len(rows) == 1 else torch.stack(rows)  # type: ignore[arg-type]
    if found is None:
        tensors = [row for row in rows if isinstance(row, torch.Tensor)]
        if not tensors:
            return [row for row in rows if isinstance(row, tuple)]
        found = torch.cat(tensors if len(tensors) == len(rows) else as_tensors(rows, device_of(rows)))
    if not found.is_floating_point():
        found = found.to(precise(found.device))
    values: list[Any] = found.tolist()
    if found.ndim == 2:
        return values
    ends = list(accumulate(map(len, rows)))
    return [values[start:end] for start, end in zip((0, *ends), ends, strict=False)]
