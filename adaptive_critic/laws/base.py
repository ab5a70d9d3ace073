"""Protocols of control laws: floats in, floats out, frozen configuration, explicit state.

A law never sees a tensor, an engine, a limit or an integer. The controller averages the signal and passes the law the
current ratio, after limits. It clamps the ratio that the law proposes to the limits and rounds it. Since the law
receives the current ratio, it can undo what it integrated against a limit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

StateT = TypeVar("StateT", bound=tuple[Any, ...])

_WINDOW_SHARE = 3.0
_LARGEST_EXPONENT = 700.0  # math.exp overflows shortly above 709


class Observation(NamedTuple):
    """Moments of the signal's components over the iterations since the last decision. All entries are finite."""

    mean: tuple[float, ...]
    """mean of each component, (components,)"""
    mean_square: tuple[float, ...]
    """mean of the square of each component, (components,)"""
    iterations: int = 1
    """iterations observed, at least 1; a law that moves by an amount per iteration moves this many times"""
    samples: int = 1
    """observations that the moments are taken over, at least 1: iterations times ranks"""
    elapsed: int = 0
    """iterations since the last observation, including those left out or held; 0 means ``iterations``"""


class FeedbackLaw(Protocol[StateT]):
    """A closed-loop law. Implementations are frozen dataclasses; ``update`` is a pure function.

    The state is a NamedTuple of ints and floats, which a checkpoint can hold.
    """

    inputs: ClassVar[tuple[str, ...]]
    """names of the signal's components that the law expects, in this order"""
    whole: ClassVar[bool]
    """True if the law proposes whole numbers, 0 included: they are clamped, but neither raised to 0.1 nor rounded"""

    def init(self, ratio: float) -> StateT:
        """Return the state before the first observation, with ``ratio`` (> 0) as the current one."""
        ...

    def update(self, state: StateT, observation: Observation, ratio: float) -> tuple[StateT, float]:
        """Return the next state and the ratio (> 0) that the law proposes, given the current ``ratio``."""
        ...

    def measurement(self, state: StateT) -> float:
        """Return the regulated quantity, for loggers; NaN while there is none."""
        ...


class RatedLaw(Protocol[StateT]):
    """A closed-loop law of the ratio and the critic's learning rate, otherwise like :class:`FeedbackLaw`."""

    inputs: ClassVar[tuple[str, ...]]
    """names of the signal's components that the law expects, in this order"""
    whole: ClassVar[bool]
    """False"""

    def init(self, ratio: float) -> StateT:
        """Return the state before the first observation, with ``ratio`` (> 0) as the current one."""
        ...

    def update(self, state: StateT, observation: Observation, ratio: float, rate: float) -> tuple[StateT, float, float]:
        """Return the next state, and the ratio and rate (> 0) that the law proposes, given the current ones."""
        ...

    def measurement(self, state: StateT) -> float:
        """Return the regulated quantity, for loggers; NaN while there is none."""
        ...


class Schedule(Protocol):
    """An open-loop law: a number of critic updates for every iteration."""

    def value(self, index: int) -> float:
        """Return the ratio for the iteration with this index (``engine.state.iteration - 1``, from 0)."""
        ...

    def extremes(self) -> tuple[float, float]:
        """Return the smallest and the largest value that ``value`` can return."""
        ...


def check_fields(law: Any, **checks: Callable[[str, Any], Any]) -> None:
    """Check fields of a frozen dataclass in its ``__post_init__``, and leave plain ints and floats in them.

    Args:
        law: the dataclass.
        checks: a check of :mod:`adaptive_critic.checks` for each field, called with the field's name and value; it
            returns the value as a plain number.

    Raises:
        TypeError: if a field is not a number, or an int is needed.
        ValueError: if one is out of its range.
    """
    for name, check in checks.items():
        object.__setattr__(law, name, check(name, getattr(law, name)))


def kept_of_average(observed: int, iterations: int, window: float) -> float:
    """Return the weight that a running average keeps of its past when iterations are added.

    The window grows: early on, the average reaches back over about a third of the iterations so far.

    Args:
        observed: iterations already in the average.
        iterations: iterations to add.
        window: iterations that the average finally reaches back, at least 1.
    """
    growing = math.ceil(_WINDOW_SHARE * (window - 1.0))  # from here on the weights are constant
    kept = 1.0
    for count in range(observed + 1, min(observed + iterations, growing) + 1):
        kept *= 0.0 if count == 1 else 1.0 - max(_WINDOW_SHARE / (count + _WINDOW_SHARE), 1.0 / window)
    constant = observed + iterations - max(observed, growing)
    return kept * (1.0 - 1.0 / window) ** max(constant, 0)


def exp_clamped(exponent: float) -> float:
    """Return ``math.exp(exponent)``, with the exponent clamped to [-700, 700] against overflow."""
    return math.exp(min(max(exponent, -_LARGEST_EXPONENT), _LARGEST_EXPONENT))
