"""Who takes part in the demonstration: a name on the command line, a controller, a label and a colour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ignite.engine import Engine

from adaptive_critic import FixedController, WassersteinGapController, WGANReferenceController


class AttachesTo(Protocol):
    """What the demonstration needs of a controller."""

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""


@dataclass(frozen=True)
class Contender:
    """One row of the comparison.

    Attributes:
        name: What the command line calls it, such as "fixed:5" or "gap".
        label: What charts and tables call it.
        make: Makes a fresh controller.
    """

    name: str
    label: str
    make: Callable[[], AttachesTo]


DEFAULT = ("fixed:1", "fixed:5", "gap")
VALID = "fixed:N (N critic updates, N >= 1), gap (WassersteinGapController), reference (WGANReferenceController)"

# Okabe and Ito's palette without its yellow: told apart by colour-blind readers, and dark enough on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")


def parse(name: str) -> Contender:
    """Turn a name such as "fixed:5" or "gap" into a contender.

    Raises:
        ValueError: The name is unknown; the message lists what is valid.

    Example:
        >>> parse("fixed:5").label
        'fixed n = 5'
    """
    kind, _, number = name.partition(":")
    if kind == "fixed" and number.isdecimal() and int(number) >= 1:
        steps = int(number)
        return Contender(f"fixed:{steps}", f"fixed n = {steps}", lambda: FixedController(steps))
    if name == "gap":
        return Contender(name, "Wasserstein gap", WassersteinGapController)
    if name == "reference":
        return Contender(name, "WGAN reference", WGANReferenceController)
    raise ValueError(f"contender {name!r}: must be one of {VALID}")


def colours(count: int) -> list[str]:
    """One colour for each of ``count`` contenders, in order; repeats after seven."""
    return [COLOURS[index % len(COLOURS)] for index in range(count)]
