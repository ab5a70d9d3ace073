"""WassersteinGapController: feedback on the gap E[D(x)] - E[D(G(z))]."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adaptive_critic.handlers.base import FeedbackController, FeedbackOptions, LawNumber, initial_within
from adaptive_critic.laws import GapShareLaw
from adaptive_critic.signals import GapShare, GapShareFromMetrics, Signal

if TYPE_CHECKING:
    from typing_extensions import Unpack

_INITIAL = 2


class WassersteinGapController(FeedbackController):
    r"""Decides the number of critic updates from how much of the critic's advantage each generator update uses up.

    If a generator update uses up much of the critic's advantage, the critic lags: it gets one more update for every
    ``setpoint`` of the advantage. If it removes almost nothing, extra updates are wasted and the number falls to
    ``base``. A gap that swings by more than 1 / ``contrast`` of itself, beyond the noise of finite batches (Var u),
    shows that both players chase each other: the number rises.

    With the gap :math:`g = E[D(x)] - E[D(G(z))]` measured by the same critic before and after a generator update,

    .. math::
        \kappa = \frac{\overline{u}}{\overline{g_{before}}}, \quad u = g_{before} - g_{after}, \qquad
        r^* = \left(\text{base} + \frac{\kappa}{\text{setpoint}}\right)
        \max\!\left(1, \text{contrast} \cdot \frac{\sigma}{\overline{g_{before}}}\right), \qquad
        \sigma^2 = \max(0, \mathrm{Var}\, g_{before} - \mathrm{Var}\, u)

    .. math::
        \log r \leftarrow \log r + \text{gain} \cdot \mathrm{clip}(r / 3, 1, 2) \cdot
        \mathrm{clip}\!\left(\log \frac{r^*}{r}, -1, 1\right)

    at every iteration. The training step computes all of it anyway, and the law sees it one iteration late. Invariant
    under D -> a*D + b, a > 0, so that it suits Wasserstein objectives and others. Source: this project,
    docs/control-law.md, with the derivation and the alternatives tried.

    Needs ``d_real``, ``d_fake`` (n,) and ``g_fake`` () of StepOutput (``g_fake`` may be left out where ``g_loss`` is
    its negative). The critic must be the same in both measurements: clip weights after the optimizer's step.

    Args:
        initial: critic updates per generator update at the start, within the limits. None: 2, or the limit nearest
            to it.
        limits: (lower, upper) of the integer.
        setpoint: share kappa of the critic's advantage that is worth one critic update, in (0, 1).
        base: critic updates per generator update where kappa is 0, at least 0.
        contrast: smallest normal gap, as a multiple of its swings :math:`\sigma`, at least 0. A smaller gap raises the
            number in proportion. 0 ignores swings.
        gain: e-folds of the ratio per e-fold of distance to r*, per iteration; above 0.
        window: iterations that the running averages reach back, at least 1; at first a third of those so far.
        warmup: iterations to observe before the first move.
        gap_before: name of a running metric of the gap before the critic's updates, as
            ``WassersteinGap("before")`` gives it; with ``gap_after``, instead of the step's output.
        gap_after: name of a running metric of the gap after them, ``WassersteinGap("after")``.
        options: see :class:`~adaptive_critic.handlers.base.FeedbackOptions`.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if one is out of range.

    Example:
        >>> controller = WassersteinGapController()
        >>> controller.num_discriminator_steps
        2
        >>> step = {"d_real": [1.0] * 2, "d_fake": [0.5] * 2, "g_fake": 0.25}
        >>> for _ in range(200):  # each generator update takes a third of the gap
        ...     steps = controller.observe(step)
        >>> steps
        9
    """

    setpoint = LawNumber()
    base = LawNumber()
    contrast = LawNumber()
    gain = LawNumber()
    window = LawNumber()
    warmup = LawNumber()

    def __init__(
        self,
        *,
        initial: float | None = None,
        limits: tuple[int, int] | None = (1, 20),
        setpoint: float = 0.05,
        base: float = 2.0,
        contrast: float = 2.5,
        gain: float = 0.05,
        window: float = 20,
        warmup: int = 10,
        gap_before: str | None = None,
        gap_after: str | None = None,
        **options: Unpack[FeedbackOptions],
    ) -> None:
        if (gap_before is None) != (gap_after is None):
            raise ValueError(
                f"gap_before={gap_before!r}, gap_after={gap_after!r}: give the names of both running metrics or neither"
            )
        metrics = None
        signal: Signal = GapShare()
        if gap_before is not None and gap_after is not None:
            metrics = {"gap_before": gap_before, "gap_after": gap_after}
            signal = GapShareFromMetrics()
        super().__init__(
            GapShareLaw(setpoint=setpoint, base=base, contrast=contrast, gain=gain, window=window, warmup=warmup),
            signal,
            initial=initial_within(limits, initial, _INITIAL),
            limits=limits,
            metrics=metrics,
            **options,
        )
