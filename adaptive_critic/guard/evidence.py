"""Summary of the iterations between two checks, which the rules of divergence look at."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

LEVELS = ("gap", "spread", "d_loss", "d_penalty")
"""levels watched for explosion; a constant added to the critic changes none of them, or only the loss"""


class Evidence(NamedTuple):
    """Summary of the iterations since the last check."""

    non_finite: tuple[str, ...]
    """names whose values include a NaN or an infinity, or whose level is too large for a float"""
    levels: dict[str, float]
    """medians of abs(gap), of the larger spread, of abs(d_loss) and of abs(d_penalty), where there are values"""
    peaks: dict[str, float]
    """the largest value behind each level"""
    updates: dict[str, float]
    """median size of the updates of each optimizer, as a share of the norm of its weights"""
    gap: tuple[float, float] | None
    """mean of the gap and its standard error; None with fewer than two critic updates"""
    idle: bool | None = None
    """whether no optimizer made a step despite critic updates; None if not known"""
    loss_scale: float = math.inf
    """scale of the losses under a gradient scaler, infinite without one"""


def update_of(optimizer: str) -> str:
    """Return the name of this optimizer's updates in reports and states."""
    return f"update of {optimizer}"


def summarise(
    columns: Mapping[str, Sequence[float]],
    updates: Mapping[str, Sequence[float]] | None = None,
    loss_scale: float = math.inf,
) -> Evidence:
    """Summarise the values of the iterations since the last check.

    Args:
        columns: values by name: ``d_loss`` of every critic update, the critic's other entries of each iteration's last
            one, ``g_loss`` and ``g_fake`` of each iteration. Any may be absent.
        updates: sizes of each optimizer's updates, as shares of the norm of its weights; empty if it made no step.
        loss_scale: as in :class:`Evidence`.
    """
    non_finite = tuple(
        name
        for name, values in columns.items()
        if not math.isfinite(sum(values)) and not all(map(math.isfinite, values))  # a finite sum is the frequent case
    )
    if non_finite:
        return Evidence(non_finite, {}, {}, {}, None)
    gaps = [real - fake for real, fake in zip(columns.get("d_real", ()), columns.get("d_fake", ()), strict=False)]
    spreads = [max(pair) for pair in zip(columns.get("d_real_std", ()), columns.get("d_fake_std", ()), strict=False)]
    watched = (gaps, spreads, columns.get("d_loss", ()), columns.get("d_penalty", ()))
    sizes = {name: [abs(value) for value in values] for name, values in zip(LEVELS, watched, strict=True) if values}
    levels = {name: median(values) for name, values in sizes.items()}
    peaks = {name: max(values) for name, values in sizes.items()}
    # A size is not finite if all weights were 0, or are infinite on purpose. A size of 0 predicts no later size.
    moved = {name: [size for size in sizes if 0.0 < size < math.inf] for name, sizes in (updates or {}).items()}
    moves = {name: median(sizes) for name, sizes in moved.items() if sizes}
    reported = levels | {update_of(name): size for name, size in moves.items()}
    overflowed = tuple(name for name, level in reported.items() if not level < math.inf)
    if overflowed:
        return Evidence(overflowed, {}, {}, {}, None)
    trained = columns.get("d_loss") or columns.get("d_real")
    idle = not any(updates.values()) if updates and trained else None
    return Evidence((), levels, peaks, moves, _mean_and_error(gaps) if len(gaps) > 1 else None, idle, loss_scale)


def _mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and its standard error (statistics.stdev is exact and slow; squares overflow, a distance not)."""
    count = len(values)
    mean = math.fsum([value / count for value in values])
    return mean, math.dist(values, [mean] * count) / math.sqrt(count * (count - 1))
