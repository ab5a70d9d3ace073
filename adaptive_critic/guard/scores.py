"""Losses and scores that the guard watches: rows of named scalars, read together at a check."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import torch

from adaptive_critic import state as saved
from adaptive_critic.checks import shortened
from adaptive_critic.step_output import Scalar, StepOutputError, last, scalar, tensor_entry
from adaptive_critic.window import Row, as_tensors, device_of, numbers, pack, precise, received, sent

__all__ = ["Scores"]

# The order is fixed: saved states have one bit for each name that a row has, then bits for the sizes of updates.
_SCALARS = ("d_real", "d_fake", "d_real_std", "d_fake_std", "g_loss", "g_fake", "d_penalty")


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


def _pack(names: Sequence[str], values: list[Any], losses: torch.Tensor | None) -> Row:
    """Copy the scalars of one iteration, and losses that are in one tensor (n,) already, into a row."""
    try:
        row = (torch.stack(values) if losses is None else torch.hstack([*values, losses])).detach()
        if row.ndim == 1 and (losses is None or row.numel() == len(values) + losses.numel()):
            return row
    except (TypeError, RuntimeError):  # floats among them, or several devices, or not scalars
        pass
    if losses is not None:
        values = [*values, *losses.unbind()]
    named = [*names, *["d_loss"] * (len(values) - len(names))]
    return pack([scalar({name: value}, name) for name, value in zip(named, values, strict=True)])


class Scores:
    """Gathers the watched values of the iterations since the last check.

    ``add`` costs one stack of 0-d tensors, which copies, and no synchronisation. ``read`` costs one read on the host
    and, in a distributed run, one all_reduce. Values become means over the ranks, so a NaN or an infinity on one rank
    makes the mean non-finite. ``read`` also raises the error of a refused output, on all ranks.

    Args:
        updates: names of the update sizes that ``add`` gets beside the output.
    """

    def __init__(self, updates: Sequence[str] = ()) -> None:
        self._updates = list(updates)
        self._known = (*_SCALARS, *updates)
        self.ranks = 1
        """number of ranks, read once when the run starts: a destroyed process group would report one process"""
        self.clear()

    def __len__(self) -> int:
        return len(self._rows)

    def clear(self) -> None:
        """Forget all iterations."""
        self._rows: list[Row] = []
        self._names: list[tuple[str, ...]] = []  # names of the scalars of each row; the critic's losses follow them
        self._error = ""

    def has(self, update: str) -> bool:
        """Return whether an iteration holds the size of this update."""
        return any(update in names for names in self._names)

    def add(self, output: Any, updates: Sequence[torch.Tensor | None] = ()) -> None:
        """Add an iteration.

        Args:
            output: a StepOutput with at least one of the watched keys.
            updates: the size of an update for each of their names, 0-d, None where there is none.

        Raises:
            StepOutputError: if there is none, or an entry has another shape; with several ranks, at the next ``read``.
        """
        try:
            names, row = self._row(output, updates)
        except StepOutputError as error:
            if self.ranks == 1:
                raise
            names, row, self._error = (), (), self._error or str(error)
        self._names.append(names)
        self._rows.append(row)

    def _row(self, output: Any, updates: Sequence[torch.Tensor | None]) -> tuple[tuple[str, ...], Row]:
        try:
            get = output.get
        except AttributeError:
            raise StepOutputError(
                f"DivergenceGuard needs a dict from the training step, got {type(output).__name__} {output!r}; "
                "does the step return its output? (output_transform= adapts other outputs)"
            ) from None
        named: dict[str, Any] = {}
        for key in _SCALARS:
            value = get(key)
            if value is not None:
                value = _last(value, key)
                if value is not None:
                    named[key] = value
        losses = get("d_loss")
        vector, entries = None, []
        if isinstance(losses, torch.Tensor) and losses.ndim == 1:
            vector = losses if losses.numel() else None
        elif isinstance(losses, (tuple, list)):
            entries = list(losses)
        elif losses is not None:
            entries = [last({"d_loss": losses}, "d_loss")]  # a plain scalar counts as the last critic update's
        if not named and not entries and vector is None:
            raise StepOutputError(
                f"DivergenceGuard watches {', '.join(_SCALARS)}, d_loss; the training step's output has none of them, "
                f"it has {sorted(map(str, output))} (output_transform= adapts other outputs)"
            )
        named |= {name: size for name, size in zip(self._updates, updates, strict=True) if size is not None}
        names = tuple(named)
        return names, _pack(names, [*named.values(), *entries], vector)

    @property
    def device(self) -> torch.device:
        """Device of the values."""
        return device_of(self._rows)

    def read(self, loss_scale: Scalar = math.inf) -> tuple[dict[str, list[float]], float]:
        """Return the available values of all iterations by name, and the loss scale, as means over the ranks.

        Raises:
            StepOutputError: on every rank, if one rank can't read its output.
            RuntimeError: if the process group is gone.
        """
        if self.ranks > 1:
            return self._means(loss_scale)
        columns: dict[str, list[float]] = {}
        scale: Row = loss_scale[None] if isinstance(loss_scale, torch.Tensor) else (loss_scale,)
        on_device = isinstance(scale, torch.Tensor)
        rows = numbers([*self._rows, scale]) if on_device else [*numbers(self._rows), scale]
        for names, row in zip(self._names, rows, strict=False):
            for name, value in zip(names, row, strict=False):
                columns.setdefault(name, []).append(value)
            if len(row) > len(names):
                columns.setdefault("d_loss", []).extend(row[len(names) :])
        return columns, float(rows[-1][0])

    def _means(self, loss_scale: Scalar) -> tuple[dict[str, list[float]], float]:
        """Return means over the ranks, by one all_reduce of the same length on each rank.

        The losses of an iteration's critic updates become their mean. If their number decided the length of the
        message, a rank that lacks a key would end the processes of the other ranks.
        """
        known, device = (*self._known, "d_loss"), device_of(self._rows)
        shape = (2, len(self._rows), len(known))
        values, there = torch.zeros(shape, dtype=precise(device), device=device).unbind()
        start = 0
        # Rows that look alike are copied together; n changes seldom within a window.
        for (names, length), alike in groupby(zip(self._names, map(len, self._rows), strict=True)):
            block = slice(start, start := start + len(list(alike)))
            if length == 0:
                continue
            matrix = torch.stack(as_tensors(self._rows[block], device))
            for column, name in enumerate(names):
                values[block, known.index(name)] = matrix[:, column]
                there[block, known.index(name)] = 1.0
            if length > len(names):
                values[block, -1] = matrix[:, len(names) :].mean(dim=1)
                there[block, -1] = 1.0
        vector = torch.cat((values.flatten(), there.flatten(), torch.as_tensor(loss_scale).to(values).reshape(1)))
        *sums, scales = received(sent(vector, self._error, self.ranks).tolist(), self._error)
        columns: dict[str, list[float]] = {}
        for index, (total, having) in enumerate(zip(sums[: len(sums) // 2], sums[len(sums) // 2 :], strict=True)):
            name = known[index % len(known)]
            if 0.0 < having < self.ranks:
                raise StepOutputError(
                    f"{name!r} is in the training step's output of {having:.0f} of {self.ranks} ranks: all must return "
                    "the same keys"
                )
            if having > 0.0:
                columns.setdefault(name, []).append(total / self.ranks)
        return columns, scales / self.ranks

    def state_dict(self) -> dict[str, Any]:
        """Return the rows as floats, by one read, bit masks of their names, and the names of the updates."""
        return {
            "updates": list(self._updates),
            "masks": [sum(1 << self._known.index(name) for name in names) for names in self._names],
            "rows": [list(row) for row in numbers(self._rows)],
        }

    def read_state(self, state: Mapping[str, Any]) -> list[tuple[tuple[str, ...], Row]]:
        """Return names and values of the rows that ``state_dict`` wrote.

        Leaves out sizes of updates that are not measured here.

        Raises:
            StateError: if an entry is missing, of the wrong type or out of range.
        """
        rows = saved.entry(state, "rows")
        if not isinstance(rows, (list, tuple)):
            raise saved.StateError(f"state['rows']={shortened(rows)}: expected a list")
        masks = saved.integers(state, "masks", len(rows))
        updates = state.get("updates", ())  # states from before updates were measured have none
        texts = isinstance(updates, (list, tuple)) and all(isinstance(name, str) for name in updates)
        if not texts or len(set(updates)) < len(updates):
            raise saved.StateError(f"state['updates']={shortened(updates)}: expected names of updates")
        theirs = (*_SCALARS, *updates)
        found: list[tuple[tuple[str, ...], Row]] = []
        for mask, entry in zip(masks, rows, strict=True):
            row = saved.floats({"row": entry}, "row")
            if mask >= 1 << len(theirs) or len(row) < mask.bit_count():
                raise saved.StateError(f"the row {shortened(row)} of the window can't have the mask {shortened(mask)}")
            named = dict(zip([name for bit, name in enumerate(theirs) if mask >> bit & 1], row, strict=False))
            own = {name: named[name] for name in self._known if name in named}
            found.append((tuple(own), (*own.values(), *row[len(named) :])))
        return found

    def restore(self, rows: Sequence[tuple[tuple[str, ...], Row]]) -> None:
        """Go on from what ``read_state`` returned."""
        self._names, self._rows = [names for names, _ in rows], [row for _, row in rows]
