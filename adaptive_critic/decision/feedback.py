"""Closed loop: signal -> window -> law -> limits -> rounding."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from adaptive_critic import state as saved
from adaptive_critic.checks import boolean, integer, limits_pair, real
from adaptive_critic.laws import FeedbackLaw, Observation
from adaptive_critic.measuring import Measurement, MeasurementState
from adaptive_critic.output_warnings import OutputWarnings
from adaptive_critic.rounding import carry_over, rounded
from adaptive_critic.signals import Signal

__all__ = ["Feedback", "FeedbackState", "Limits", "any_limits"]

_LOWEST_RATIO = 0.1

Limits: TypeAlias = "tuple[int, int] | None"


def any_limits(law: Any, limits: Limits) -> Limits:
    """Return the limits: most laws keep any."""
    return limits


class FeedbackState(NamedTuple):
    """State of :class:`Feedback`."""

    ratio: float
    """real-valued number of critic updates per generator update"""
    carry: float
    """what rounding the iterations so far has left over, in [-1/2, 1/2]"""
    law: tuple[Any, ...]
    """the law's state"""
    since: int
    """iterations since the last decision"""
    bad_observations: int
    """decisions that were held since an observation was not finite, or impossible"""
    window: MeasurementState
    """what waits for the next decision"""


