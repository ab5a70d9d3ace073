"""Who takes part in the demonstration: names on the command line, and colours."""

from __future__ import annotations

from adaptive_critic import CriticEffortController, FixedController, WassersteinGapController, WGANReferenceController
from experiments.contenders import Contender

DEFAULT = ("fixed:1", "fixed:2", "fixed:5", "gap", "effort")
VALID = (
    "fixed:N (N critic updates, N >= 1), gap (WassersteinGapController), effort (CriticEffortController), "
    "reference (WGANReferenceController)"
)

# Okabe and Ito's palette without its yellow: told apart by colour-blind readers, and dark enough on white.
COLOURS = ("#0072B2", "#56B4E9", "#009E73", "#CC79A7", "#D55E00", "#E69F00", "#000000")


def parse(name: str) -> Contender:
    """Turn a name such as "fixed:5" or "gap" into a contender.

    Raises:
        ValueError: The name is unknown; the message lists what is valid.

    Example:
        >>> parse("fixed:5").title
        'fixed n = 5'
    """
    kind, _, number = name.partition(":")
    if kind == "fixed" and number.isdecimal() and int(number) >= 1:
        steps = int(number)
        return Contender(f"fixed:{steps}", f"fixed n = {steps}", "fixed", FixedController, {"steps": steps})
    if name == "gap":
        return Contender(name, "Wasserstein gap", "adaptive", WassersteinGapController)
    if name == "effort":
        return Contender(name, "critic effort", "adaptive", CriticEffortController, told=("optimizer_d",))
    if name == "reference":
        return Contender(name, "WGAN reference", "schedule", WGANReferenceController)
    raise ValueError(f"contender {name!r}: must be one of {VALID}")


def colours(count: int) -> list[str]:
    """One colour for each of ``count`` contenders, in order; repeats after seven."""
    return [COLOURS[index % len(COLOURS)] for index in range(count)]
