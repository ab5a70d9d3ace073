"""The only collectives of the package. Every rank must call each of these at the same point.

They raise a RuntimeError if the process group, which was there before, or another rank is gone.
"""

from __future__ import annotations

import hashlib
from collections import deque
from typing import Any

import ignite.distributed as idist
import torch

from adaptive_critic.exchange import Ranks

# Vectors summed last. A destroyed gloo group of torch 2.3 waits for its threads while it holds the lock that they need
# to free a tensor. It waits for ever if nothing else holds that tensor (pytorch/pytorch#154976).
# Several vectors are kept, since on a busy machine a thread may be some decisions late.
_held: deque[torch.Tensor] = deque(maxlen=8)


def _gone(error: Exception | str) -> RuntimeError:
    return RuntimeError(
        "the ranks of this run can't agree any more: the process group was destroyed, another rank ended, or it does "
        "not take part. Attach the same controllers and guards on every rank, and call destroy_process_group() only "
        f"after trainer.run() has returned on all of them. ({error})"
    )


def world_size() -> int:
    """Return the number of ranks, 1 outside a distributed run."""
    try:
        return int(idist.get_world_size())
    except (RuntimeError, ValueError) as error:
        raise _gone(error) from error


def rank() -> int:
    """Return this process's rank, 0 outside a distributed run."""
    return int(idist.get_rank())


def sum_over_ranks(vector: torch.Tensor) -> torch.Tensor:
    """Return the sum of ``vector`` over all ranks, the same bits on every rank. One all_reduce."""
    if world_size() == 1:
        raise _gone("it was there when the run began")
    _held.append(vector.clone())
    try:
        result = idist.all_reduce(_held[-1], op="SUM")
    except (RuntimeError, ValueError) as error:
        raise _gone(error) from error
    assert isinstance(result, torch.Tensor)
    return result


class AllRanks(Ranks):
    """All ranks, counted when the run begins: a destroyed process group would report one process."""

    def __init__(self) -> None:
        self.count = world_size()

    def on_cuda(self) -> bool:
        """Return whether ranks exchange tensors on CUDA devices."""
        return bool(idist.device().type == "cuda")

    def sum(self, vector: torch.Tensor) -> torch.Tensor:
        """Return the sum over all ranks, by one all_reduce."""
        return sum_over_ranks(vector) if self.count > 1 else vector

    def first_message(self, message: str) -> str:
        """Return the first rank's message that is not empty, with its rank in front of it."""
        return first_message(message)


def full_state(item: Any) -> Any:
    """Return ``item.state_dict()`` on every rank, the whole of it if each rank holds a part.

    A ``ZeroRedundancyOptimizer`` has its whole state on one rank only, the last that it was consolidated on. So it is
    consolidated on each rank in turn, and each takes the state then. Other objects need no collective.
    """
    consolidate = getattr(item, "consolidate_state_dict", None)
    if not callable(consolidate):
        return item.state_dict()
    state = None
    for recipient in range(item.world_size):  # the optimizer's process group may be a part of all ranks
        consolidate(recipient)
        if recipient == item.rank:
            state = item.state_dict()
    return state


def _gather(message: str) -> list[str]:
    if world_size() == 1:
        return [message]
    try:
        # Ignite sizes its buffer by characters and fills it with bytes: in ASCII the two are the same.
        gathered: Any = idist.all_gather(message.encode("ascii", "backslashreplace").decode())
    except (RuntimeError, ValueError) as error:
        raise _gone(error) from error
    return [str(item) for item in gathered]


def first_message(message: str) -> str:
    """Return the first rank's non-empty message, with its rank in front of it, on every rank."""
    messages = _gather(message)
    source = next((index for index, text in enumerate(messages) if text), None)
    return "" if source is None else f"rank {source}: {messages[source]}"


def fingerprint(state: object) -> str:
    """Return a digest of eight letters for a state, since messages between ranks are short."""
    return hashlib.sha256(repr(state).encode()).hexdigest()[:8]


def all_equal(description: str) -> None:
    """Check that all ranks attach the same handler; the ValueError names two that differ, on every rank."""
    _check_equal(description, "are configured differently", "every rank must attach the same controllers and guards")


def same_start(description: str) -> None:
    """Check that all ranks begin a run from the same state; the ValueError names two that differ, on every rank."""
    advice = "load the same checkpoint and set the same law and limits on every rank"
    _check_equal(description, "begin from different states", advice)


def _check_equal(description: str, problem: str, advice: str) -> None:
    descriptions = _gather(description)
    for index, other in enumerate(descriptions):
        if other != descriptions[0]:
            raise ValueError(f"ranks {problem}: rank 0 has {descriptions[0]}, rank {index} has {other}; {advice}")
