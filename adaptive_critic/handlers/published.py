"""Published rules as controllers, the baselines that a new law has to beat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from adaptive_critic.checks import finite, integer, limits_pair
from adaptive_critic.feedback import FeedbackController, initial_within
from adaptive_critic.guard import DivergenceGuard
from adaptive_critic.handlers.law_numbers import LawNumber
from adaptive_critic.laws import AccuracyGateLaw, AccuracyLadderLaw, LossChangeRateLaw, TwoThresholdLaw
from adaptive_critic.signals import BothLosses, GeneratedAccuracy, RelativeLossChanges

__all__ = [
    "AccuracyGateController",
    "AccuracyLadderController",
    "LossChangeRateController",
    "TwoThresholdController",
]

_RUNGS = AccuracyLadderLaw().rungs


def _named(**names: str | None) -> dict[str, str]:
    """Return the metrics that were named; naming some but not all is refused."""
    given = {key: name for key, name in names.items() if name is not None}
    if given and len(given) < len(names):
        raise ValueError(f"got {given}: name running metrics for all of {', '.join(names)}, or for none")
    return given


def _lowest_rung(limits: tuple[int, int] | None, rungs: tuple[int, ...] = _RUNGS) -> int:
    """Return the lowest rung of the ladder within the limits."""
    if limits is None:
        return rungs[0]
    lower, upper = limits_pair(limits)
    for rung in rungs:
        if lower <= rung <= upper:
            return rung
    raise ValueError(f"limits={limits!r}: expected a rung of the ladder within, one of {', '.join(map(str, rungs))}")


class AccuracyLadderController(FeedbackController):
    """Climbs 1, 2, 5, 10, 20, 50, ... when the critic recognises too few generated samples; never down.

    Bie, Kamath, Zhang, "Private GANs, Revisited", TMLR 2023, arXiv 2302.02936; variant: dpgan/sched.py of
    alexbie98/dpgan-revisit, ``DStepScheduler``, exactly. Built for critics that are noisy by design, such as those
    trained with differential privacy. The running average of the critic's accuracy on the generator's batch, measured
    just before each generator update, starts at its first value. The accuracy assumes scores whose sign means real or
    fake: it depends on the critic's offset, so this rule is not for Wasserstein objectives.

    Needs ``g_fake_accuracy`` () of StepOutput.

    Args:
        initial: rung to start on, one of 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000. None: the lowest within
            the limits.
        threshold: climb at an averaged accuracy of at most this, in (0, 1).
        grace: generator updates on a rung before it can be left, at least 1.
        smoothing: factor of the running average per iteration, in [0, 1).
        limits: (lower, upper) of the integer, or None for the ladder's own values.
        update_every: iterations between decisions.
        lagged: decide one decision late so that nothing waits for the device; None: on CUDA.
        accuracy: name of a running metric of the accuracy, instead of the step's output.
        output_transform: see :class:`~adaptive_critic.controller.Controller`.
        param_name: see :class:`~adaptive_critic.controller.Controller`.
        on_divergence: see :class:`~adaptive_critic.controller.Controller`.

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
        update_every: int = 1,
        lagged: bool | None = None,
        accuracy: str | None = None,
        output_transform: Callable[[Any], Any] | None = None,
        param_name: str = "num_discriminator_steps",
        on_divergence: str | Callable[..., None] | DivergenceGuard | None = None,
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
            update_every=update_every,
            lagged=lagged,
            metrics=_named(g_fake_accuracy=accuracy),
            output_transform=output_transform,
            param_name=param_name,
            on_divergence=on_divergence,
        )

    def _checked_limits(self, limits: tuple[int, int] | None) -> tuple[int, int] | None:
        assert isinstance(self._law, AccuracyLadderLaw)
        _lowest_rung(limits, self._law.rungs)
        return super()._checked_limits(limits)