class Feedback:
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
        check_limits: returns limits, or others in their place, for a law that can't keep all; called with law and
            limits. It raises ValueError for limits that won't do.
        regulates: says what the law's state is about, where one kind of law regulates several things: a state that was
            saved about something else is refused.
    """

    def __init__(
        self,
        law: FeedbackLaw[Any],
        signal: Signal,
        *,
        initial: float,
        limits: Limits,
        update_every: int = 1,
        lagged: bool | None = None,
        metrics: Mapping[str, str] | None = None,
        check_limits: Callable[[Any, Limits], Limits] = any_limits,
        regulates: str = "",
    ) -> None:
        if signal.names != law.inputs:
            raise ValueError(f"the law needs {law.inputs}, the signal gives {signal.names}")
        self._law = law
        self.update_every = integer("update_every", update_every, at_least=1)
        lagged = lagged if lagged is None else boolean("lagged", lagged)
        self._metrics = dict(metrics or {})
        for key, name in self._metrics.items():
            if not isinstance(name, str):
                raise TypeError(f"{key}={name!r}: expected the name of a running metric, got {type(name).__name__}")
        self._window = Measurement(signal, self._metrics, lagged)
        self._warnings = OutputWarnings(signal, bool(self._metrics))
        self._check_limits = check_limits
        self._regulates = regulates
        self._initial = real("initial", initial, at_least=0.0 if law.whole else _LOWEST_RATIO)
        self._limits = self._checked(limits)
        lower, upper = self._bounds()
        if not lower <= self._initial <= upper:
            where = f"limits={limits!r}" if limits is not None else "the law's range"
            raise ValueError(f"initial={initial!r} is outside {where}: expected a ratio in [{lower:g}, {upper:g}]")
        self.clear()

    def clear(self) -> None:
        """Go back to the start."""
        self.ratio = self._bounded(self._initial)
        self._carry = 0.0
        self._law_state: tuple[Any, ...] = self._law.init(self.ratio)
        self._since = 0
        self.bad_observations = 0
        self._warnings.reset()
        self._window.reset()

    @property
    def limits(self) -> tuple[int, int] | None:
        """(lower, upper), or None."""
        return self._limits

    @limits.setter
    def limits(self, limits: tuple[int, int] | None) -> None:
        self._limits = self._checked(limits)
        self.ratio = self._bounded(self.ratio)

    def _checked(self, limits: tuple[int, int] | None) -> tuple[int, int] | None:
        return self._check_limits(self._law, None if limits is None else limits_pair(limits))

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

    @property
    def law(self) -> FeedbackLaw[Any]:
        """What proposes the ratio. Another one of its class may take its place; it goes on from the state."""
        return self._law

    @law.setter
    def law(self, law: FeedbackLaw[Any]) -> None:
        if type(law) is not type(self._law):
            raise TypeError(
                f"law={law!r}: expected a {type(self._law).__name__}, such as "
                "dataclasses.replace(controller.law, ...); the state of one law means nothing to another, so that one "
                "needs a controller of its own"
            )
        try:
            _try(law, self._law_state, self.ratio)
        except (ArithmeticError, LookupError, ValueError) as error:
            raise ValueError(f"law={law!r} can't go on from {self._law_state}: {error}") from None
        self._check_limits(law, self._limits)
        self._law = law

    @property
    def signal(self) -> float:
        """What the law regulates, NaN before the first decision."""
        return self._law.measurement(self._law_state)

    def steps(self, index: int) -> int:
        """Return the ratio rounded, with what earlier roundings left over."""
        return rounded(self.ratio, self._carry)

    def begin(self, ranks: int) -> None:
        """Begin a run on so many ranks."""
        self._window.begin(ranks)

    def ran(self, steps: int, ratio: float) -> None:
        """Carry over what ``steps`` is short of ``ratio``."""
        if not self._law.whole:
            self._carry = carry_over(ratio, self._carry, steps)

    def skip(self) -> None:
        """Leave iterations out."""
        self._window.pause()

    def observe(self, output: Any, metrics: Mapping[str, Any], steps: int) -> None:
        """Take in an iteration, decide if it is time."""
        self._window.gather(output, metrics, steps)
        self._warnings.check_output(output, steps)
        self._since += 1
        if self._since >= self.update_every:
            self._since = 0
            if not self._decide():
                self.bad_observations += 1
                named = {key: metrics.get(name) for key, name in self._metrics.items()}
                self._warnings.check_held(named if self._metrics else output)

    def _decide(self) -> bool:
        """Let the law move the ratio; return False if the observation was not finite."""
        values, ranks = self._window.read()
        if values is None:
            return True
        good, bad, *sums = values
        if bad > 0.0 or not all(map(math.isfinite, values)):  # a sum of finite numbers can overflow
            return False
        if good <= 0.0:
            return True
        half = len(sums) // 2
        mean = tuple(value / good for value in sums[:half])
        if self._warnings.is_impossible(mean):
            self.bad_observations += 1
            return True
        iterations = max(round(good / ranks), 1)
        self._warnings.check_gap(mean, iterations)
        observation = Observation(mean, tuple(value / good for value in sums[half:]), iterations, round(good))
        state, proposed = self._law.update(self._law_state, observation, self.ratio)
        if math.isnan(proposed):
            return False
        self._law_state, self.ratio = state, self._bounded(proposed)
        self._warnings.decided()
        return True

    def settings(self) -> str:
        """Return law and limits."""
        return f"law={self._law!r}, limits={self._limits!r}"

    def fingerprint(self) -> Any:
        """Return the state without what only this rank has observed."""
        window = self._window.shared_state()
        return self.ratio, self._carry, tuple(self._law_state), self._since, self.bad_observations, window

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""
        state = {
            "ratio": self.ratio,
            "carry": self._carry,
            "values": list(self._law_state),
            **self._window.state_dict(),
            "since": self._since,
            "bad_observations": self.bad_observations,
        }
        return {**state, "regulates": self._regulates} if self._regulates else state

    def read_state(self, state: Mapping[str, Any], steps: int | None) -> FeedbackState:
        """Return the state, checked; the law makes a decision from it for a trial."""
        found = state.get("regulates", self._regulates)  # early states don't say
        if found != self._regulates:
            raise saved.StateError(
                f"the state regulates {found!r}, this one regulates {self._regulates!r}: load it into one with the "
                "same objective (and kind of input), or start anew"
            )
        ratio = saved.number(state, "ratio", 0.0, math.inf)
        carry = saved.number(state, "carry", -0.5, 0.5)
        if steps is not None and not self._law.whole:
            carry = min(max(carry + steps - ratio, -0.5), 0.5)
        return FeedbackState(
            ratio=ratio,
            carry=carry,
            law=self._read_values(state, self._bounded(ratio)),
            since=saved.integer(state, "since"),
            bad_observations=saved.integer(state, "bad_observations"),
            window=self._window.read_state(state),
        )

    def restore(self, state: FeedbackState) -> None:
        """Go on from a state, with the ratio within the current limits."""
        self.ratio, self._carry = self._bounded(state.ratio), state.carry
        self._law_state, self._since, self.bad_observations = state.law, state.since, state.bad_observations
        self._window.restore(state.window)

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
        law_state: tuple[Any, ...] = type(fresh)(*given)
        try:
            _try(self._law, law_state, ratio)
        except (ArithmeticError, LookupError, ValueError) as error:
            raise saved.StateError(f"state['values']={given!r} is no state of {self._law!r}: {error}") from None
        return law_state


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
