"""Reading entries of a state dict: a checkpoint is data, and each entry is checked before anything is changed.

Each reader raises a StateError that quotes the entry, if it is missing, of another type or out of range.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from adaptive_critic.checks import LARGEST, shortened


class StateError(ValueError):
    """A state dict can't be loaded. Nothing was changed; the message names the fault."""


def entry(state: Mapping[str, Any], key: str) -> Any:
    """Return the entry ``key``, of any type."""
    if key not in state:
        raise StateError(f"the state has no {key!r}; it has {shortened(sorted(map(str, state)))}")
    return state[key]


def header(state: Any, handler: str, version: int) -> Mapping[str, Any]:
    """Return ``state`` if it is one of ``handler``, in a format not newer than ``version``."""
    if not isinstance(state, Mapping):
        raise StateError(f"expected the dict that {handler}.state_dict() returned, got {type(state).__name__}")
    if "handler" not in state:
        if "param_groups" in state:
            raise StateError(
                f"this is the state of an optimizer: expected the dict that {handler}.state_dict() returned"
            )
        if state and all(hasattr(value, "shape") for value in state.values()):
            raise StateError(f"this is the state of a module: expected the dict that {handler}.state_dict() returned")
    saved = entry(state, "handler")
    if saved != handler:
        raise StateError(f"this is a state of {shortened(saved)}, it can't be loaded into {handler}")
    found = integer(state, "version", at_least=1)
    if found > version:
        raise StateError(
            f"the state has format version {found}, this release reads up to {version}: upgrade adaptive_critic"
        )
    return state


def mapping(state: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the entry ``key``, a dict."""
    value = entry(state, key)
    if not isinstance(value, Mapping):
        raise StateError(f"state[{key!r}]={shortened(value)}: expected a dict")
    return value


def integer(state: Mapping[str, Any], key: str, at_least: int = 0) -> int:
    """Return the entry ``key``, an int of at least ``at_least`` and at most 2**63."""
    value = entry(state, key)
    if isinstance(value, bool) or not isinstance(value, int) or not at_least <= value <= LARGEST:
        raise StateError(f"state[{key!r}]={shortened(value)}: expected an int of at least {at_least}, at most 2**63")
    return value


def number(state: Mapping[str, Any], key: str, lowest: float, highest: float) -> float:
    """Return the entry ``key``, a finite number in [lowest, highest]."""
    value = entry(state, key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not lowest <= value <= highest:
        raise StateError(f"state[{key!r}]={shortened(value)}: expected a number in [{lowest:g}, {highest:g}]")
    (result,) = _floats([value], f"state[{key!r}]", 1)
    if not math.isfinite(result):
        raise StateError(f"state[{key!r}]={shortened(value)}: expected a finite number")
    return result


def sequence(state: Mapping[str, Any], key: str, of: str) -> Sequence[Any]:
    """Return the entry ``key``, a list; ``of`` says of what, for the error."""
    return _sequence(entry(state, key), f"state[{key!r}]", of, None)


def _sequence(value: Any, name: str, of: str, length: int | None) -> Sequence[Any]:
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise StateError(f"{name}={shortened(value)}: expected a list of {of}")
    if length is not None and len(value) != length:
        raise StateError(f"{name}={shortened(value)}: expected {length} {of}, got {len(value)}")
    return value


def floats(state: Mapping[str, Any], key: str, length: int | None = None) -> tuple[float, ...]:
    """Return the entry ``key``, a list of numbers (NaN and infinities included), of ``length`` if that is given."""
    return _floats(entry(state, key), f"state[{key!r}]", length)


def _floats(value: Any, name: str, length: int | None) -> tuple[float, ...]:
    for item in _sequence(value, name, "numbers", length):
        if isinstance(item, bool) or not isinstance(item, (int, float)):
            raise StateError(
                f"{name}={shortened(value)}: expected numbers, {shortened(item)} is a {type(item).__name__}"
            )
    try:
        return tuple(float(item) for item in value)
    except OverflowError:
        raise StateError(f"{name}={shortened(value)}: a number is too large") from None


def packed(state: Mapping[str, Any], key: str, length: int) -> tuple[float, ...]:
    """Return the entry ``key``, empty or ``length`` numbers, of which the first two are counts."""
    values = floats(state, key)
    if len(values) not in (0, length):
        raise StateError(f"state[{key!r}]={shortened(state[key])}: expected no numbers or {length}, got {len(values)}")
    for count in values[:2]:
        if not (count >= 0.0 and count.is_integer()):
            raise StateError(f"state[{key!r}]={shortened(state[key])}: expected counts in front, {count!r} is none")
    return values


def rows(state: Mapping[str, Any], key: str, length: int, other: int | None = None) -> list[tuple[float, ...]]:
    """Return the entry ``key``, a list of lists of ``length`` numbers, or of ``other``."""
    found = sequence(state, key, "lists of numbers")
    lengths = [other if isinstance(row, Sequence) and len(row) == other else length for row in found]
    return [_floats(row, f"state[{key!r}][{at}]", lengths[at]) for at, row in enumerate(found)]


def integers(state: Mapping[str, Any], key: str, length: int | None = None) -> tuple[int, ...]:
    """Return the entry ``key``, a list of ints of at least 0, of ``length`` if that is given."""
    value = _sequence(entry(state, key), f"state[{key!r}]", "ints", length)
    for item in value:
        if isinstance(item, bool) or not isinstance(item, int) or not 0 <= item <= LARGEST:
            raise StateError(
                f"state[{key!r}]={shortened(value)}: expected ints of at least 0, at most 2**63, got {shortened(item)}"
            )
    return tuple(value)
