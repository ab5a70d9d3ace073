"""Exchange of sums: over the ranks of a distributed run, at once or one call later."""

from __future__ import annotations

from typing import Any

import torch

from adaptive_critic.step_output import StepOutputError


class Ranks:
    """Ranks of a run, as they were when it began; here one process alone."""

    count = 1

    def on_cuda(self) -> bool:
        """Return whether ranks exchange tensors on CUDA devices, as NCCL does."""
        return False

    def sum(self, vector: torch.Tensor) -> torch.Tensor:
        """Return the sum over all ranks, the same bits on every rank. One all_reduce."""
        return vector

    def first_message(self, message: str) -> str:
        """Return the first rank's non-empty message, on every rank."""
        return message


def sent(vector: torch.Tensor, error: str, ranks: Ranks) -> torch.Tensor:
    """Return the sums of a vector over the ranks, then the number of ranks with an error. One all_reduce.

    Every rank sends the same number of values, whatever its own step returned. A rank that raised its error alone would
    leave the others waiting for ever, so it sends the error instead.
    """
    return ranks.sum(torch.cat((vector, vector.new_tensor([1.0 if error else 0.0]))))


def received(values: list[float], error: str, ranks: Ranks) -> list[float]:
    """Return the sums from :func:`sent`, read on the host.

    Raises:
        StepOutputError: on every rank, with the first rank's error, if one had an error.
    """
    *sums, errors = values
    if errors > 0.0:
        raise StepOutputError(ranks.first_message(error))
    return sums


class Exchange:
    """Gives the sums of a vector over the ranks, at once or one call later."""

    def __init__(self) -> None:
        self.ranks = Ranks()
        self._read = LaggedRead()
        self.reset()

    def reset(self) -> None:
        """Forget everything for a new run."""
        self._read.restore(None)
        self._sent_by = 0  # number of ranks that sent the vector on its way; 0 for the current number
        self._error = ""

    def fail(self, error: str) -> None:
        """Have the next call raise this on all ranks; of several errors, the first."""
        self._error = self._error or error

    def __call__(self, vector: torch.Tensor, lagged: bool) -> tuple[list[float] | None, int]:
        """Return the sums and the number of ranks that they are over.

        Args:
            vector: this rank's, of the same length on every rank.
            lagged: whether to return the sums of the call before instead, None at the first one.

        Raises:
            StepOutputError: on all ranks, if one of them has failed.
            RuntimeError: if the process group is gone.
        """
        total, ranks = sent(vector, self._error, self.ranks), self.ranks.count
        if lagged:  # the values were sent one call earlier, maybe before a resume on another number of ranks
            values = self._read.exchange(total)
            ranks, self._sent_by = self._sent_by or ranks, ranks
        else:
            values = total.tolist()
        if values is None:
            return None, ranks
        error = self._error
        if values[-1] > 0.0:
            self._error = ""
        return received(values, error, self.ranks), ranks

    @property
    def on_its_way(self) -> tuple[list[float], int]:
        """Sums that were sent and not returned yet, empty if there are none, and the number of ranks that sent them."""
        return self._read.pending() or [], self._sent_by

    def restore(self, values: list[float], sent_by: int) -> None:
        """Put back what was on its way."""
        self._read.restore(values or None)
        self._sent_by = sent_by


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
