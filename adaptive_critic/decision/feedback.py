"""Closed loop: signal -> window -> law -> bounds -> rounding."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from adaptive_critic.checks import boolean, integer, limits_pair
from adaptive_critic.decision.bounds import LOWEST_RATIO, Bounds, Limits, any_limits
from adaptive_critic.decision.law_state import Law, check_replaces
from adaptive_critic.decision.saved import FeedbackState, read_state
from adaptive_critic.decision.window import SignalWindow
from adaptive_critic.exchange import Ranks
from adaptive_critic.laws import Observation
from adaptive_critic.output_warnings import OutputWarnings
from adaptive_critic.rounding import carry_over, rounded
from adaptive_critic.signals import RunningMetrics, Signal


class Feedback:
    """Observes every iteration, lets the law decide every ``update_every``, rounds with the error carried over.

    The law never gets an observation that is not finite or that is impossible (an accuracy of 80). The ratio is held
    then, and ``bad_observations`` counts it.

    Args:
        law: proposes the real-valued ratio.
        signal: gives the law's inputs; its names must be the law's.
        initial: ratio at the start, within the limits; clamped to limits that are assigned later.
        limits: (lower, upper) of the integer, or None, as :class:`Bounds` takes them.
        update_every: iterations between decisions, at least 1. Gains are per iteration.
        lagged: whether to decide on the observations of one decision earlier; None: for signals on CUDA.
        start_after: iterations before the first observation, at least 0; ratio and rate stay as they start.
        metrics: reads entries of StepOutput from running metrics, ``{"d_loss": "name in engine.state.metrics"}``,
            instead of from the step's output.
        check_limits: function of law and limits, for a law that can't keep all limits. It returns the limits or others
            in their place, and raises ValueError if none would do.
        regulates: name of the regulated quantity, for a kind of law that can regulate several. A state saved with
            another name is refused.
        lowest: lowest real-valued ratio if the lower limit is below it; above 0.
        rates: (low, high) of the multiplier of the critic's learning rate, for a law that proposes it too.
        initial_rate: multiplier at the start, within ``rates``.
    """

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
    ) -> None:
        if signal.names != law.inputs:
            raise ValueError(f"the law needs {law.inputs}, the signal gives {signal.names}")
        self._law, self._check_limits = law, check_limits
        self.update_every = integer("update_every", update_every, at_least=1)
        self._start_after = integer("start_after", start_after, at_least=0)
        lagged = lagged if lagged is None else boolean("lagged", lagged)
        self._signal, self._metrics = signal, RunningMetrics(metrics)
        self._window = SignalWindow(signal, self._metrics, lagged)
        self.takes_any_output = bool(self._metrics.names)
        self._warnings = OutputWarnings(signal, metrics=self.takes_any_output)
        self._initial_rate, self._regulates = None if rates is None else initial_rate, regulates
        self._bounds = Bounds(self._checked(limits), lowest, law.whole, rates)
        self._initial = self._bounds.initial(initial, limits)
        self.clear()

    def clear(self) -> None:
        """Go back to the start."""
        self.ratio, self.rate = self._bounds.clamped(self._initial, self._initial_rate)
        self._carry = 0.0
        self._set_law_state(self._law.init(self.ratio))
        self._since = self._elapsed = self._waited = self.bad_observations = 0
        self._warnings.reset()
        self._window.reset()

    @property
    def limits(self) -> Limits:
        """(lower, upper), or None."""
        return self._bounds.limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._bounds.change(self._checked(limits))
        self.ratio, self.rate = self._bounds.clamped(self.ratio, self.rate)

    def _checked(self, limits: Limits) -> Limits:
        return self._check_limits(self._law, None if limits is None else limits_pair(limits))

    @property
    def law(self) -> Law:
        """Law that proposes the ratio. Another law of its class may replace it and goes on from the state."""
        return self._law

    @law.setter
    def law(self, law: Law) -> None:
        check_replaces(law, self._law, self._law_state, self.ratio, self.rate)
        self._check_limits(law, self.limits)  # only to see that the new law can keep them
        self._law = law
        self._set_law_state(self._law_state)

    def _set_law_state(self, state: tuple[Any, ...]) -> None:
        self._law_state = state
        self.measurement = self._law.measurement(state)
        """quantity that the law regulates, NaN before the first decision"""

    def steps(self, index: int) -> int:
        """Return the ratio rounded, with the error carried over from earlier roundings."""
        return rounded(self.ratio, self._carry)

    def begin(self, ranks: Ranks) -> None:
        """Begin a run on these ranks."""
        self._window.begin(ranks)

    def ran(self, steps: int, ratio: float) -> None:
        """Carry over the difference between ``ratio`` and ``steps``."""
        if not self._law.whole:
            self._carry = carry_over(ratio, self._carry, steps)

    def skip(self, iterations: int = 1) -> None:
        """Leave iterations out."""
        self._window.pause()
        self._elapsed += iterations

    def observe(self, output: Any, metrics: Mapping[str, Any], steps: int) -> None:
        """Observe an iteration; decide if a decision is due."""
        if self._waited < self._start_after:
            self._waited += 1
            return
        early = self._warnings.checks_output  # False after some iterations
        problem = self._warnings.check_output(output, steps, self._bounds.upper) if early else ""
        self._window.gather(output, metrics, steps, problem)
        self._since += 1
        self._elapsed += 1
        if self._since >= self.update_every:
            self._since = 0
            if not self._decide():
                self.bad_observations += 1
                self._warnings.check_held(self._metrics.found(metrics) if self._metrics.names else output)

    def _decide(self) -> bool:
        """Let the law move ratio and rate; return False if the observation or what the law made of it is not finite."""
        values, ranks = self._window.read()
        if values is None:
            return True
        good, bad, *sums = values
        if bad > 0.0 or not all(map(math.isfinite, values)):  # a sum of finite numbers can overflow
            return False
        if good <= 0.0:
            return True
        if good != 1.0:
            sums = [value / good for value in sums]
        half = len(sums) // 2
        mean, square = tuple(sums[:half]), tuple(sums[half:])
        iterations = max(round(good / ranks), 1)
        if not self._warnings.check_means(mean, square, iterations, getattr(self._law, "ideal", None)):
            self.bad_observations += 1
            return True
        observation = Observation(mean, square, iterations, round(good), self._elapsed)
        current = (self.ratio,) if self.rate is None else (self.ratio, self.rate)
        law_state, *proposed = self._law.update(self._law_state, observation, *current)
        if any(map(math.isnan, proposed)):
            return False
        self._set_law_state(law_state)
        self.ratio, self.rate = self._bounds.clamped(*proposed)
        self._elapsed = self._warnings.held = 0
        return True

    def settings(self) -> str:
        """Return law and limits."""
        return f"law={self._law!r}, limits={self.limits!r}"

    def fingerprint(self) -> Any:
        """Return the state without this rank's own observations."""
        window = self._window.shared_state()
        return self.ratio, self.rate, self._carry, tuple(self._law_state), self._since, self.bad_observations, window

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""
        state = {
            "ratio": self.ratio,
            "carry": self._carry,
            "values": list(self._law_state),
            **self._window.state_dict(),
            "since": self._since,
            "elapsed": self._elapsed,
            "bad_observations": self.bad_observations,
        }
        more = {"rate": self.rate, "regulates": self._regulates, "waited": self._waited}
        return state | {key: value for key, value in more.items() if value}  # not every rule has them

    def read_state(self, state: Mapping[str, Any], steps: int | None) -> FeedbackState:
        """Return the state, checked. The law makes a trial decision from it."""
        return read_state(state, steps, self._law, self._initial, self._bounds, self._signal, self._regulates)

    def restore(self, state: FeedbackState) -> None:
        """Go on from a state, with ratio and rate within the current bounds."""
        self.ratio, self.rate = self._bounds.clamped(state.ratio, state.rate)
        self._carry, self.bad_observations = state.carry, state.bad_observations
        self._set_law_state(state.law)
        self._since, self._elapsed, self._waited = state.since, state.elapsed, state.waited
        self._window.restore(state.window)