class LossChangeRateController(FeedbackController):
    r"""One more critic update while its loss changes faster than the generator's, one fewer otherwise.

    Ouyang, Chen, Agam, "Accelerated WGAN update strategy with loss change rate balancing", WACV 2021, arXiv
    2008.12463: with :math:`r = |(L - L_{last}) / L_{last}|` (both 1 at first), train the critic if
    :math:`r_d > \lambda r_g`, else the generator. Variant: the original decides after every single update; here one
    decision per generator update adds or removes one critic update. The rates depend on the critic's offset.

    Needs ``d_loss`` and ``g_loss`` of StepOutput.

    Args:
        balance: lambda, above 0; re-implementations use 2 and 10.
        initial: critic updates per generator update at the start, at least 1, within the limits. None: 1, or the limit
            nearest to it.
        limits: (lower, upper) of the integer.
        update_every: iterations between decisions.
        lagged: decide one decision late so that nothing waits for the device; None: on CUDA.
        d_loss: name of a running metric of the critic's loss, instead of the step's output; with ``g_loss``.
        g_loss: name of a running metric of the generator's loss.
        output_transform: see :class:`~adaptive_critic.controller.Controller`.
        param_name: see :class:`~adaptive_critic.controller.Controller`.
        on_divergence: see :class:`~adaptive_critic.controller.Controller`.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if one is out of range.

    Example:
        >>> controller = LossChangeRateController()
        >>> losses = (1.0, 2.0, 3.0, 3.0, 3.0)  # the critic's changes, then it does not
        >>> [controller.observe({"d_loss": loss, "g_loss": 1.0}) for loss in losses]
        [1, 2, 3, 2, 1]
    """

    balance = LawNumber()

    def __init__(
        self,
        *,
        balance: float = 2.0,
        initial: int | None = None,
        limits: tuple[int, int] | None = (1, 10),
        update_every: int = 1,
        lagged: bool | None = None,
        d_loss: str | None = None,
        g_loss: str | None = None,
        output_transform: Callable[[Any], Any] | None = None,
        param_name: str = "num_discriminator_steps",
        on_divergence: str | Callable[..., None] | DivergenceGuard | None = None,
    ) -> None:
        super().__init__(
            LossChangeRateLaw(balance),
            RelativeLossChanges(),
            initial=integer("initial", initial_within(limits, initial, 1), at_least=1),
            limits=limits,
            update_every=update_every,
            lagged=lagged,
            metrics=_named(d_loss=d_loss, g_loss=g_loss),
            output_transform=output_transform,
            param_name=param_name,
            on_divergence=on_divergence,
        )


