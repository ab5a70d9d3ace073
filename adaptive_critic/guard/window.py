"""Gathering the losses and scores of some iterations: one copy each, one device-to-host read for all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import torch

from adaptive_critic import state as saved
from adaptive_critic.checks import shortened
from adaptive_critic.guard.sharing import layouts, means_over_ranks
from adaptive_critic.moments import Row
from adaptive_critic.step_output import Scalar, StepOutputError, last, scalar, tensor_entry

__all__ = ["ScoreWindow"]

# The scalars of a row, in order; sizes of updates follow, then the entries of d_loss. Bit i of its mask says whether
# the i-th is there. Saved masks are read by later releases: a new scalar goes behind the sizes, of any number.
_SCALARS = ("d_real", "d_fake", "d_real_std", "d_fake_std", "g_loss", "g_fake", "d_penalty")
_BITS = tuple((1 << index, key) for index, key in enumerate(_SCALARS))
_WATCHED = (*_SCALARS, "d_loss")


def _precise(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type == "mps" else torch.float64  # MPS has no float64


def _pack(values: list[Any], vector: torch.Tensor | None, mask: int, bits: Sequence[tuple[int, str]]) -> Row:
    """Copy the scalars of one iteration, and losses that are in one tensor (n,) already, into a row."""
    try:
        row = (torch.stack(values) if vector is None else torch.hstack([*values, vector])).detach()
        if row.ndim == 1 and (vector is None or row.numel() == len(values) + vector.numel()):
            return row
    except (TypeError, RuntimeError):  # floats among them, or several devices, or not scalars
        pass
    if vector is not None:
        values = [*values, *vector.unbind()]
    names = [key for bit, key in bits if mask & bit]
    names += ["d_loss"] * (len(values) - len(names))
    scalars = [scalar({name: value}, name) for name, value in zip(names, values, strict=True)]
    tensors = [value for value in scalars if isinstance(value, torch.Tensor)]
    if not tensors:
        return tuple(map(float, scalars))
    device = tensors[0].device
    # A float among tensors may be beyond their range.
    least = _precise(device) if len(tensors) < len(scalars) else torch.float32
    dtype = reduce(torch.promote_types, (tensor.dtype for tensor in tensors), least)
    return torch.stack([torch.as_tensor(value, dtype=dtype, device=device) for value in scalars]).detach()


def _entries(value: Any) -> list[Any]:
    """Return the entries of ``d_loss``, one for each critic update; a plain scalar counts as the last one's."""
    if isinstance(value, (tuple, list)):
        return list(value)
    return [last({"d_loss": value}, "d_loss")]


def _last(value: Any, key: str) -> Scalar | None:
    """Return the last entry of an (n,) value, a scalar itself, or None if there is no entry (n = 0)."""
    if isinstance(value, torch.Tensor) and value.ndim == 0:
        return value
    entry = tensor_entry(value, -1)
    if entry is not None:
        return entry
    if type(value) is tuple or type(value) is list:
        return value[-1] if value else None
    if isinstance(value, torch.Tensor) and value.ndim == 1:
        return None
    return last({key: value}, key)


