"""Controllers of published rules on losses: baselines that a new law has to beat."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from adaptive_critic.checks import integer, limits_pair
from adaptive_critic.handlers.base import FeedbackController, FeedbackOptions, LawNumber, initial_within, named_metrics
from adaptive_critic.laws import LossChangeRateLaw, TwoThresholdLaw
from adaptive_critic.laws.adarpgan import LossVarianceLaw
from adaptive_critic.signals import BothLosses, LastLoss, RelativeLossChanges

if TYPE_CHECKING:
    from typing_extensions import Unpack

_HIGHEST = 5  # of AdaRpGAN's rule


class LossChangeRateController(FeedbackController):
    r"""Adds a critic update while the critic's loss changes faster than the generator's, else removes one.

    Source: Ouyang, Chen, Agam, "Accelerated WGAN update strategy with loss change rate balancing", WACV 2021, arXiv
    2008.12463. With :math:`r = |(L - L_{last}) / L_{last}|` (both 1 at first), it trains the critic if :math:`r_d >
    \lambda r_g`, else the generator. Variant: the original decides after every single update. Here one decision per
    generator update adds or removes one critic update. The rates depend on the critic's offset.

    Needs ``d_loss`` and ``g_loss`` of StepOutput.

    Args:
        balance: lambda, above 0; re-implementations use 2 and 10.
        initial: critic updates per generator update at the start, at least 1, within the limits. None: 1, or the limit
            nearest to it.
        limits: (lower, upper) of the integer.
        d_loss: name of a running metric of the critic's loss, instead of the step's output; with ``g_loss``.
        g_loss: name of a running metric of the generator's loss.
        options: see :class:`~adaptive_critic.handlers.base.FeedbackOptions`.

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
        d_loss: str | None = None,
        g_loss: str | None = None,
        **options: Unpack[FeedbackOptions],
    ) -> None:
        super().__init__(
            LossChangeRateLaw(balance),
            RelativeLossChanges(),
            initial=integer("initial", initial_within(limits, initial, 1), at_least=1),
            limits=limits,
            metrics=named_metrics(d_loss=d_loss, g_loss=g_loss),
            **options,
        )


class TwoThresholdController(FeedbackController):
    """Adds a critic update while the critic's loss is high, else removes one while the generator's loss is high.

    Source: ganhacks, section 11, and fastai's ``AdaptiveGANSwitcher``. They train the critic until its last loss is
    below a threshold, then the generator until its loss is below another one. Here a loss is high at or above its
    threshold. Variant: one decision per generator update, within ``limits``; the originals' loops are unbounded.
    Absolute thresholds depend on scale, offset and problem.

    Needs ``d_loss`` and ``g_loss`` of StepOutput.

    Args:
        critic_threshold: lowest ``d_loss`` that adds a critic update; a finite number.
        generator_threshold: lowest ``g_loss`` that removes one, if ``d_loss`` adds none; a finite number.
        initial: critic updates per generator update at the start, at least 1, within the limits. None: 1, or the limit
            nearest to it.
        limits: (lower, upper) of the integer.
        d_loss: name of a running metric of the critic's loss, instead of the step's output; with ``g_loss``.
        g_loss: name of a running metric of the generator's loss.
        options: see :class:`~adaptive_critic.handlers.base.FeedbackOptions`.

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
        d_loss: str | None = None,
        g_loss: str | None = None,
        **options: Unpack[FeedbackOptions],
    ) -> None:
        super().__init__(
            TwoThresholdLaw(critic_threshold, generator_threshold),
            BothLosses(),
            initial=integer("initial", initial_within(limits, initial, 1), at_least=1),
            limits=limits,
            metrics=named_metrics(d_loss=d_loss, g_loss=g_loss),
            **options,
        )


class LossVarianceController(FeedbackController):
    """Adds a critic update while the critic's loss varies much, removes one while it varies little.

    Source: AdaRpGAN, research3gmiu/AdaRpGAN, adarppgan/trainer/adaptive_controller.py, 2025. Variant: see
    :class:`~adaptive_critic.laws.adarpgan.LossVarianceLaw`. The variance depends on the scale of the loss.

    Needs ``d_loss`` of StepOutput.

    Args:
        initial: critic updates per generator update at the start, at least 1, within the limits. None: 1, or the limit
            nearest to it.
        limits: (lower, upper) of the integer.
        high: variance of the critic's loss above which n grows, above ``low``.
        low: variance below which n shrinks, at least 0.
        window: losses that the variance is taken over, at least 2.
        cooldown: losses without another move after a move, at least 0.
        d_loss: name of a running metric of the critic's loss, instead of the step's output.
        options: see :class:`~adaptive_critic.handlers.base.FeedbackOptions`.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if one is out of range.

    Example:
        >>> controller = LossVarianceController(window=4, cooldown=0)
        >>> for loss in (1.0, 4.0, 1.0):
        ...     n = controller.num_discriminator_steps
        ...     print(controller.observe({"d_loss": [loss] * n}), end=" ")
        1 2 3
    """

    high = LawNumber()
    low = LawNumber()
    window = LawNumber()
    cooldown = LawNumber()

    def __init__(
        self,
        *,
        initial: int | None = None,
        limits: tuple[int, int] | None = (1, 5),
        high: float = 0.50,
        low: float = 0.05,
        window: int = 50,
        cooldown: int = 100,
        d_loss: str | None = None,
        **options: Unpack[FeedbackOptions],
    ) -> None:
        highest = _HIGHEST if limits is None else limits_pair(limits)[1]
        super().__init__(
            LossVarianceLaw(high=high, low=low, window=window, cooldown=cooldown, highest=highest),
            LastLoss(),
            initial=integer("initial", initial_within(limits, initial, 1), at_least=1),
            limits=limits,
            metrics=named_metrics(d_loss=d_loss),
            **options,
        )

    @property
    def limits(self) -> tuple[int, int] | None:
        """As of every controller; the law moves to the new upper limit at most."""
        return self._decision.limits

    @limits.setter
    def limits(self, limits: tuple[int, int] | None) -> None:
        self._decision.limits = limits
        law: Any = self.law
        self.law = replace(law, highest=_HIGHEST if limits is None else limits[1])
        self._refresh()
