"""Reading a packed vector from the device: at once, or one decision late and without waiting."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["LaggedRead"]


class LaggedRead:
    """Hands out the vector that was submitted one call earlier.

    On CUDA the copy goes to pinned memory and has had a whole decision period to arrive, so that nothing waits for the
    device. The lag is always exactly one call, so decisions do not depend on timing.
    """

    def __init__(self) -> None:
        self._host: torch.Tensor | None = None
        self._arrived: torch.cuda.Event | None = None

    def exchange(self, vector: torch.Tensor) -> list[float] | None:
        """Start copying ``vector``, return the one submitted before it, None at the first call."""
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
        """Return what a copy or a pickle holds: the numbers, since an event can be neither."""
        values = self.pending()
        return {"_host": None if values is None else torch.tensor(values, dtype=torch.float64), "_arrived": None}
