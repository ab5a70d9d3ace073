"""LossRatioPIDController: PID on the critic's strength, computed from the losses."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adaptive_critic.handlers.base import FeedbackController, FeedbackOptions, LawNumber, initial_within
from adaptive_critic.laws import DistancePIDLaw, PIDLaw, RatesPIDLaw, SharePIDLaw
from adaptive_critic.objective_names import IDEAL_CRITIC_LOSSES, listed, objective_name
from adaptive_critic.signals import CriticLoss, CriticLossChecked, GapShare, LossChanges, Signal

if TYPE_CHECKING:
    from typing_extensions import Unpack


@dataclass(frozen=True)
class _Defaults:
    setpoint: float
    kp: float
    ki: float


_INITIAL = 3
_WASSERSTEIN = ("wasserstein", "wasserstein-gp", "wasserstein-clip")
_OBJECTIVES = (*_WASSERSTEIN, *IDEAL_CRITIC_LOSSES)
_REGULATES: dict[type[PIDLaw], str] = {
    SharePIDLaw: "wasserstein: share of the gap",
    RatesPIDLaw: "wasserstein: rates of change of running losses",
}
_DISTANCE = _Defaults(setpoint=0.1, kp=0.5, ki=0.02)
_SHARE = _Defaults(setpoint=0.05, kp=0.1, ki=0.02)
_RATES = _Defaults(setpoint=1.0, kp=0.1, ki=0.02)


class LossRatioPIDController(FeedbackController):
    r"""PID on the logarithm of the ratio, driven by the critic's strength.

    The strength y of the critic, from averaged signals:

    - ``"non-saturating"``, ``"hinge"``, ``"least-squares"``: :math:`y = (L^* - L_D) / L^*` with the ideal losses
      :math:`L^*` = log 4, 2 and 0.5, without penalties. y is 0 at parity and 1 for a perfect critic. The ideals are
      those of the Gap-Aware learning rate, Hazimeh and Ponomareva, AISTATS 2023.
    - ``"wasserstein"``: :math:`y = -\log \kappa`, since the loss has no ideal and its offset is free. kappa is the
      share of the gap that one generator update uses up, as in :class:`WassersteinGapController`. It is invariant under
      D -> a*D + b.
    - ``"wasserstein"`` with ``d_loss=`` and ``g_loss=`` naming running metrics: :math:`y = \log(\overline{|\Delta L_G|}
      / \overline{|\Delta L_D|})`, since only changes of the losses are free of the offset. It is noisy, and the
      constructor warns.

    For a decision over k iterations, with e the error :math:`y^* - y` after deadband and limit,

    .. math::
        I &\leftarrow I + (\log r - u_{last}) / T_t + k_i\, k\, e \\
        u &= k_p\, e + I - k_d\, (y - y_{last}) / k, \qquad r \leftarrow \exp u

    within the slew limit and ``limits``. A critic that is too strong gets fewer updates, one that is too weak more.

    Needs ``d_loss`` of StepOutput, and checks that ``g_loss`` is finite if it is there. Under ``"wasserstein"`` it
    needs ``d_real``, ``d_fake`` (n,) and ``g_fake`` (``-g_loss`` stands for it if it is not there).

    Args:
        objective: ``"wasserstein"``, ``"non-saturating"``, ``"hinge"`` or ``"least-squares"``. ``"wasserstein-gp"`` and
            ``"wasserstein-clip"``, the names of :func:`create_gan_trainer`, mean the first. Usual other names, such as
            ``"wgan-gp"`` and ``"lsgan"``, are accepted.
        ideal: critic loss at parity, above 0, if yours differs from the objective's. Half of it if both terms are
            averaged, eight times if eight heads are summed, log 2 for a relativistic critic. Not with
            ``"wasserstein"``, whose loss has none. None: log 4; 2; 0.5.
        setpoint: strength to hold, in (-1, 1), for the last three; share kappa in (0, 1) for ``"wasserstein"``;
            critic's change over generator's, above 0, for its running metrics. None: 0.1; 0.05; 1.
        kp: proportional gain, e-folds of the ratio per unit of error, at least 0. None: 0.5; 0.1; 0.1.
        ki: integral gain, e-folds per unit of error and iteration, at least 0. None: 0.02.
        kd: derivative gain on the measurement, e-folds per unit of change per iteration, at least 0.
        d_loss: name of a running metric of the critic's loss, instead of the step's output.
        g_loss: name of a running metric of the generator's loss. With the last three objectives it only has to be
            finite.
        initial: critic updates per generator update at the start, within the limits. None: 3, or the limit nearest
            to it.
        limits: (lower, upper) of the integer.
        smoothing: factor of the running average before the P term, per iteration, in [0, 1).
        deadband: errors up to this count as none, at least 0.
        error_limit: larger errors count as this, above 0.
        slew: largest move of the ratio in e-folds per iteration, above 0.
        tracking_time: time constant of the anti-windup back-calculation in decisions, at least 1.
        options: see :class:`~adaptive_critic.handlers.base.FeedbackOptions`.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if one is out of range, or metrics are named that this objective can't use.

    Example:
        >>> controller = LossRatioPIDController("hinge", initial=5)
        >>> for _ in range(200):  # a critic with next to no loss is far ahead
        ...     steps = controller.observe({"d_loss": 0.1, "g_loss": 1.0})
        >>> steps
        1
    """

    ideal = LawNumber()
    setpoint = LawNumber()
    kp = LawNumber()
    ki = LawNumber()
    kd = LawNumber()
    smoothing = LawNumber()
    deadband = LawNumber()
    error_limit = LawNumber()
    slew = LawNumber()
    tracking_time = LawNumber()

    def __init__(
        self,
        objective: str = "wasserstein",
        *,
        ideal: float | None = None,
        setpoint: float | None = None,
        kp: float | None = None,
        ki: float | None = None,
        kd: float = 0.0,
        d_loss: str | None = None,
        g_loss: str | None = None,
        initial: float | None = None,
        limits: tuple[int, int] | None = (1, 10),
        smoothing: float = 0.9,
        deadband: float = 0.0,
        error_limit: float = 1.0,
        slew: float = 0.1,
        tracking_time: float = 5.0,
        **options: Unpack[FeedbackOptions],
    ) -> None:
        metrics = {key: name for key, name in (("d_loss", d_loss), ("g_loss", g_loss)) if name is not None}
        objective = _known(objective)
        law, defaults, signal = _choose(objective, metrics)
        shared: dict[str, Any] = {
            "setpoint": defaults.setpoint if setpoint is None else setpoint,
            "kp": defaults.kp if kp is None else kp,
            "ki": defaults.ki if ki is None else ki,
            "kd": kd,
            "smoothing": smoothing,
            "deadband": deadband,
            "error_limit": error_limit,
            "slew": slew,
            "tracking_time": tracking_time,
        }
        if law is DistancePIDLaw:
            shared["ideal"] = IDEAL_CRITIC_LOSSES[objective] if ideal is None else ideal
        elif ideal is not None:
            raise ValueError(f"ideal={ideal!r}: the loss of {objective!r} has no ideal, leave it out")
        super().__init__(
            law(**shared),
            signal,
            initial=initial_within(limits, initial, _INITIAL),
            limits=limits,
            metrics=metrics,
            regulates=_REGULATES.get(law, objective),
            **options,
        )


def _known(objective: str) -> str:
    """Return the name of an objective that this controller knows."""
    if not isinstance(objective, str):
        raise TypeError(f"objective={objective!r}: expected one of {listed(_OBJECTIVES)}")
    name = objective_name(objective)
    if name not in _OBJECTIVES:
        raise ValueError(f"objective={objective!r}: expected one of {listed(_OBJECTIVES)}")
    return name


def _choose(objective: str, metrics: Mapping[str, str]) -> tuple[type[PIDLaw], _Defaults, Signal]:
    """Return the law, its default gains and its signal."""
    if objective in IDEAL_CRITIC_LOSSES:
        if list(metrics) == ["g_loss"]:
            raise ValueError(f"g_loss={metrics['g_loss']!r}: {objective!r} needs the critic's loss, name d_loss too")
        return DistancePIDLaw, _DISTANCE, CriticLoss() if list(metrics) == ["d_loss"] else CriticLossChecked()
    if not metrics:
        return SharePIDLaw, _SHARE, GapShare(wasserstein=True)
    if len(metrics) < 2:
        raise ValueError(f"{objective!r} with {dict(metrics)}: name both metrics, d_loss and g_loss, or neither")
    warnings.warn(
        "a Wasserstein loss has a free offset, so running averages of both losses offer only the ratio of their rates "
        "of change, which is noisy; leave d_loss= and g_loss= out and return d_real, d_fake and g_fake from the step",
        stacklevel=3,
    )
    return RatesPIDLaw, _RATES, LossChanges()
