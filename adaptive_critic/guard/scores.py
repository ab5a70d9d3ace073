"""Losses and scores that the guard watches: rows of named scalars, read together at a check."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import torch

from adaptive_critic import state as saved
from adaptive_critic.checks import shortened
from adaptive_critic.exchange import Ranks, received, sent
from adaptive_critic.rows import Row, as_tensors, device_of, numbers, pack, precise
from adaptive_critic.step_output import Scalar, StepOutputError, last, scalar

# The order is fixed: saved states have one bit for each name that a row has, then bits for the sizes of updates.
_SCALARS = ("d_real", "d_fake", "d_real_std", "d_fake_std", "g_loss", "g_fake", "d_penalty")


def _last(value: Any, key: str) -> Scalar | None:
    """Return the last entry of an (n,) value, a scalar itself, or None if there is no entry (n = 0)."""
    if isinstance(value, torch.Tensor) and value.ndim == 0:
        return value
    if type(value) is tuple or type(value) is list:
        return value[-1] if value else None
    if isinstance(value, torch.Tensor) and value.shape == (0,):
        return None
    return last({key: value}, key)


def _all(losses: Any) -> Any:
    """Return the losses of all critic updates, (n,). A plain scalar counts as the last one's."""
    if losses is None:
        return ()
    if isinstance(losses, (tuple, list)) or (isinstance(losses, torch.Tensor) and losses.ndim == 1):
        return losses
    return [last({"d_loss": losses}, "d_loss")]


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
        self.ranks = Ranks()
        """ranks of the run"""
        self._known_keys = False  # whether an output has had some of the watched keys
        self.clear()

    def __len__(self) -> int:
        return len(self._rows)

    def clear(self) -> None:
        """Forget all iterations."""
        self._rows: list[Row] = []
        self._names: list[tuple[str, ...]] = []  # of the values of each row; "d_loss" last, once per critic update
        self._error = ""

    def has(self, update: str) -> bool:
        """Return whether an iteration holds the size of this update."""
        return any(update in names for names in self._names)

    def add(self, output: Any, updates: Sequence[torch.Tensor | None] = ()) -> None:
        """Add an iteration.

        Args:
            output: a StepOutput with at least one of the watched keys; after the first that has, n = 0 may leave none.
            updates: the size of an update for each of their names, 0-d, None where there is none.

        Raises:
            StepOutputError: if there is none, or an entry has another shape; with several ranks, at the next ``read``.
        """
        try:
            names, row = self._row(output, updates)
        except StepOutputError as error:
            if self.ranks.count == 1:
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
        given = {key: _last(value, key) for key in _SCALARS if (value := get(key)) is not None}
        named = {key: value for key, value in given.items() if value is not None}
        losses = _all(get("d_loss"))
        empty = not named and len(losses) == 0  # as in an iteration without a critic update, n = 0
        if empty and not given and get("d_loss") is None and not self._known_keys:
            raise StepOutputError(
                f"DivergenceGuard watches {', '.join(_SCALARS)}, d_loss; the training step's output has none of them, "
                f"it has {sorted(map(str, output))} (output_transform= adapts other outputs)"
            )
        self._known_keys = True
        named |= {name: size for name, size in zip(self._updates, updates, strict=True) if size is not None}
        names = *named, *["d_loss"] * len(losses)
        if not names:
            return (), ()
        scalars: list[Any] = list(named.values())
        try:  # hstack takes a tensor (n,) as it is; for 0-d tensors alone, stack is faster
            whole = isinstance(losses, torch.Tensor)
            row = torch.hstack([*scalars, losses]) if whole else torch.stack([*scalars, *losses])
            if row.shape == (len(names),):
                return names, row.detach()
        except (TypeError, RuntimeError):  # floats among them, or several devices, or not scalars
            pass
        values = [*scalars, *losses]
        return names, pack([scalar({name: value}, name) for name, value in zip(names, values, strict=True)])

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
        if self.ranks.count > 1:
            return self._means(loss_scale)
        scale: Row = loss_scale[None] if isinstance(loss_scale, torch.Tensor) else (loss_scale,)
        on_device = isinstance(scale, torch.Tensor)
        *rows, (number,) = numbers([*self._rows, scale]) if on_device else [*numbers(self._rows), scale]
        columns: dict[str, list[float]] = {}
        for names, row in zip(self._names, rows, strict=True):
            for name, value in zip(names, row, strict=True):
                columns.setdefault(name, []).append(value)
        return columns, float(number)

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
        for names, alike in groupby(self._names):
            block = slice(start, start := start + len(list(alike)))
            matrix = torch.stack(as_tensors(self._rows[block], device))
            for name in set(names):
                column, first = known.index(name), names.index(name)
                values[block, column] = matrix[:, first : first + names.count(name)].mean(dim=1)
                there[block, column] = 1.0
        vector = torch.cat((values.flatten(), there.flatten(), torch.as_tensor(loss_scale).to(values).reshape(1)))
        *sums, scales = received(sent(vector, self._error, self.ranks).tolist(), self._error, self.ranks)
        columns: dict[str, list[float]] = {}
        count = self.ranks.count
        for index, (total, having) in enumerate(zip(sums[: len(sums) // 2], sums[len(sums) // 2 :], strict=True)):
            name = known[index % len(known)]
            if 0.0 < having < count:
                raise StepOutputError(
                    f"{name!r} is in the training step's output of {having:.0f} of {count} ranks: all must return "
                    "the same keys"
                )
            if having > 0.0:
                columns.setdefault(name, []).append(total / count)
        return columns, scales / count

    def state_dict(self) -> dict[str, Any]:
        """Return the rows as floats, by one read, bit masks of their names, and the names of the updates."""
        bits = {name: 1 << index for index, name in enumerate(self._known)}
        return {
            "updates": list(self._updates),
            "masks": [sum(bits.get(name, 0) for name in names) for names in self._names],
            "rows": [list(row) for row in numbers(self._rows)],
        }

    def read_state(self, state: Mapping[str, Any]) -> list[tuple[tuple[str, ...], Row]]:
        """Return names and values of the rows in a state, without sizes of updates that are not measured here.

        Raises:
            StateError: if an entry is missing, of the wrong type or out of range.
        """
        rows = saved.sequence(state, "rows", "rows")
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
            own, losses = {name: named[name] for name in self._known if name in named}, row[len(named) :]
            found.append(((*own, *["d_loss"] * len(losses)), (*own.values(), *losses)))
        return found

    def restore(self, rows: Sequence[tuple[tuple[str, ...], Row]]) -> None:
        """Go on from what ``read_state`` returned."""
        self._names, self._rows = [names for names, _ in rows], [row for _, row in rows]
        self._known_keys = True
