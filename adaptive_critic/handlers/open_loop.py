"""Open-loop controllers: fixed, step decay, and the WGAN reference schedule."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import TYPE_CHECKING

from adaptive_critic.checks import integer, real, shortened
from adaptive_critic.handlers.base import ControllerOptions, ScheduledController
from adaptive_critic.laws import Constant, ExponentialDecay, Milestones, Schedule, WGANReference

if TYPE_CHECKING:
    from typing_extensions import Unpack


class FixedController(ScheduledController):
    """Makes the same number of critic updates at every iteration.

    Args:
        steps: critic updates per generator update, above 0. With a fraction, such as 0.5, some iterations get one more
            than others, or none.
        limits: (lower, upper) that ``steps`` must lie in, or None.
        options: ``output_transform``, ``param_name``, ``on_divergence``: see
            :class:`~adaptive_critic.controller.Controller`.

    Raises:
        TypeError: if ``steps`` is not a number.
        ValueError: if ``steps`` is not above 0, or outside the limits.

    Example:
        >>> from ignite.engine import Engine
        >>> trainer = Engine(lambda engine, batch: None)
        >>> FixedController(5).attach(trainer)
        >>> trainer.state.num_discriminator_steps
        5
        >>> FixedController.simulate_values(4, steps=0.5)
        [[0, 1], [1, 0], [2, 1], [3, 0]]
    """

    def __init__(
        self,
        steps: float,
        *,
        limits: tuple[int, int] | None = None,
        **options: Unpack[ControllerOptions],
    ) -> None:
        whole = isinstance(steps, Integral)
        schedule = Constant(integer("steps", steps, at_least=1) if whole else real("steps", steps, above=0.0))
        super().__init__(schedule, limits=limits, configured=schedule.extremes(), **options)


class StepDecayController(ScheduledController):
    r"""Starts with many critic updates and lowers the number as training goes on.

    Decay by a factor gives :math:`n(t) = \lfloor \text{initial} \cdot \gamma^{\lfloor (t - 1) / \text{step\_size}
    \rfloor} + 1/2 \rfloor`, at least 1, at iteration t = 1, 2, .... With milestones, ``milestones[m]`` is the number
    from iteration m + 1 on (after m iterations).

    Args:
        initial: critic updates at the start, at least 1. With ``gamma`` and ``step_size``.
        gamma: factor for each period, above 0. Above 1 the number grows, to the upper limit if there is one.
        step_size: iterations in a period, at least 1.
        milestones: ``{0: 25, 25: 10}`` makes 25 critic updates in the first 25 iterations and 10 afterwards. It must
            have an entry for 0. Instead of the three above.
        limits: (lower, upper) of the number. A configured value outside is an error; decay stops at the lower limit.
        options: ``output_transform``, ``param_name``, ``on_divergence``: see
            :class:`~adaptive_critic.controller.Controller`.

    Raises:
        TypeError: if a value has the wrong type.
        ValueError: if both forms or none are given, or a value is out of range.

    Example:
        >>> StepDecayController.simulate_values(4, milestones={0: 25, 2: 10})
        [[0, 25], [1, 25], [2, 10], [3, 10]]
        >>> StepDecayController.simulate_values(6, initial=10, gamma=0.5, step_size=2)
        [[0, 10], [1, 10], [2, 5], [3, 5], [4, 3], [5, 3]]
    """

    def __init__(
        self,
        initial: int | None = None,
        *,
        gamma: float | None = None,
        step_size: int | None = None,
        milestones: Mapping[int, int] | None = None,
        limits: tuple[int, int] | None = None,
        **options: Unpack[ControllerOptions],
    ) -> None:
        by_factor = {"initial": initial, "gamma": gamma, "step_size": step_size}
        if isinstance(initial, (list, tuple, Mapping)):
            raise TypeError(
                f"initial={shortened(initial)}: expected a number of critic updates, got {type(initial).__name__}; "
                "numbers that change at given iterations go into milestones={0: 25, 25: 10}"
            )
        given = {name: value for name, value in by_factor.items() if value is not None}
        schedule: Schedule
        if milestones is not None:
            if given:
                raise ValueError(
                    f"milestones={milestones!r} and {given}: give milestones alone, or initial, gamma and step_size"
                )
            schedule = _milestones(milestones)
            configured = schedule.extremes()
        elif len(given) < 3:
            raise ValueError(f"got {given}: give initial, gamma and step_size, or milestones such as {{0: 25, 25: 10}}")
        else:
            schedule = ExponentialDecay(
                integer("initial", initial, at_least=1),
                real("gamma", gamma, above=0.0),
                integer("step_size", step_size, at_least=1),
            )
            configured = (schedule.value(0), schedule.value(0))  # limits may end the decay
        super().__init__(schedule, limits=limits, configured=configured, **options)


def _milestones(milestones: Mapping[int, int]) -> Milestones:
    if not isinstance(milestones, Mapping):
        raise TypeError(f"milestones={milestones!r}: expected a dict such as {{0: 25, 25: 10}}")
    if 0 not in milestones:
        raise ValueError(f"milestones={milestones!r}: expected an entry for 0, the number to start with")
    for start, value in milestones.items():
        integer(f"milestones={milestones!r}: iteration", start, at_least=0)
        integer(f"milestones={milestones!r}: number at {start}", value, at_least=1)
    starts = tuple(sorted(milestones))
    return Milestones(starts, tuple(milestones[start] for start in starts))


class WGANReferenceController(ScheduledController):
    """Follows the schedule of the WGAN reference script: 100 at iterations 1-25, 501, 1001, ..., else 5.

    Source: martinarjovsky/WassersteinGAN, main.py. Variant: the rule on generator iterations, unchanged. The original
    also cuts the inner loop at the end of an epoch, which does not happen here.

    Args:
        limits: (lower, upper) that 5 and 100 must lie in, or None.
        options: ``output_transform``, ``param_name``, ``on_divergence``: see
            :class:`~adaptive_critic.controller.Controller`.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if 5 or 100 is outside the limits.

    Example:
        >>> values = WGANReferenceController.simulate_values(501)
        >>> values[24], values[25], values[499], values[500]
        ([24, 100], [25, 5], [499, 5], [500, 100])
    """

    def __init__(
        self,
        *,
        limits: tuple[int, int] | None = None,
        **options: Unpack[ControllerOptions],
    ) -> None:
        schedule = WGANReference()
        super().__init__(schedule, limits=limits, configured=schedule.extremes(), **options)
