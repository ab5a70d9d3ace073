"""What a law proposes before any limits: a ratio, and a rate if it sets one. Also checks of a law's saved state."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from adaptive_critic import state as saved
from adaptive_critic.laws import FeedbackLaw, Observation, RatedLaw

Law: TypeAlias = "FeedbackLaw[Any] | RatedLaw[Any]"


class Proposal(NamedTuple):
    """Proposal of a law."""

    state: tuple[Any, ...]
    """next state of the law"""
    ratio: float
    """critic updates per generator update"""
    rate: float | None
    """multiplier of the critic's learning rate; None from a law of the ratio alone"""


def propose(law: Law, state: tuple[Any, ...], observation: Observation, ratio: float, rate: float | None) -> Proposal:
    """Return the decision of the law at the current ratio and rate. Changes nothing."""
    if rate is None:
        state, ratio = law.update(state, observation, ratio)  # type: ignore[call-arg, misc]  # of the ratio alone
        return Proposal(state, ratio, None)
    return Proposal(*law.update(state, observation, ratio, rate))  # type: ignore[call-arg]  # of both


def check_goes_on(law: Law, state: tuple[Any, ...], ratio: float, rate: float | None) -> None:
    """Check that the law can decide from this state.

    Raises:
        ValueError: if it can't, or the result is not finite.
    """
    for value in (0.0, 1e6):  # on either side of a law's thresholds
        mean = (value,) * len(law.inputs)
        try:
            after = propose(law, state, Observation(mean, mean), ratio, rate)
        except (ArithmeticError, LookupError) as error:
            raise ValueError(str(error)) from error
        proposed = (after.ratio,) if after.rate is None else (after.ratio, after.rate)
        if not all(map(math.isfinite, (*after.state, *proposed))):
            raise ValueError(f"it leads to {after.state}")


def read_law_state(
    law: Law, state: Mapping[str, Any], initial: float, ratio: float, rate: float | None
) -> tuple[Any, ...]:
    """Return the law's state from the entry ``values``, after checks of its types and of its use by the law.

    Args:
        law: whose state it is.
        state: a decision's state.
        initial: ratio of a new state.
        ratio: ratio that the law would go on with.
        rate: rate that the law would go on with, or None.

    Raises:
        StateError: if it is something else.
    """
    fresh = law.init(initial)
    values = saved.floats(state, "values", len(fresh))
    given = state["values"]
    for name, new, value, raw in zip(getattr(fresh, "_fields", ()), fresh, values, given, strict=True):
        whole = isinstance(new, int)
        if whole and (not isinstance(raw, int) or raw < 0):
            raise saved.StateError(f"state['values']: {name}={raw!r}, expected an int of at least 0")
        if not whole and not math.isfinite(value) and not (math.isnan(value) and math.isnan(new)):
            raise saved.StateError(f"state['values']: {name}={raw!r}, expected a finite number")
    law_state: tuple[Any, ...] = type(fresh)(*given)
    try:
        check_goes_on(law, law_state, ratio, rate)
    except ValueError as error:
        raise saved.StateError(f"state['values']={given!r} is no state of {law!r}: {error}") from None
    return law_state
