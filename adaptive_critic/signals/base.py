"""Protocol of signals: scalars of a step's output, and what a law gets from them, without device-to-host copies."""

from __future__ import annotations

import math
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

import torch

from adaptive_critic.step_output import Scalar

ANY_NUMBER = (-math.inf, math.inf)

NumberT = TypeVar("NumberT", torch.Tensor, float)


class Picked(NamedTuple):
    """Scalars of one iteration."""

    scalars: tuple[Scalar, ...]
    """always the same number, in the same order"""
    observed: bool
    """False if the iteration only serves the next one and is not an observation itself"""


class Signal(Protocol):
    """Turns step outputs into rows of scalars without a device-to-host copy.

    ``pick`` runs at every iteration and only collects scalars. ``combine`` runs when a decision is due, on all scalars
    collected since the last decision.
    """

    names: ClassVar[tuple[str, ...]]
    """names of the components that ``combine`` returns, as the law expects them"""
    width: ClassVar[int]
    """number of scalars that ``pick`` returns"""
    paired: ClassVar[bool]
    """True if ``combine`` compares an iteration with the one before it"""
    domain: ClassVar[tuple[float, float]]
    """lowest and highest possible mean of the first component; a value outside is not this quantity"""
    hint: ClassVar[str]
    """probable cause of a value outside, and what to do; empty if any number is possible"""

    def pick(self, output: Any, steps: int) -> Picked | None:
        """Return this iteration's scalars, or None if it has none.

        Args:
            output: the training step's output (StepOutput), after ``output_transform``.
            steps: critic updates of this iteration; with 0 the critic's entries may be empty or absent.

        Raises:
            StepOutputError: if the output lacks an entry that is needed.
        """
        ...

    def combine(self, *picked: NumberT) -> tuple[NumberT, ...]:
        """Turn the picked scalars into components, one for each name.

        Called with this iteration's scalars, followed by those of the iteration before if ``paired``. They are floats,
        or columns (iterations,) in float64.
        """
        ...
