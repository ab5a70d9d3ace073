"""Base classes of the named controllers: closed loop and open loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypedDict, overload

from adaptive_critic.checks import integer, known, limits_pair
from adaptive_critic.controller import Controller
from adaptive_critic.decision import LOWEST_RATIO, Feedback, Law, Limits, OpenLoop, any_limits
from adaptive_critic.laws import Schedule
from adaptive_critic.signals import Signal

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from adaptive_critic.guard import DivergenceGuard


class ControllerOptions(TypedDict, total=False):
    """Keywords that all controllers take; see :class:`~adaptive_critic.controller.Controller`."""

    output_transform: Callable[[Any], Any] | None
    param_name: str
    on_divergence: str | Callable[..., None] | DivergenceGuard | None


class FeedbackOptions(ControllerOptions, total=False):
    """Keywords of all closed-loop controllers, beside those of every controller."""

    update_every: int
    """iterations between decisions, at least 1; gains are per iteration. Default 1"""
    lagged: bool | None
    """decide one decision late so that nothing waits for the device. Default None: on CUDA"""
    start_after: int
    """iterations at ``initial`` before the first observation, at least 0. For a critic that trains before its loss
    reaches the generator, as with an adversarial loss that starts later. Default 0"""


def initial_within(limits: Limits, initial: float | None, default: float) -> float:
    """Return ``initial``; if it is None, the default clamped to the limits.

    Raises:
        TypeError: if ``initial`` is None and the limits are not a pair of ints.
        ValueError: if they are out of range.
    """
    if initial is not None:
        return initial
    if limits is None:
        return default
    lower, upper = limits_pair(limits)
    return min(max(default, lower), upper)


def named_metrics(**names: str | None) -> dict[str, str]:
    """Return the named metrics. ValueError if some are named, but not all."""
    given = {key: name for key, name in names.items() if name is not None}
    if given and len(given) < len(names):
        raise ValueError(f"got {given}: name running metrics for all of {', '.join(names)}, or for none")
    return given


class FeedbackController(Controller):
    """Observes every iteration, and lets a law decide every ``update_every`` iterations.

    Args:
        law: proposes the real-valued ratio.
        signal: gives the law's inputs.
        initial: ratio at the start.
        limits: (lower, upper) of the integer.
        update_every: iterations between decisions.
        lagged: decide one decision late, so that nothing waits for the device; None: on CUDA.
        start_after: iterations before the first observation.
        metrics: running metrics to read instead of the step's output, by StepOutput's keys.
        check_limits: see :class:`~adaptive_critic.decision.Feedback`, which takes all of the above.
        regulates: see there, as ``lowest``, ``rates`` and ``initial_rate``.
        options: ``output_transform``, ``param_name``, ``on_divergence``: see
            :class:`~adaptive_critic.controller.Controller`.
    """

    _decision: Feedback

    def __init__(
        self,
        law: Law,
        signal: Signal,
        *,
        initial: float,
        limits: Limits,
        update_every: int = 1,
        lagged: bool | None = None,
        start_after: int = 0,
        metrics: Mapping[str, str] | None = None,
        check_limits: Callable[[Any, Limits], Limits] = any_limits,
        regulates: str = "",
        lowest: float = LOWEST_RATIO,
        rates: tuple[float, float] | None = None,
        initial_rate: float = 1.0,
        **options: Unpack[ControllerOptions],
    ) -> None:
        known(type(self), options, FeedbackOptions.__annotations__)
        decision = Feedback(
            law,
            signal,
            initial=initial,
            limits=limits,
            update_every=update_every,
            lagged=lagged,
            start_after=start_after,
            metrics=metrics,
            check_limits=check_limits,
            regulates=regulates,
            lowest=lowest,
            rates=rates,
            initial_rate=initial_rate,
        )
        super().__init__(decision, **options)

    @property
    def update_every(self) -> int:
        """Iterations between decisions. It can't be changed."""
        return self._decision.update_every

    @property
    def bad_observations(self) -> int:
        """Decisions held because an observation was not finite, or impossible."""
        return self._decision.bad_observations

    def summary(self) -> str:
        """See :meth:`~adaptive_critic.controller.Controller.summary`; with the number of held decisions."""
        return f"{super().summary()}, held decisions {self.bad_observations}"

    @property
    def law(self) -> Law:
        """Law that proposes the ratio. It is frozen; another law of its class can be assigned.

        Numbers of the law that the constructor takes can be read and assigned one by one: ``controller.kp = 1.0``.

        The state stays, so that the ratio goes on from where it is. In a distributed run every rank must assign the
        same, between two runs or at the same iteration.

        Raises:
            TypeError: if another kind of law is assigned, or a number in it has the wrong type.
            ValueError: if a number is out of its range, or the law can't go on from the state.

        Example:
            >>> from dataclasses import replace
            >>> from adaptive_critic import LossRatioPIDController
            >>> controller = LossRatioPIDController("hinge")
            >>> controller.law = replace(controller.law, kp=1.0, ki=0.1)
            >>> controller.kp
            1.0
            >>> controller.kp = -1.0
            Traceback (most recent call last):
                ...
            ValueError: kp=-1.0: expected a number at least 0
        """
        return self._decision.law

    @law.setter
    def law(self, law: Law) -> None:
        self._decision.law = law


