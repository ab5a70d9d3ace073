"""What a signal is: it picks scalars from a step's output now, and combines them when a decision is due."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, TypeAlias, TypeVar

import torch

from adaptive_critic.signals.output import Scalar

__all__ = ["Memory", "NumberT", "Picked", "Signal"]

NumberT = TypeVar("NumberT", torch.Tensor, float)

Memory: TypeAlias = "tuple[Scalar, ...]"
"""scalars that the signal keeps from one iteration for the next; empty before the first"""
Picked: TypeAlias = "tuple[Scalar, ...] | None"
"""scalars of one iteration, or None if it gave nothing to observe"""


class Signal(Protocol):
    """Turns step outputs into rows of scalars without a device-to-host copy.

    ``pick`` runs at every iteration and only collects scalars; ``combine`` runs when a decision is due, on all that was
    collected since the last one.
    """

    names: ClassVar[tuple[str, ...]]
    """names of the components that ``combine`` returns, as the law expects them"""
    keys: ClassVar[tuple[str, ...]]
    """keys of the step's output that ``pick`` reads"""
    picked: ClassVar[int]
    """how many scalars ``pick`` returns"""
    remembered: ClassVar[int]
    """how many scalars the memory holds once it holds any"""

    def pick(self, output: Any, memory: Memory, steps: int) -> tuple[Picked, Memory]:
        """Return this iteration's scalars and the memory for the next.

        Args:
            output: what the training step returned, after ``output_transform``.
            memory: what the last call returned, ``()`` at first.
            steps: critic updates of this iteration; with 0 the critic's entries may be empty or absent.

        Raises:
            StepOutputError: if the output lacks what is needed; the memory is unchanged then.
        """
        ...

    def combine(self, *picked: NumberT) -> tuple[NumberT, ...]:
        """Turn the picked scalars into components, one for each name.

        Called with floats, or with columns (iterations,) of rows collected since the last decision, in float64.
        """
        ...
