"""Window of a signal: gathered on the device between two decisions, read once when one is due."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from adaptive_critic.decision.saved import WindowState
from adaptive_critic.exchange import Exchange, Ranks
from adaptive_critic.rows import Row, as_tensors, device_of, numbers, pack
from adaptive_critic.signals import RunningMetrics, Signal
from adaptive_critic.step_output import StepOutputError

_ROWS_KEPT = 32  # rows that wait before they are folded into the sums, to bound the memory


class SignalWindow:
    """Gathers the signal at every iteration; gives count, sums and sums of squares of its components when asked.

    An iteration costs one stack of 0-d tensors and no synchronisation. Rows are combined and summed when a decision is
    due or when many wait. The sums leave out a row with a non-finite component, and count it instead.

    Args:
        signal: picks and combines scalars.
        metrics: running metrics to read instead of the output, if it names some.
        lagged: whether to read the observations of one decision earlier; None: on CUDA.
    """

    def __init__(self, signal: Signal, metrics: RunningMetrics | None = None, lagged: bool | None = None) -> None:
        self._signal = signal
        self._components = len(signal.names)
        self._compared = slice(-1, None) if signal.paired else slice(0)  # rows to compare the next one with
        self._metrics = metrics if metrics is not None else RunningMetrics()
        self._lagged = lagged
        self._exchange = Exchange()
        self.reset()

    def reset(self) -> None:
        """Forget everything for a new run."""
        self.pause()
        self._exchange.reset()
        self._metrics.begin()

    def begin(self, ranks: Ranks) -> None:
        """Begin a run on these ranks."""
        self._exchange.ranks = ranks
        self._metrics.begin()

    def pause(self) -> None:
        """Forget what waits for the next decision: an iteration is left out, and no signal must compare across it."""
        self._rows: list[Row] = []
        self._observed: list[int] = []  # indices of rows that are observations
        self._sums: torch.Tensor | None = None

    def gather(self, output: Any, metrics: Mapping[str, Any], steps: int, problem: str = "") -> None:
        """Observe an iteration of ``steps`` critic updates. The scalars are copied.

        Args:
            output: a StepOutput.
            metrics: running metrics, read instead of the output if the window has names of metrics.
            steps: critic updates of the iteration.
            problem: fault of the output that was found before, empty if none.

        Raises:
            StepOutputError: if there is a problem, or an entry is missing. With several ranks it is raised on all of
                them, at the next :meth:`read`.
        """
        try:
            if problem:
                raise StepOutputError(problem)
            if self._metrics.names:
                output = self._metrics.read(metrics)
                if output is None:
                    return
            picked = self._signal.pick(output, steps)
        except StepOutputError as error:
            if self._exchange.ranks.count == 1:
                raise
            # Raised on all ranks at the next decision: one rank alone would hang the rest.
            self._exchange.fail(str(error))
            return
        if picked is None:
            return
        if picked.observed and (self._rows or not self._signal.paired):
            self._observed.append(len(self._rows))
        self._rows.append(pack(picked.scalars))
        if len(self._rows) >= _ROWS_KEPT:
            self._fold()

    def read(self) -> tuple[list[float] | None, int]:
        """Return count, bad count, sums and sums of squares (None if nothing has arrived), and the number of ranks.

        At most one read of the device, and with several ranks one all_reduce. The next window begins.

        Raises:
            StepOutputError: on all ranks, if one of them could not observe an iteration.
            RuntimeError: if the process group is gone.
        """
        lagged, ranks = self._lagged, self._exchange.ranks
        if lagged is None:  # all ranks must answer alike, also a rank whose step gave nothing to observe
            newest = self._rows[-1] if self._rows else self._sums
            lagged = ranks.on_cuda() if ranks.count > 1 else isinstance(newest, torch.Tensor) and newest.is_cuda
        if ranks.count > 1 or lagged:
            values, count = self._exchange(self.vector(), lagged)
        else:
            values, count = self._here(), 1
        self._sums = None
        self._rows, self._observed = self._rows[self._compared], []
        return values, count

    def _here(self) -> list[float]:
        """Return :meth:`vector` on the host."""
        if self._sums is not None:
            return [*self.vector().tolist()]
        # Windows of a few iterations are frequent. Once their rows are read, float arithmetic is the fastest.
        width = self._components
        total = [0.0] * (2 + 2 * width)
        if not self._observed:
            return total
        rows = numbers(self._rows)
        for index in self._observed:
            before = rows[index - 1] if self._signal.paired else ()
            try:
                components = self._signal.combine(*rows[index], *before)
            except ZeroDivisionError:  # tensors give an infinity or NaN here
                components = (math.nan,)
            if not all(map(math.isfinite, components)):
                total[1] += 1.0
                continue
            total[0] += 1.0
            for position, component in enumerate(components, start=2):
                total[position] += component
                total[position + width] += component * component
        return total

    def vector(self) -> torch.Tensor:
        """Return (2 + 2 * components,): rows with finite components, rows without, sums, sums of squares."""
        if self._observed:
            self._fold()
        if self._sums is None:
            return torch.zeros(2 + 2 * self._components, dtype=torch.float64)
        return self._sums

    def _fold(self) -> None:
        """Add the rows to the sums."""
        rows, observed = self._rows, self._observed
        self._rows, self._observed = rows[self._compared], []
        if not observed:
            return
        matrix = torch.stack(as_tensors(rows, device_of(rows)))
        first, last = observed[0], observed[-1]
        gaps = len(observed) <= last - first  # iterations without critic updates; a slice is faster
        now = matrix[observed if gaps else slice(first, last + 1)].unbind(dim=1)
        before: tuple[torch.Tensor, ...] = ()
        if self._signal.paired:
            before = matrix[[i - 1 for i in observed] if gaps else slice(first - 1, last)].unbind(dim=1)
        components = torch.stack(self._signal.combine(*now, *before), dim=1)
        finite = torch.isfinite(components).all(dim=1, keepdim=True)
        components = torch.where(finite, components, 0.0)
        good = finite.to(matrix.dtype)
        sums = torch.cat((good, 1.0 - good, components, components.square()), dim=1).sum(dim=0)
        self._sums = sums if self._sums is None else self._sums.to(sums.device) + sums

    def state_dict(self) -> dict[str, Any]:
        """Return the observations that wait for the next decision, as lists of numbers."""
        rows = [list(row) for row in numbers(self._rows)]
        sums = [] if self._sums is None else self._sums.tolist()
        in_flight, sent_by = self._exchange.on_its_way
        moments = {"rows": rows, "observed": list(self._observed), "sums": sums}
        return {"moments": moments, "in_flight": in_flight, "in_flight_ranks": sent_by}

    def shared_state(self) -> tuple[list[float], int]:
        """Return the part of the state that is equal on all ranks."""
        return self._exchange.on_its_way

    def restore(self, state: WindowState) -> None:
        """Go on from a state."""
        self._rows, self._observed = [*state.rows], [*state.observed]
        self._sums = torch.tensor(state.sums, dtype=torch.float64) if state.sums else None
        self._exchange.restore(list(state.in_flight), state.sent_by)
