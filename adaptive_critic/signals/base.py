"""What a signal is: it picks scalars from a step's output now, and combines them when a decision is due."""

from __future__ import annotations

import math
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

import torch

from adaptive_critic.signals.output import Scalar

__all__ = ["ANY_NUMBER", "NumberT", "Picked", "Signal"]

ANY_NUMBER = (-math.inf, math.inf)

NumberT = TypeVar("NumberT", torch.Tensor, float)


class Picked(NamedTuple):
    """What one iteration gave."""

    scalars: tuple[Scalar, ...]
    """always as many, in the same order"""
    observed: bool
    """False if this iteration is no observation by itself and only serves the next one"""


class Signal(Protocol):
    """Turns step outputs into rows of scalars without a device-to-host copy.

    ``pick`` runs at every iteration and only collects scalars; ``combine`` runs when a decision is due, on all that was
    collected since the last one.
    """

    names: ClassVar[tuple[str, ...]]
    """names of the components that ``combine`` returns, as the law expects them"""
    width: ClassVar[int]
    """how many scalars ``pick`` returns"""
    paired: ClassVar[bool]
    """True if ``combine`` compares an iteration with the one before it"""
    domain: ClassVar[tuple[float, float]]
    """lowest and highest value that a mean of the first component can have; beyond, it is something else"""
    hint: ClassVar[str]
    """what it probably is then, and what to do; empty where any number will do"""

    def pick(self, output: Any, steps: int) -> Picked | None:
        """Return this iteration's scalars, or None if there is nothing in it.

        Args:
            output: what the training step returned, after ``output_transform``.
            steps: critic updates of this iteration; with 0 the critic's entries may be empty or absent.

        Raises:
            StepOutputError: if the output lacks what is needed.
        """
        ...

    def combine(self, *picked: NumberT) -> tuple[NumberT, ...]:
        """Turn the picked scalars into components, one for each name.

        Called with this iteration's scalars, followed by those of the iteration before if ``paired``: floats, or
        columns (iterations,) in float64.
        """
        ...
