"""What the ranks tell each other at a check: one message, as long on every rank, whatever each one's step returned."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import torch

from adaptive_critic import distributed
from adaptive_critic.moments import Row
from adaptive_critic.step_output import StepOutputError

__all__ = ["layouts", "means_over_ranks"]


def layouts(rows: Sequence[Row], masks: Sequence[int]) -> list[tuple[int, int, int]]:
    """Return (mask, length, count) of each run of rows that look alike; n changes seldom within a window."""
    alike = zip(masks, map(len, rows), strict=True)
    return [(mask, length, len(list(group))) for (mask, length), group in groupby(alike)]


def means_over_ranks(
    rows: Sequence[Row], masks: Sequence[int], names: Sequence[str], error: str, ranks: int, loss_scale: float
) -> tuple[dict[str, list[float]], float]:
    """Return the values of all iterations by name (those that there are), and the loss scale: means over the ranks.

    One all_reduce.

    The losses of an iteration's critic updates become their mean: their number must not decide the message's length,
    or a rank that lacks a key would end the other ranks' processes.

    Args:
        rows: of each iteration, the scalars that its mask tells, then the critic's losses.
        masks: bit i says whether the scalar of ``names[i]`` is there.
        names: of the scalars, and of the losses at the end.
        error: what this rank's step did wrong, empty if nothing.
        ranks: how many there are.
        loss_scale: this rank's.

    Raises:
        StepOutputError: on every rank, if one has an error, or some have a value in an iteration and others don't.
        RuntimeError: if the process group is gone.
    """
    tensors = [row for row in rows if isinstance(row, torch.Tensor)]
    device = tensors[-1].device if tensors else torch.device("cpu")
    dtype = torch.float32 if device.type == "mps" else torch.float64
    width = len(names)
    values, there = torch.zeros(2, len(rows), width, dtype=dtype, device=device).unbind()
    start = 0
    for mask, length, count in layouts(rows, masks):
        block = slice(start, start + count)
        start += count
        if length == 0:
            continue
        matrix = torch.stack([torch.as_tensor(row, dtype=dtype, device=device) for row in rows[block]])
        scalars = [bit for bit in range(width - 1) if mask >> bit & 1]
        for column, bit in enumerate(scalars):
            values[block, bit] = matrix[:, column]
            there[block, bit] = 1.0
        if length > len(scalars):
            values[block, -1] = matrix[:, len(scalars) :].mean(dim=1)
            there[block, -1] = 1.0
    last = torch.tensor([loss_scale, 1.0 if error else 0.0], dtype=dtype, device=device)
    *sums, scales, errors = distributed.sum_over_ranks(torch.cat((values.flatten(), there.flatten(), last))).tolist()
    if errors > 0.0:
        raise StepOutputError(distributed.first_message(error))
    columns: dict[str, list[float]] = {}
    for index, (total, having) in enumerate(zip(sums[: len(sums) // 2], sums[len(sums) // 2 :], strict=True)):
        name = names[index % width]
        if 0.0 < having < ranks:
            raise StepOutputError(
                f"{name!r} is in the training step's output of {having:.0f} of {ranks} ranks: all must return the same "
                "keys"
            )
        if having > 0.0:
            columns.setdefault(name, []).append(total / ranks)
    return columns, scales / ranks