class LawNumber:
    """Makes ``controller.kp`` the law's ``kp``; an assignment gives the controller a law with the new number.

    Without this descriptor an assignment would create an attribute that nothing reads.
    """

    def __set_name__(self, owner: type[FeedbackController], name: str) -> None:
        self._name = name

    @overload
    def __get__(self, controller: None, owner: type[FeedbackController]) -> LawNumber: ...
    @overload
    def __get__(self, controller: FeedbackController, owner: type[FeedbackController]) -> float: ...
    def __get__(self, controller: FeedbackController | None, owner: type[FeedbackController]) -> LawNumber | float:
        if controller is None:
            return self
        number: float = getattr(controller.law, self._name)
        return number

    def __set__(self, controller: FeedbackController, number: float) -> None:
        law: Any = controller.law
        controller.law = replace(law, **{self._name: number})


class ScheduledController(Controller):
    """Writes a schedule's value at every iteration.

    Args:
        schedule: gives a whole number for the index ``engine.state.iteration - 1``, so that iteration 1 reads the
            value at 0.
        limits: (lower, upper) to which values are clamped, or None for the schedule's own values.
        configured: (lowest, highest) value that limits have to include, see
            :class:`~adaptive_critic.decision.OpenLoop`.
        options: ``output_transform``, ``param_name``, ``on_divergence``: see
            :class:`~adaptive_critic.controller.Controller`.
    """

    _decision: OpenLoop

    def __init__(
        self,
        schedule: Schedule,
        *,
        limits: Limits = None,
        configured: tuple[float, float] | None = None,
        **options: Unpack[ControllerOptions],
    ) -> None:
        known(type(self), options, ControllerOptions.__annotations__)
        super().__init__(OpenLoop(schedule, limits, configured), **options)

    @property
    def schedule(self) -> Schedule:
        """Schedule that gives the number."""
        return self._decision.schedule

    @classmethod
    def simulate_values(cls, num_events: int, **scheduler_kwargs: Any) -> list[list[int]]:
        """Return the numbers that the controller would write in the first iterations.

        Args:
            num_events: number of iterations, at least 0.
            scheduler_kwargs: arguments of the constructor.

        Returns:
            a list of ``[index, value]``, as Ignite's schedulers return it.
        """
        decision = cls(**scheduler_kwargs)._decision
        return [[index, decision.steps(index)] for index in range(integer("num_events", num_events, at_least=0))]

    @classmethod
    def plot_values(cls, num_events: int, **scheduler_kwargs: Any) -> Any:
        """Draw what :meth:`simulate_values` returns into the current figure.

        Returns:
            the list of matplotlib lines.

        Raises:
            RuntimeError: if matplotlib is not installed.
        """
        try:
            import matplotlib.pyplot as plt
        except ImportError:
            raise RuntimeError("plot_values needs matplotlib: pip install 'adaptive-critic[plots]'") from None
        values = cls.simulate_values(num_events, **scheduler_kwargs)
        label = scheduler_kwargs.get("param_name", "num_discriminator_steps")
        lines = plt.step([i for i, _ in values], [n for _, n in values], where="post", label=label)
        plt.xlabel("iteration")
        plt.ylabel("critic updates")
        plt.legend()
        plt.grid(which="both", alpha=0.3)
        return lines
