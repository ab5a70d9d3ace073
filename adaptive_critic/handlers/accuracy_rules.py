"""Controllers of published rules on the critic's accuracy: baselines that a new law has to beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adaptive_critic.checks import finite, integer, limits_pair
from adaptive_critic.handlers.base import FeedbackController, FeedbackOptions, LawNumber, named_metrics
from adaptive_critic.laws import AccuracyGateLaw, AccuracyLadderLaw
from adaptive_critic.signals import GeneratedAccuracy

if TYPE_CHECKING:
    from typing_extensions import Unpack

_RUNGS = AccuracyLadderLaw().rungs


def _lowest_rung(limits: tuple[int, int] | None, rungs: tuple[int, ...] = _RUNGS) -> int:
    """Return the lowest rung of the ladder within the limits."""
    if limits is None:
        return rungs[0]
    lower, upper = limits_pair(limits)
    for rung in rungs:
        if lower <= rung <= upper:
            return rung
    raise ValueError(f"limits={limits!r}: expected a rung of the ladder within, one of {', '.join(map(str, rungs))}")


def _with_a_rung(law: AccuracyLadderLaw, limits: tuple[int, int] | None) -> tuple[int, int] | None:
    """Return the limits, after a check that a rung lies within them."""
    _lowest_rung(limits, law.rungs)
    return limits


def _of_a_gate(law: AccuracyGateLaw, limits: tuple[int, int] | None) -> tuple[int, int]:
    """Return limits between which the gate can open and close."""
    lower, upper = limits or (0, law.steps)
    if lower > 0:
        raise ValueError(
            f"limits={limits!r}: a closed gate makes 0 critic updates, so it would never close; expected a lower "
            f"limit of 0, such as (0, {upper})"
        )
    if law.steps > upper:
        raise ValueError(f"steps={law.steps!r} is outside limits={limits!r}: an open gate makes that many updates")
    return lower, upper


class AccuracyLadderController(FeedbackController):
    """Climbs 1, 2, 5, 10, 20, 50, ... when the critic recognises too few generated samples; never down.

    Source: Bie, Kamath, Zhang, "Private GANs, Revisited", TMLR 2023, arXiv 2302.02936. Variant: ``DStepScheduler`` of
    dpgan/sched.py, alexbie98/dpgan-revisit, unchanged. Built for critics that are noisy by design, such as those
    trained with differential privacy. The running average of the critic's accuracy on the generator's batch, measured
    just before each generator update, starts at its first value. The accuracy assumes that the sign of a score means
    real or fake. It depends on the critic's offset, so this rule is not for Wasserstein objectives.

    Needs ``g_fake_accuracy`` () of StepOutput.

    Args:
        initial: rung to start on, one of 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000. None: the lowest rung
            within the limits.
        threshold: largest averaged accuracy at which the rule climbs, in (0, 1).
        grace: generator updates on a rung before it can be left, at least 1.
        smoothing: factor of the running average per iteration, in [0, 1).
        limits: (lower, upper) of the integer, or None for the ladder's own values.
        accuracy: name of a running metric of the accuracy, instead of the step's output.
        options: see :class:`~adaptive_critic.handlers.base.FeedbackOptions`.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if one is out of range.

    Example:
        >>> controller = AccuracyLadderController(grace=3)
        >>> [controller.observe({"g_fake_accuracy": 0.5}) for _ in range(6)]
        [1, 1, 2, 2, 2, 5]
    """

    threshold = LawNumber()
    grace = LawNumber()
    smoothing = LawNumber()

    def __init__(
        self,
        *,
        initial: int | None = None,
        threshold: float = 0.60,
        grace: int = 200,
        smoothing: float = 0.99,
        limits: tuple[int, int] | None = None,
        accuracy: str | None = None,
        **options: Unpack[FeedbackOptions],
    ) -> None:
        if initial is None:
            initial = _lowest_rung(limits)
        finite("initial", initial)  # an array of several is neither in the ladder nor not
        if initial not in _RUNGS:
            raise ValueError(
                f"initial={initial!r}: expected a rung of the ladder, one of {', '.join(map(str, _RUNGS))}"
            )
        super().__init__(
            AccuracyLadderLaw(threshold=threshold, grace=grace, smoothing=smoothing),
            GeneratedAccuracy(),
            initial=initial,
            limits=limits,
            metrics=named_metrics(g_fake_accuracy=accuracy),
            check_limits=_with_a_rung,
            **options,
        )


class AccuracyGateController(FeedbackController):
    """Skips the critic while its accuracy is above a threshold.

    Source: 3D-GAN re-implementations, which update the critic only if its accuracy is at most 0.8. Variant: the
    originals measure the accuracy on the real and the generated batch, in a forward pass that they make even without an
    update. Here it is the accuracy on the generator's batch of the last iteration, which every iteration has. It
    depends on the critic's offset.

    Needs ``g_fake_accuracy`` () of StepOutput.

    Args:
        steps: critic updates while the gate is open, at least 1.
        threshold: largest accuracy at which the gate is open, in (0, 1).
        limits: (lower, upper) of the integer; None means (0, steps). The lower limit has to be 0, the number of a
            closed gate.
        accuracy: name of a running metric of the accuracy, instead of the step's output.
        options: see :class:`~adaptive_critic.handlers.base.FeedbackOptions`.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if one is out of range.

    Example:
        >>> controller = AccuracyGateController()
        >>> [controller.observe({"g_fake_accuracy": a}) for a in (0.7, 0.9, 0.8)]
        [1, 0, 1]
    """

    steps = LawNumber()
    threshold = LawNumber()

    def __init__(
        self,
        *,
        steps: int = 1,
        threshold: float = 0.8,
        limits: tuple[int, int] | None = None,
        accuracy: str | None = None,
        **options: Unpack[FeedbackOptions],
    ) -> None:
        steps = integer("steps", steps, at_least=1)
        super().__init__(
            AccuracyGateLaw(steps, threshold),
            GeneratedAccuracy(),
            initial=steps,
            limits=limits,
            metrics=named_metrics(g_fake_accuracy=accuracy),
            check_limits=_of_a_gate,
            **options,
        )
