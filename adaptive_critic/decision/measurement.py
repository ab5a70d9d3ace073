"""Collects the signal between decisions and reads it when one is due, summed over all ranks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from adaptive_critic import distributed
from adaptive_critic import state as saved
from adaptive_critic.decision.moments import Moments
from adaptive_critic.signals import Signal
from adaptive_critic.step_output import StepOutputError
from adaptive_critic.window import LaggedRead, received, sent


class MeasurementState(NamedTuple):
    """State of a measurement: observations that wait for the next decision."""

    moments: Moments
    """moments gathered since the last decision"""
    in_flight: tuple[float, ...]
    """sums that were sent one decision earlier, empty if there are none"""
    sent_by: int
    """number of ranks that sent them, 0 for the current number"""


class Measurement:
    """Gathers the signal at every iteration and reads it when a decision is due: one read, and one all_reduce.

    Args:
        signal: picks and combines scalars.
        metrics: names of the running metrics to read instead of the output, by StepOutput's keys; empty for none.
        lagged: whether to read the observations of one decision earlier; None: on CUDA.
    """

    def __init__(self, signal: Signal, metrics: Mapping[str, str], lagged: bool | None) -> None:
        self.signal = signal
        self.moments = Moments(signal)
        self.ranks = 1
        """number of ranks, read once when the run starts: a destroyed process group would report one process"""
        self._metrics = metrics
        self._lagged = lagged
        self._read = LaggedRead()
        self.reset()

    def reset(self) -> None:
        """Forget everything for a new run."""
        self.moments.reset()
        self._read.restore(None)
        self._sent_by = 0  # number of ranks that sent the sums on their way; 0 for the current number
        self._missing = 0
        self._error = ""

    def begin(self, ranks: int) -> None:
        """Begin a run on ``ranks`` ranks."""
        self.ranks = ranks
        self._missing = 0

    def pause(self) -> None:
        """Skip an iteration: signals that compare neighbouring iterations must not compare across it."""
        self.moments.reset()

    def gather(self, output: Any, metrics: Mapping[str, Any], steps: int, problem: str = "") -> None:
        """Observe an iteration of ``steps`` critic updates.

        Args:
            output: a StepOutput.
            metrics: running metrics, read instead of the output if the measurement has names of metrics.
            steps: critic updates of the iteration.
            problem: fault of the output that was found before, empty if none.

        Raises:
            StepOutputError: if there is a problem, or an entry is missing. With several ranks it is raised on all of
                them, at the next :meth:`read`.
        """
        try:
            if problem:
                raise StepOutputError(problem)
            if self._metrics:
                output = self._from_metrics(metrics)
            if output is not None or not self._metrics:
                picked = self.signal.pick(output, steps)
                if picked is not None:
                    self.moments.add(picked)
        except StepOutputError as error:
            if self.ranks == 1:
                raise
            # Raised on all ranks at the next decision: one rank alone would hang the rest.
            self._error = self._error or str(error)

    def _from_metrics(self, metrics: Mapping[str, Any]) -> dict[str, Any] | None:
        absent = [name for name in self._metrics.values() if name not in metrics]
        if not absent:
            return {key: metrics[name] for key, name in self._metrics.items()}
        self._missing += 1
        if self._missing > 1:  # at the first iteration a metric that was attached after the controller is not there yet
            raise StepOutputError(
                f"engine.state.metrics has no {' and '.join(map(repr, absent))}; it has {sorted(map(str, metrics))}: "
                "attach that metric to the trainer so that it is computed at every iteration"
            )
        return None

    def read(self) -> tuple[list[float] | None, int]:
        """Return count, bad count, sums and sums of squares (None if nothing has arrived), and the number of ranks.

        Raises:
            StepOutputError: on all ranks, if one of them could not observe an iteration.
            RuntimeError: if the process group is gone.
        """
        values, ranks = self._values()
        self.moments.next_window()
        return values, ranks

    def _values(self) -> tuple[list[float] | None, int]:
        lagged = self._lagged
        if lagged is None:
            # All ranks must answer alike, also a rank whose step gave nothing to observe.
            lagged = self.moments.on_cuda() if self.ranks == 1 else distributed.on_cuda()
        if self.ranks == 1 and not lagged:
            return self.moments.read(), 1
        vector = sent(self.moments.vector(), self._error, self.ranks)
        ranks = self.ranks
        if lagged:  # the values were sent one decision earlier, maybe before a resume on another number of ranks
            values = self._read.exchange(vector)
            ranks, self._sent_by = self._sent_by or ranks, ranks
        else:
            values = vector.tolist()
        if values is None:
            return None, ranks
        error = self._error
        if values[-1] > 0.0:
            self._error = ""
        return received(values, error), ranks

    def state_dict(self) -> dict[str, Any]:
        """Return the observations that wait for the next decision."""
        return {
            "moments": self.moments.state_dict(),
            "in_flight": self._read.pending() or [],
            "in_flight_ranks": self._sent_by,
        }

    def shared_state(self) -> tuple[list[float], int]:
        """Return the part of the state that is equal on all ranks."""
        return self._read.pending() or [], self._sent_by

    def read_state(self, state: Mapping[str, Any]) -> MeasurementState:
        """Return the entries of a state, checked. Changes nothing.

        Raises:
            StateError: if one is missing or out of range.
        """
        moments = Moments(self.signal)
        moments.load_state_dict(saved.mapping(state, "moments"))
        in_flight = saved.packed(state, "in_flight", 3 + 2 * len(self.signal.names))
        in_flight = (*in_flight[:-1], 0.0) if in_flight else ()  # an earlier run's error is not this run's
        sent_by = saved.integer(state, "in_flight_ranks") if "in_flight_ranks" in state else 0  # early states lack it
        return MeasurementState(moments, in_flight, sent_by)

    def restore(self, state: MeasurementState) -> None:
        """Go on from a state."""
        self.moments = state.moments
        self._read.restore(list(state.in_flight) or None)
        self._sent_by = state.sent_by