class ScoreWindow:
    """The watched values of the iterations since the last check.

    ``add`` costs one stack of 0-d tensors, which copies, and no synchronisation. ``read`` is one read on the host and,
    in a distributed run, one all_reduce: values become means over the ranks, and a NaN or an infinity on one rank makes
    the mean of all of them non-finite. An output that is refused is raised there too, on all ranks.

    Args:
        updates: names of what ``add`` is given beside the output.
    """

    def __init__(self, updates: Sequence[str] = ()) -> None:
        self._updates = list(updates)
        self._update_bits = tuple(1 << index for index, _ in enumerate(updates, start=len(_SCALARS)))
        self._bits = (*_BITS, *zip(self._update_bits, updates, strict=True))
        self.ranks = 1
        """ranks of the run, set when it begins and not asked for again: a group that is gone looks like one process"""
        self._rows: list[Row] = []
        self._masks: list[int] = []
        self._error = ""

    def __len__(self) -> int:
        return len(self._masks)

    def clear(self) -> None:
        """Forget all iterations."""
        self._rows, self._masks, self._error = [], [], ""

    def has(self, update: str) -> bool:
        """Return whether an iteration holds the size of this update."""
        bit = self._update_bits[self._updates.index(update)]
        return any(mask & bit for mask in self._masks)

    def add(self, output: Any, updates: Sequence[torch.Tensor | None] = ()) -> None:
        """Add an iteration.

        Args:
            output: a StepOutput with at least one of the watched keys.
            updates: the size of an update for each of their names, 0-d, None where there is none.

        Raises:
            StepOutputError: if there is none, or an entry has another shape; with several ranks, at the next ``read``.
        """
        try:
            row, mask = self._row(output, updates)
        except StepOutputError as error:
            if self.ranks == 1:
                raise
            row, mask, self._error = (), 0, self._error or str(error)
        self._rows.append(row)
        self._masks.append(mask)

    def _row(self, output: Any, updates: Sequence[torch.Tensor | None]) -> tuple[Row, int]:
        try:
            get = output.get
        except AttributeError:
            raise StepOutputError(
                f"DivergenceGuard needs a dict from the training step, got {type(output).__name__} {output!r}; "
                "does the step return its output? (output_transform= adapts other outputs)"
            ) from None
        values: list[Any] = []
        mask = 0
        for bit, key in _BITS:
            value = get(key)
            if value is not None:
                value = _last(value, key)
                if value is not None:
                    values.append(value)
                    mask |= bit
        watched = len(values)
        for bit, size in zip(self._update_bits, updates, strict=True):
            if size is not None:
                values.append(size)
                mask |= bit
        scalars = len(values)
        vector = None
        losses = get("d_loss")
        if isinstance(losses, torch.Tensor) and losses.ndim == 1:
            vector = losses if losses.numel() else None
        elif losses is not None:
            values += _entries(losses)
        if not watched and len(values) == scalars and vector is None:
            raise StepOutputError(
                f"DivergenceGuard watches {', '.join(_WATCHED)}; the training step's output has none of them, it has "
                f"{sorted(map(str, output))} (output_transform= adapts other outputs)"
            )
        return _pack(values, vector, mask, self._bits), mask

    def read(self, loss_scale: float = math.inf) -> tuple[dict[str, list[float]], float]:
        """Return the values of all iterations by name (those that there are), and the loss scale: means over the ranks.

        Raises:
            StepOutputError: on every rank, if one was given an output that it can't read.
            RuntimeError: if the process group is gone.
        """
        if self.ranks > 1:
            names = (*(name for _, name in self._bits), "d_loss")
            return means_over_ranks(self._rows, self._masks, names, self._error, self.ranks, loss_scale)
        flat = self._flat()
        columns: dict[str, list[float]] = {}
        start = 0
        for mask, length, count in layouts(self._rows, self._masks):
            block = flat[start : start + length * count]
            start += length * count
            column = 0
            for bit, key in self._bits:
                if mask & bit:
                    columns.setdefault(key, []).extend(block[column::length])
                    column += 1
            for loss in range(column, length):
                columns.setdefault("d_loss", []).extend(block[loss::length])
        return columns, loss_scale

    def _flat(self) -> list[float]:
        tensors = [row for row in self._rows if isinstance(row, torch.Tensor)]
        if not tensors:
            return [value for row in self._rows for value in row]
        device = tensors[-1].device
        dtype = _precise(device)
        if len(tensors) == len(self._rows):
            vector = torch.cat(tensors).to(dtype)
        else:
            vector = torch.cat([torch.as_tensor(row, dtype=dtype, device=device) for row in self._rows])
        values: list[float] = vector.tolist()
        return values

    def state_dict(self) -> dict[str, Any]:
        """Return masks and rows as ints and floats (one device-to-host read for each row), and what updates are of."""
        return {
            "updates": list(self._updates),
            "masks": list(self._masks),
            "rows": [row.tolist() if isinstance(row, torch.Tensor) else list(row) for row in self._rows],
        }

    def read_state(self, state: Mapping[str, Any]) -> tuple[list[int], list[tuple[float, ...]]]:
        """Return the masks and rows of a state that ``state_dict`` wrote.

        Raises:
            StateError: if an entry is missing, of the wrong type or out of range.
        """
        rows = saved.entry(state, "rows")
        if not isinstance(rows, (list, tuple)):
            raise saved.StateError(f"state['rows']={shortened(rows)}: expected a list")
        masks = saved.integers(state, "masks", len(rows))
        named = {str(index): row for index, row in enumerate(rows)}
        updates = state.get("updates", ())  # states from before updates were measured have none
        texts = isinstance(updates, (list, tuple)) and all(isinstance(name, str) for name in updates)
        if not texts or len(set(updates)) < len(updates):
            raise saved.StateError(f"state['updates']={shortened(updates)}: expected names of updates")
        found = []
        for mask, row in zip(masks, [saved.floats(named, key) for key in named], strict=True):
            fits = self.adopted(mask, row, updates)
            if fits is None:
                raise saved.StateError(f"the row {shortened(row)} of the window can't have the mask {shortened(mask)}")
            found.append(fits)
        return [mask for mask, _ in found], [row for _, row in found]

    def restore(self, masks: Sequence[int], rows: Sequence[tuple[float, ...]]) -> None:
        """Put what ``read_state`` returned in force."""
        self._masks, self._rows = list(masks), list(rows)

    def adopted(self, mask: int, row: Sequence[float], updates: Sequence[str]) -> tuple[int, tuple[float, ...]] | None:
        """Return a saved row as one of this window's, or None if no row of this length can have the mask.

        Args:
            mask: of the row.
            row: as it was saved.
            updates: names that the saved window had, in order; sizes of others than this window's are left out.
        """
        if not 0 <= mask < 1 << (len(_SCALARS) + len(updates)) or len(row) < mask.bit_count():
            return None
        own = mask & ((1 << len(_SCALARS)) - 1)
        scalars, rest = row[: own.bit_count()], iter(row[own.bit_count() :])
        there = [name for index, name in enumerate(updates, start=len(_SCALARS)) if mask >> index & 1]
        sizes = {name: next(rest) for name in there}
        known = [
            (bit, sizes[name]) for bit, name in zip(self._update_bits, self._updates, strict=True) if name in sizes
        ]
        return own | sum(bit for bit, _ in known), (*scalars, *(size for _, size in known), *rest)