class TwoThresholdController(FeedbackController):
    """One more critic update while its loss is not below its threshold, else one fewer while the generator's is not.

    ganhacks, section 11, and fastai's ``AdaptiveGANSwitcher``: train the critic until its last loss is below a
    threshold, then the generator until below its own. Variant: one decision per generator update, bounded by
    ``limits``; the originals' loops are unbounded. Absolute thresholds depend on scale, offset and problem.

    Needs ``d_loss`` and ``g_loss`` of StepOutput.

    Args:
        critic_threshold: with a ``d_loss`` of at least this, one more critic update; a finite number.
        generator_threshold: otherwise, with a ``g_loss`` of at least this, one fewer; a finite number.
        initial: critic updates per generator update at the start, at least 1, within the limits. None: 1, or the limit
            nearest to it.
        limits: (lower, upper) of the integer.
        update_every: iterations between decisions.
        lagged: decide one decision late so that nothing waits for the device; None: on CUDA.
        d_loss: name of a running metric of the critic's loss, instead of the step's output; with ``g_loss``.
        g_loss: name of a running metric of the generator's loss.
        output_transform: see :class:`~adaptive_critic.controller.Controller`.
        param_name: see :class:`~adaptive_critic.controller.Controller`.
        on_divergence: see :class:`~adaptive_critic.controller.Controller`.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if one is out of range.

    Example:
        >>> controller = TwoThresholdController(0.5, 0.5)
        >>> losses = [(0.9, 1.0), (0.8, 1.0), (0.4, 0.2), (0.3, 1.0)]  # d_loss, g_loss
        >>> [controller.observe({"d_loss": d, "g_loss": g}) for d, g in losses]
        [2, 3, 3, 2]
    """

    critic_threshold = LawNumber()
    generator_threshold = LawNumber()

    def __init__(
        self,
        critic_threshold: float,
        generator_threshold: float,
        *,
        initial: int | None = None,
        limits: tuple[int, int] | None = (1, 10),
        update_every: int = 1,
        lagged: bool | None = None,
        d_loss: str | None = None,
        g_loss: str | None = None,
        output_transform: Callable[[Any], Any] | None = None,
        param_name: str = "num_discriminator_steps",
        on_divergence: str | Callable[..., None] | DivergenceGuard | None = None,
    ) -> None:
        super().__init__(
            TwoThresholdLaw(critic_threshold, generator_threshold),
            BothLosses(),
            initial=integer("initial", initial_within(limits, initial, 1), at_least=1),
            limits=limits,
            update_every=update_every,
            lagged=lagged,
            metrics=_named(d_loss=d_loss, g_loss=g_loss),
            output_transform=output_transform,
            param_name=param_name,
            on_divergence=on_divergence,
        )


class AccuracyGateController(FeedbackController):
    """Skips the critic while its accuracy is above a threshold.

    Gate of 3D-GAN re-implementations: update the critic only if its accuracy is at most 0.8. Variant: the originals
    measure the accuracy on the real and the generated batch in a critic forward that they make even when they skip the
    update; here it is the accuracy on the generator's batch of the iteration before, which every iteration has. It
    depends on the critic's offset.

    Needs ``g_fake_accuracy`` () of StepOutput.

    Args:
        steps: critic updates while the gate is open, at least 1.
        threshold: the gate is open at an accuracy of at most this, in (0, 1).
        limits: (lower, upper) of the integer; None means (0, steps). Lower has to be 0, what a closed gate
            makes.
        update_every: iterations between decisions.
        lagged: decide one decision late so that nothing waits for the device; None: on CUDA.
        accuracy: name of a running metric of the accuracy, instead of the step's output.
        output_transform: see :class:`~adaptive_critic.controller.Controller`.
        param_name: see :class:`~adaptive_critic.controller.Controller`.
        on_divergence: see :class:`~adaptive_critic.controller.Controller`.

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
        update_every: int = 1,
        lagged: bool | None = None,
        accuracy: str | None = None,
        output_transform: Callable[[Any], Any] | None = None,
        param_name: str = "num_discriminator_steps",
        on_divergence: str | Callable[..., None] | DivergenceGuard | None = None,
    ) -> None:
        steps = integer("steps", steps, at_least=1)
        super().__init__(
            AccuracyGateLaw(steps, threshold),
            GeneratedAccuracy(),
            initial=steps,
            limits=limits,
            update_every=update_every,
            lagged=lagged,
            metrics=_named(g_fake_accuracy=accuracy),
            output_transform=output_transform,
            param_name=param_name,
            on_divergence=on_divergence,
        )

    def _checked_limits(self, limits: tuple[int, int] | None) -> tuple[int, int] | None:
        assert isinstance(self._law, AccuracyGateLaw)
        steps = self._law.steps
        lower, upper = (0, steps) if limits is None else limits_pair(limits)
        if lower > 0:
            raise ValueError(
                f"limits={limits!r}: a closed gate makes 0 critic updates, so it would never close; expected a lower "
                f"limit of 0, such as (0, {upper})"
            )
        if steps > upper:
            raise ValueError(f"steps={steps!r} is outside limits={limits!r}: an open gate makes that many updates")
        return lower, upper
