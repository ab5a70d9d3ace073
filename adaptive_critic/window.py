"""Rows of scalars on the device: copied in each iteration, read together, summed over ranks, maybe one read late."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import accumulate
from typing import Any, TypeAlias

import torch

from adaptive_critic import distributed
from adaptive_critic.step_output import Scalar, StepOutputError

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
    tensors = [row for row in rows if isinstance(row, torch.Tensor)]
    if not tensors:
        return [row for row in rows if isinstance(row, tuple)]
    if len(tensors) == len(rows):
        try:
            matrix = tensors[0][None] if len(rows) == 1 else torch.stack(tensors)
        except RuntimeError:  # rows of several lengths
            vector = torch.cat(tensors)
        else:
            found: list[Sequence[float]] = _as_floats(matrix).tolist()
            return found
    else:
        vector = torch.cat(as_tensors(rows, device_of(rows)))
    flat: list[float] = _as_floats(vector).tolist()
    ends = list(accumulate(map(len, rows)))
    return [flat[start:end] for start, end in zip((0, *ends), ends, strict=False)]


def _as_floats(tensor: torch.Tensor) -> torch.Tensor:
    return tensor if tensor.is_floating_point() else tensor.to(precise(tensor.device))


def sent(vector: torch.Tensor, error: str, ranks: int) -> torch.Tensor:
    """Return the sums of a vector over the ranks, then the number of ranks with an error. One all_reduce.

    Every rank sends the same number of values, whatever its own step returned. A rank that raised its error alone would
    leave the others waiting for ever, so it sends the error instead.
    """
    vector = torch.cat((vector, vector.new_tensor([1.0 if error else 0.0])))
    return distributed.sum_over_ranks(vector) if ranks > 1 else vector


def received(values: list[float], error: str) -> list[float]:
    """Return the sums from :func:`sent`, read on the host.

    Raises:
        StepOutputError: on every rank, with the first rank's error, if one had an error.
    """
    *sums, errors = values
    if errors > 0.0:
        raise StepOutputError(distributed.first_message(error))
    return sums


class LaggedRead:
    """Returns the vector that was submitted one call earlier.

    On CUDA the copy goes to pinned memory and has a whole decision period to arrive, so that nothing waits for the
    device. The lag is always exactly one call, so decisions do not depend on timing.
    """

    def __init__(self) -> None:
        self._host: torch.Tensor | None = None
        self._arrived: torch.cuda.Event | None = None

    def exchange(self, vector: torch.Tensor) -> list[float] | None:
        """Start copying ``vector``; return the vector submitted before it, None at the first call."""
        earlier = self.pending()
        if vector.device.type == "cuda":
            self._host = torch.empty(vector.shape, dtype=vector.dtype, pin_memory=True)
            self._host.copy_(vector, non_blocking=True)
            self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch does not annotate it
            self._arrived.record()
        else:
            self._host, self._arrived = vector.to("cpu", copy=True), None
        return earlier

    def pending(self) -> list[float] | None:
        """Return the vector on its way, None if there is none."""
        if self._host is None:
            return None
        if self._arrived is not None:
            self._arrived.synchronize()
        values: list[float] = self._host.tolist()
        return values

    def restore(self, values: list[float] | None) -> None:
        """Put back what ``pending`` returned when the state was saved."""
        self._host = None if values is None else torch.tensor(values, dtype=torch.float64)
        self._arrived = None

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes for a copy or a pickle: the numbers, without the CUDA event."""
        values = self.pending()
        return {"_host": None if values is None else torch.tensor(values, dtype=torch.float64), "_arrived": None}
