"""Closed-loop controllers: a signal, a law, limits and rounding, joined."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ignite.engine import Engine

from adaptive_critic import distributed
from adaptive_critic import state as saved
from adaptive_critic.checks import boolean, integer, limits_pair, real
from adaptive_critic.controller import Controller
from adaptive_critic.doubts import Doubts
from adaptive_critic.guard import DivergenceGuard
from adaptive_critic.laws import FeedbackLaw, Observation
from adaptive_critic.laws.ranges import checked
from adaptive_critic.measuring import Measurement
from adaptive_critic.rounding import diffuse
from adaptive_critic.signals import Signal

__all__ = ["FeedbackController", "initial_within"]

_LOWEST_RATIO = 0.1


def initial_within(limits: tuple[int, int] | None, initial: float | None, default: float) -> float:
    """Return ``initial``; if none was given the default, which gives way to the limits.

    Raises:
        TypeError: if the limits, which are needed then, are not a pair of ints.
        ValueError: if they are out of range.
    """
    if initial is not None:
        return initial
    if limits is None:
        return default
    lower, upper = limits_pair(limits)
    return min(max(default, lower), upper)


def _try(law: FeedbackLaw[Any], state: tuple[Any, ...], ratio: float) -> None:
    """Let the law decide once, and forget it: it is pure.

    Raises:
        ArithmeticError: if it can't.
        LookupError: if it can't.
        ValueError: if it can't, or what it leads to is not finite.
    """
    for value in (0.0, 1e6):  # on either side of a law's thresholds
        mean = (value,) * len(law.inputs)
        after, proposed = law.update(state, Observation(mean, mean), ratio)
        if not all(map(math.isfinite, (*after, proposed))):
            raise ValueError(f"it leads to {after}")


class FeedbackController(Controller):
    """Observes every iteration, lets the law decide every ``update_every``, rounds with the error carried over.

    An observation that is not finite, or that the signal can't have (an accuracy of 80), never reaches the law: the
    ratio is held and ``bad_observations`` counts it.

    Args:
        law: proposes the real-valued ratio.
        signal: gives the law's inputs; its names must be the law's.
        initial: ratio at the start, within the limits; clamped to others that are assigned later.
        limits: (lower, upper) of the integer. With lower = 0 the ratio may sink to 0.1, so that some iterations skip
            the critic. None bounds it below only: at 1, or at 0 for laws of whole numbers.
        update_every: iterations between decisions, at least 1. Gains are per iteration.
        lagged: True decides on what was observed one decision earlier, so that nothing waits for the device; None
            means True for signals on CUDA.
        metrics: reads entries of StepOutput from running metrics, ``{"d_loss": "name in engine.state.metrics"}``,
            instead of from the step's output.
        output_transform: see :class:`Controller`.
        param_name: see :class:`Controller`.
        on_divergence: see :class:`Controller`.
    """

    def __init__(
        self,
        law: FeedbackLaw[Any],
        signal: Signal,
        *,
        initial: float,
        limits: tuple[int, int] | None,
        update_every: int = 1,
        lagged: bool | None = None,
        metrics: Mapping[str, str] | None = None,
        output_transform: Callable[[Any], Any] | None = None,
        param_name: str = "num_discriminator_steps",
        on_divergence: str | Callable[..., None] | DivergenceGuard | None = None,
    ) -> None:
        if signal.names != law.inputs:
            raise ValueError(f"the law needs {law.inputs}, the signal gives {signal.names}")
        self._law = checked(law)
        self._update_every = integer("update_every", update_every, at_least=1)
        lagged = lagged if lagged is None else boolean("lagged", lagged)
        self._metrics = dict(metrics or {})
        for key, name in self._metrics.items():
            if not isinstance(name, str):
                raise TypeError(f"{key}={name!r}: expected the name of a running metric, got {type(name).__name__}")
        self._measurement = Measurement(signal, self._metrics, lagged)
        self._doubts = Doubts(signal, param_name)
        self._initial = real("initial", initial, at_least=0.0 if law.whole else _LOWEST_RATIO)
        super().__init__(
            limits=limits,
            output_transform=output_transform,
            param_name=param_name,
            on_divergence=on_divergence,
        )
        lower, upper = self._bounds()
        if not lower <= self._initial <= upper:
            where = f"limits={limits!r}" if self.limits is not None else "the law's range"
            raise ValueError(f"initial={initial!r} is outside {where}: expected a ratio in [{lower:g}, {upper:g}]")
        self._steps = self._steps_at(0)

    def _bounds(self) -> tuple[float, float]:
        """Return the range of the real-valued ratio."""
        if self._limits is None:
            return (0.0, math.inf) if self._law.whole else (1.0, math.inf)
        lower, upper = self._limits
        return (float(lower) if self._law.whole else max(float(lower), _LOWEST_RATIO)), float(upper)

    def _bounded(self, ratio: float) -> float:
        """Return the ratio, or the bound that it is beyond."""
        lower, upper = self._bounds()
        return min(max(ratio, lower), upper)

    def _clear(self) -> None:
        super()._clear()
        self._ratio = self._bounded(self._initial)
        self._carry = 0.0
        self._law_now: tuple[Any, ...] = self._law.init(self._ratio)
        self._since = 0
        self.bad_observations = 0
        self._doubts.reset()
        self._measurement.reset()

    @property
    def update_every(self) -> int:
        """Iterations between decisions. It stays as it was given.

        Raises:
            AttributeError: if another number is assigned.
        """
        return self._update_every

    @update_every.setter
    def update_every(self, update_every: object) -> None:
        raise AttributeError(
            f"update_every={update_every!r} can't be assigned, it stays {self._update_every}: make another controller "
            "with it, and give it the state of this one (load_state_dict)"
        )

    @property
    def law(self) -> FeedbackLaw[Any]:
        """What proposes the ratio. It is frozen; another one of its class, with other numbers, may take its place.

        Those of its numbers that the constructor takes can be read and assigned one by one: ``controller.kp = 1.0``.

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
        return self._law

    @law.setter
    def law(self, law: FeedbackLaw[Any]) -> None:
        if type(law) is not type(self._law):
            raise TypeError(
                f"law={law!r}: expected a {type(self._law).__name__}, such as "
                "dataclasses.replace(controller.law, ...); the state of one law means nothing to another, so that one "
                "needs a controller of its own"
            )
        law = checked(law)
        try:
            _try(law, self._law_now, self._ratio)
        except (ArithmeticError, LookupError, ValueError) as error:
            raise ValueError(f"law={law!r} can't go on from {self._law_now}: {error}") from None
        before, self._law = self._law, law
        try:
            self._checked_limits(self._limits)  # a gate's steps have to lie within them
        except ValueError:
            self._law = before
            raise

    @property
    def ratio(self) -> float:
        """Real-valued number of critic updates per generator update that is in force."""
        return self._ratio

    @property
    def signal(self) -> float:
        """What the law regulates, NaN before the first decision."""
        return self._law.measurement(self._law_now)

    def _join(self, engine: Engine) -> None:
        super()._join(engine)
        self._measurement.ranks = distributed.world_size()

    def _on_started(self, engine: Engine) -> None:
        self._measurement.begin()
        super()._on_started(engine)

    def observe(self, output: Any) -> int:
        """See :meth:`Controller.observe`. In a distributed run every rank must call it."""
        self._measurement.ranks = distributed.world_size()
        return super().observe(output)

    # --- one iteration ------------------------------------------------------------------------------------------

    def _steps_at(self, index: int) -> int:
        n, self._carry = diffuse(self._ratio, self._carry)
        return n

    def _resumed_steps(self, index: int) -> int:
        return self._fitted(self._steps, False)  # limits may have been assigned in an iteration that did not end

    def _next_steps(self, output: Any, metrics: Mapping[str, Any], steps: int, index: int) -> int:
        self._measurement.gather(output, metrics, steps)
        if not self._metrics:
            self._doubts.check_stand_in(output)
            self._doubts.check_score(output, self.generator_updates)
            if self._engine is not None:
                self._doubts.check_entries(output, steps, self.generator_updates)
        self._since += 1
        if self._since >= self._update_every:
            self._since = 0
            self._decide()
            self._doubts.check_held(self._entries(output, metrics))
        return self._steps_at(index)

    def _entries(self, output: Any, metrics: Mapping[str, Any]) -> Any:
        return {key: metrics.get(name) for key, name in self._metrics.items()} if self._metrics else output

    def _take_back(self) -> None:
        if not self._law.whole:
            self._carry = min(max(self._carry + self._steps - self._ratio, -0.5), 0.5)

    def _skip(self) -> None:
        self._measurement.pause()

    def _decide(self) -> None:
        values, ranks = self._measurement.read()
        if values is None:
            return
        good, bad, *sums = values
        if bad > 0.0 or not all(map(math.isfinite, values)):  # a sum of finite numbers can overflow
            self._hold()
            return
        if good <= 0.0:
            return
        half = len(sums) // 2
        mean = tuple(value / good for value in sums[:half])
        if self._doubts.is_impossible(mean):
            self.bad_observations += 1
            return
        iterations = max(round(good / ranks), 1)
        self._doubts.check_gap(mean, iterations)
        observation = Observation(mean, tuple(value / good for value in sums[half:]), iterations, round(good))
        state, proposed = self._law.update(self._law_now, observation, self._ratio)
        if math.isnan(proposed):
            self._hold()
            return
        self._law_now, self._ratio = state, self._bounded(proposed)
        self._decided = True
        self._doubts.held = 0

    def _hold(self) -> None:
        self.bad_observations += 1
        self._doubts.held += 1

    # --- state --------------------------------------------------------------------------------------------------

    def _law_state(self) -> dict[str, Any]:
        return {
            "ratio": self._ratio,
            "carry": self._carry,
            "values": list(self._law_now),
            **self._measurement.state_dict(),
            "since": self._since,
            "bad_observations": self.bad_observations,
        }

    def _read_law_state(self, state: Mapping[str, Any]) -> Callable[[], None]:
        ratio = saved.number(state, "ratio", 0.0, math.inf)
        carry = saved.number(state, "carry", -0.5, 0.5)
        law_now = self._read_values(state, self._bounded(ratio))
        apply_measurement = self._measurement.checked(state)
        since = saved.integer(state, "since")
        bad = saved.integer(state, "bad_observations")

        def apply() -> None:
            self._ratio, self._carry, self._law_now = ratio, carry, law_now
            apply_measurement()
            self._since, self.bad_observations = since, bad

        return apply

    def _fitted(self, steps: int, overridden: bool) -> int:
        """Clamp the ratio, too; round again where that changes it, so that the carry is not of the other one."""
        ratio = self._bounded(self._ratio)
        fits = ratio == self._ratio and steps == self._clamp_steps(steps)
        if not (fits or overridden):
            self._steps = steps
            self._take_back()
        self._ratio = ratio
        return steps if fits or overridden else self._steps_at(0)

    def _read_values(self, state: Mapping[str, Any], ratio: float) -> tuple[Any, ...]:
        """Return the law's state: entries of the kinds that a new state has, and usable by the law."""
        fresh = self._law.init(self._initial)
        values = saved.floats(state, "values", len(fresh))
        given = state["values"]
        for name, new, value, raw in zip(getattr(fresh, "_fields", ()), fresh, values, given, strict=True):
            whole = isinstance(new, int)
            if whole and (not isinstance(raw, int) or raw < 0):
                raise saved.StateError(f"state['values']: {name}={raw!r}, expected an int of at least 0")
            if not whole and not math.isfinite(value) and not (math.isnan(value) and math.isnan(new)):
                raise saved.StateError(f"state['values']: {name}={raw!r}, expected a finite number")
        law_now: tuple[Any, ...] = type(fresh)(*given)
        try:
            _try(self._law, law_now, ratio)
        except (ArithmeticError, LookupError, ValueError) as error:
            raise saved.StateError(f"state['values']={given!r} is no state of {self._law!r}: {error}") from None
        return law_now
