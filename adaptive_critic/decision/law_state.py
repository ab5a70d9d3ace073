"""State of a law that another law, or a run, goes on from: checked by letting the law decide from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

from adaptive_critic import state as saved
from adaptive_critic.laws import FeedbackLaw, Observation, RatedLaw

Law: TypeAlias = "FeedbackLaw[Any] | RatedLaw[Any]"


def check_goes_on(law: Law, state: tuple[Any, ...], ratio: float, rate: float | None) -> None:
    """Check that the law can decide from this state.

    Raises:
        ValueError: if it can't, or the result is not finite.
    """
    current = (ratio,) if rate is None else (ratio, rate)
    for value in (0.0, 1e6):  # on either side of a law's thresholds
        mean = (value,) * len(law.inputs)
        try:
            after, *proposed = law.update(state, Observation(mean, mean), *current)
        except (ArithmeticError, LookupError) as error:
            raise ValueError(str(error)) from error
        if not all(map(math.isfinite, (*after, *proposed))):
            raise ValueError(f"it leads to {after}")


def check_replaces(law: Law, old: Law, state: tuple[Any, ...], ratio: float, rate: float | None) -> None:
    """Check that a law can take another one's place and go on from its state.

    Raises:
        TypeError: if it is of another class.
        ValueError: if it can't decide from this state.
    """
    if type(law) is not type(old):
        raise TypeError(
            f"law={law!r}: expected a {type(old).__name__}, such as dataclasses.replace(controller.law, ...); the "
            "state of one law means nothing to another, so that one needs a controller of its own"
        )
    try:
        check_goes_on(law, state, ratio, rate)
    except ValueError as error:
        raise ValueError(f"law={law!r} can't go on from {state}: {error}") from None


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
