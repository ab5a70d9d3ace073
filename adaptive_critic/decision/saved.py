"""Saved state of a feedback decision: its fields, read and checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from adaptive_critic import state as saved
from adaptive_critic.decision.bounds import Bounds
from adaptive_critic.decision.law_state import Law, read_law_state
from adaptive_critic.signals import Signal

_SMALLEST_RATE = 1e-300


class WindowState(NamedTuple):
    """State of a window: observations that wait for the next decision."""

    rows: tuple[tuple[float, ...], ...]
    """scalars of the latest iterations"""
    observed: tuple[int, ...]
    """indices of rows that are observations"""
    sums: tuple[float, ...]
    """sums of earlier observations, empty if there are none"""
    in_flight: tuple[float, ...]
    """sums that were sent one decision earlier, empty if there are none"""
    sent_by: int
    """number of ranks that sent them, 0 for the current number"""


class FeedbackState(NamedTuple):
    """State of :class:`Feedback`."""

    ratio: float
    """real-valued number of critic updates per generator update"""
    rate: float | None
    """multiplier of the critic's learning rate, None for a law of the ratio alone"""
    carry: float
    """rounding error carried over from the iterations so far, in [-1/2, 1/2]"""
    law: tuple[Any, ...]
    """the law's state"""
    since: int
    """iterations since the last decision"""
    elapsed: int
    """iterations since the last decision that had an observation"""
    waited: int
    """iterations so far that came before the first observation"""
    bad_observations: int
    """decisions held because an observation was not finite, or impossible"""
    window: WindowState
    """observations that wait for the next decision"""


def read_state(
    state: Mapping[str, Any],
    steps: int | None,
    law: Law,
    initial: float,
    bounds: Bounds,
    signal: Signal,
    regulates: str,
) -> FeedbackState:
    """Return the state of a decision with this law, checked. The law makes a trial decision from it.

    Args:
        state: what ``state_dict`` of a decision returned.
        steps: number already decided, in states of format 1; else None.
        law: of the decision.
        initial: its ratio at the start.
        bounds: its bounds.
        signal: what its window gathers.
        regulates: name of the regulated quantity.

    Raises:
        StateError: if entries are missing or out of range.
    """
    found = state.get("regulates", regulates)  # early states don't say
    if found != regulates:
        raise saved.StateError(
            f"the state regulates {found!r}, this one regulates {regulates!r}: load it into one with the "
            "same objective (and kind of input), or start anew"
        )
    ratio = saved.number(state, "ratio", 0.0, math.inf)
    carry = saved.number(state, "carry", -0.5, 0.5)
    if steps is not None and not law.whole:
        carry = min(max(carry + steps - ratio, -0.5), 0.5)
    rate = None if bounds.rates is None else saved.number(state, "rate", _SMALLEST_RATE, math.inf)
    return FeedbackState(
        ratio=ratio,
        rate=rate,
        carry=carry,
        law=read_law_state(law, state, initial, *bounds.clamped(ratio, rate)),
        since=saved.integer(state, "since"),
        elapsed=saved.integer(state, "elapsed" if "elapsed" in state else "since"),  # format 1 lacks it
        waited=saved.integer(state, "waited") if "waited" in state else 0,
        bad_observations=saved.integer(state, "bad_observations"),
        window=read_window(state, signal),
    )


def read_window(state: Mapping[str, Any], signal: Signal) -> WindowState:
    """Return the state of a window of this signal, checked.

    Raises:
        StateError: if an entry is missing or out of range.
    """
    moments, length = saved.mapping(state, "moments"), 2 + 2 * len(signal.names)
    rows = saved.rows(moments, "rows", signal.width)
    observed = saved.integers(moments, "observed")
    lowest = 1 if signal.paired else 0
    if list(observed) != sorted(set(observed)) or not all(lowest <= index < len(rows) for index in observed):
        raise saved.StateError(f"state['observed']={list(observed)!r}: expected ascending indices of {len(rows)} rows")
    sums = saved.packed(moments, "sums", length)
    in_flight = saved.packed(state, "in_flight", length + 1)
    in_flight = (*in_flight[:-1], 0.0) if in_flight else ()  # an earlier run's error is not this run's
    sent_by = saved.integer(state, "in_flight_ranks") if "in_flight_ranks" in state else 0  # early states lack it
    return WindowState(tuple(rows), tuple(observed), tuple(sums), in_flight, sent_by)
