"""SchedulerAdapter: Ignite's schedulers drive the number of critic updates."""

from __future__ import annotations

import copy
import math
from numbers import Real
from typing import Any

from ignite.handlers.state_param_scheduler import PiecewiseLinearStateScheduler, StateParamScheduler

from adaptive_critic.checks import describe
from adaptive_critic.handlers.base import ScheduledController
from adaptive_critic.laws.schedules import half_up

# Position and output of a scheduler, which an adapter does not use.
_NOT_CONFIGURATION = {"event_index", "_index", "_state_attrs", "_save_history", "create_new"}


class _SchedulerValues:
    """Schedule of an Ignite scheduler's values. It reads a copy, so that the scheduler may be attached elsewhere."""

    def __init__(self, scheduler: StateParamScheduler, floor: int) -> None:
        self._fresh = copy.copy(scheduler)
        self._fresh.event_index = 0
        if hasattr(self._fresh, "_index"):
            self._fresh._index = 0  # where PiecewiseLinearStateScheduler goes on searching, forwards only
        self._now = copy.copy(self._fresh)
        self._floor = floor

    def value(self, index: int) -> float:
        """Return the value at ``index`` (from 0), rounded half up.

        Raises:
            TypeError: if the scheduler gives no number.
            ValueError: if it gives NaN or an infinity.
        """
        if index < self._now.event_index:
            self._now = copy.copy(self._fresh)
        self._now.event_index = index
        found = self._now.get_param()
        if isinstance(found, bool) or not isinstance(found, Real):
            raise TypeError(f"{self!r} gives {found!r} at index {index}: expected a number, got {type(found).__name__}")
        number = float(found)
        if not math.isfinite(number):
            raise ValueError(f"{self!r} gives {found!r} at index {index}: expected a finite number")
        return max(self._floor, half_up(number))

    def extremes(self) -> tuple[float, float]:
        """Return infinite bounds: the values of a scheduler are not known beforehand."""
        return self._floor, math.inf

    def __repr__(self) -> str:
        shown: dict[str, object] = {k: v for k, v in vars(self._fresh).items() if k not in _NOT_CONFIGURATION}
        if isinstance(self._fresh, PiecewiseLinearStateScheduler):  # it keeps its one argument in two
            pairs = zip(shown.pop("milestones"), shown.pop("values"), strict=True)  # type: ignore[call-overload]
            shown["milestones_values"] = list(pairs)
        arguments = ", ".join(f"{name}={_stable(value)}" for name, value in shown.items())
        return f"{type(self._fresh).__name__}({arguments})"


def _stable(value: object) -> str:
    """Return a description that is the same on all ranks: no addresses."""
    return type(value).__name__ if type(value).__repr__ is object.__repr__ else describe(value)


class SchedulerAdapter(ScheduledController):
    """Lets one of Ignite's ``StateParamScheduler`` drive the number of critic updates.

    Such a scheduler alone leaves None until the first iteration is completed, which a
    training step can't use. It also writes floats without bounds. Here iteration i
    reads the value at ``event_index`` i - 1, rounded half up. From iteration 2 on that
    is the value that the scheduler itself would write; iteration 1 reads the value at
    0. Nothing is carried over: 2.4 is 2 at every iteration.

    The adapter copies the scheduler, which must depend on ``event_index`` alone, as all
    of Ignite's do. Don't attach the scheduler as well.

    Args:
        scheduler: ``PiecewiseLinearStateScheduler``, ``StepStateScheduler``,
            ``LambdaStateScheduler``, ...
        limits: (lower, upper) to which values are clamped, or None for the scheduler's
            own values, at least 1.
        param_name: name of the attribute of ``engine.state``; None means the
            scheduler's own.
        options: ``output_transform``, ``on_divergence``: see
            :class:`~adaptive_critic.controller.Controller`.

    Raises:
        TypeError: if ``scheduler`` is none of Ignite's, or gives something else than a
            number.
        ValueError: if it gives NaN or an infinity, or was told to save its history
            (:class:`ControllerHistory` does).

    Example:
        >>> from ignite.engine import Engine
        >>> from ignite.handlers import PiecewiseLinearStateScheduler
        >>> def step(engine, batch):
        ...     print(engine.state.num_discriminator_steps, end=" ")
        >>> trainer = Engine(step)
        >>> name = "num_discriminator_steps"
        >>> scheduler = PiecewiseLinearStateScheduler([(0, 5.0), (8, 1.0)], name)
        >>> SchedulerAdapter(scheduler).attach(trainer)
        >>> _ = trainer.run(range(10))
        5 5 4 4 3 3 2 2 1 1
    """

    def __init__(
        self,
        scheduler: StateParamScheduler,
        *,
        limits: tuple[int, int] | None = None,
        param_name: str | None = None,
        **options: Any,
    ) -> None:
        if not isinstance(scheduler, StateParamScheduler):
            raise TypeError(
                f"scheduler={scheduler!r}: expected one of Ignite's StateParamScheduler, got {type(scheduler).__name__}"
            )
        if scheduler.save_history:
            raise ValueError("the scheduler has save_history=True: leave it out and attach a ControllerHistory instead")
        super().__init__(
            _SchedulerValues(scheduler, floor=1 if limits is None else 0),
            limits=limits,
            param_name=scheduler.param_name if param_name is None else param_name,
            **options,
        )

    def __repr__(self) -> str:
        options = "".join(f", {name}={describe(value)}" for name, value in self._call[1].items() if name != "scheduler")
        return f"{type(self).__name__}({self.schedule!r}{options})"
