"""History of a controller, recorded in bounded memory, and its plot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

from ignite.engine import Engine, Events

from adaptive_critic import state as saved
from adaptive_critic.checks import attribute_name, integer, keywords, kind_of
from adaptive_critic.handler import DEFAULT_NAME, Handler, critic_updates, prefix

_FORMAT = 1


class HistoryPoint(NamedTuple):
    """Record of one iteration, or of several consecutive ones."""

    first: int
    """first iteration, from 1"""
    last: int
    """last iteration"""
    iterations: int
    """number of iterations recorded here"""
    critic_updates: int
    """critic updates of these iterations in total"""
    lowest: int
    """fewest critic updates of an iteration"""
    highest: int
    """most critic updates of an iteration"""
    ratio: float
    """mean of the real-valued ratio"""
    signal: float
    """latest signal that is not NaN, NaN if there was none"""
    rate: float = math.nan
    """mean multiplier of the critic's learning rate, NaN if no controller set one"""

    @property
    def steps(self) -> float:
        """Mean number of critic updates per iteration."""
        return self.critic_updates / self.iterations

    def and_then(self, other: HistoryPoint) -> HistoryPoint:
        """Return one point for this point and the next."""
        count = self.iterations + other.iterations
        rate = (self.iterations * self.rate + other.iterations * other.rate) / count
        return HistoryPoint(
            self.first,
            other.last,
            count,
            self.critic_updates + other.critic_updates,
            min(self.lowest, other.lowest),
            max(self.highest, other.highest),
            (self.iterations * self.ratio + other.iterations * other.ratio) / count,
            self.signal if math.isnan(other.signal) else other.signal,
            math.nan if math.isnan(rate) else rate,
        )


class ControllerHistory(Handler):
    """Records the critic updates, the ratio and the signal with which each iteration begins.

    Above ``max_points`` the history merges neighbours in pairs, and each point covers twice as many iterations as
    before. A point holds the sum of its critic updates, the fewest and the most. Attach the history before the
    controller or after it. If the run goes back to an earlier iteration, as a new run does, the history drops the
    points from there on.

    Args:
        max_points: number of points kept, at least 2.
        param_name: name of the attribute of ``engine.state``, as given to the controller.

    Example:
        >>> from ignite.engine import Engine
        >>> from adaptive_critic import StepDecayController
        >>> trainer = Engine(lambda engine, batch: None)
        >>> StepDecayController(milestones={0: 10, 25: 5}).attach(trainer)
        >>> history = ControllerHistory(max_points=4)
        >>> history.attach(trainer)
        >>> _ = trainer.run(range(100))
        >>> for point in history.points:
        ...     print(point.first, point.last, point.steps, point.lowest, point.highest)
        1 32 8.90625 5 10
        33 64 5.0 5 5
        65 96 5.0 5 5
        97 100 5.0 5 5
    """

    _also_listens: ClassVar[dict[Events, str]] = {Events.ITERATION_STARTED: "_on_iteration_started"}

    def __init__(self, max_points: int = 2000, *, param_name: str = DEFAULT_NAME) -> None:
        self.max_points = integer("max_points", max_points, at_least=2)
        self.param_name = attribute_name("param_name", param_name)
        self._clear()

    def _clear(self) -> None:
        self._points: list[HistoryPoint] = []
        self._span = 1  # iterations that a complete point stands for

    @property
    def points(self) -> tuple[HistoryPoint, ...]:
        """Recorded points, in order."""
        return tuple(self._points)

    def _on_iteration_started(self, engine: Engine) -> None:
        # When an iteration begins all controllers have written, whatever the order of attachment.
        iteration, steps = engine.state.iteration, critic_updates(engine, self.param_name, "ControllerHistory")
        absent = {"critic_ratio": steps, "critic_signal": math.nan, "critic_rate": math.nan}
        values = [float(getattr(engine.state, prefix(self.param_name) + name, absent[name])) for name in absent]
        while self._points and self._points[-1].last >= iteration:
            self._points.pop()
        if not self._points:
            self._clear()  # a new run has the finest resolution again
        self._add(HistoryPoint(iteration, iteration, 1, steps, steps, steps, *values))

    def _add(self, point: HistoryPoint) -> None:
        if self._points and self._points[-1].iterations < self._span:
            self._points[-1] = self._points[-1].and_then(point)
        else:
            self._points.append(point)
            self._thin_out()

    def _thin_out(self) -> None:
        while len(self._points) > self.max_points:
            pairs = [self._points[i : i + 2] for i in range(0, len(self._points), 2)]
            self._points = [pair[0].and_then(pair[1]) if len(pair) == 2 else pair[0] for pair in pairs]
            self._span *= 2

    def state_dict(self) -> dict[str, Any]:
        """Return the recorded points: ints, floats and lists of them."""
        return {
            "version": _FORMAT,
            "handler": type(self).__name__,
            "span": self._span,
            "points": [list(point[:-1] if math.isnan(point.rate) else point) for point in self._points],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned, thinned out if it has more than ``max_points``.

        Raises:
            StateError: if it is a state of another handler, of a newer format, or has entries missing or out of range.
                Nothing is changed then.
        """
        state = saved.header(state, type(self).__name__, _FORMAT)
        span = saved.integer(state, "span", at_least=1)
        width = len(HistoryPoint._fields)
        points = [_point(row) for row in saved.rows(state, "points", width - 1, width)]  # without a rate, and with one
        for before, after in pairwise(points):
            if after.first <= before.last:
                raise saved.StateError(f"state['points']: {after} does not follow {before}")
        self._points, self._span = points, span
        self._thin_out()


def _point(row: Sequence[float]) -> HistoryPoint:
    """Return a row of a saved state as a point, if it can be one."""
    counts, (ratio, signal, *rate) = row[:6], row[6:]
    if not all(value >= 0 and value.is_integer() for value in counts):  # NaN and infinities fail one of these
        raise saved.StateError(f"state['points']: {list(row)} must begin with six whole numbers of at least 0")
    first, last, iterations, updates, lowest, highest = map(int, counts)
    if not (
        1 <= first <= last
        and 1 <= iterations <= last - first + 1
        and iterations * lowest <= updates <= iterations * highest
    ):
        raise saved.StateError(f"state['points']: {list(row)} contradicts itself; expected {HistoryPoint._fields}")
    return HistoryPoint(first, last, iterations, updates, lowest, highest, ratio, signal, *rate)


@keywords(title="it returns a figure of matplotlib: figure.suptitle(...)")
def plot_history(history: ControllerHistory | Sequence[HistoryPoint], *, figure: Any = None) -> Any:
    """Draw a controller's history over iterations: critic updates and ratio, the critic's rate, the signal.

    If a point covers several iterations, the line shows their mean and the shaded range the fewest and the most.
    Quantities that a controller lacks have no panel: an open loop has no signal, and most controllers set no rate.

    Args:
        history: the recorded history or its points.
        figure: matplotlib figure to draw into, None for a new one of ``matplotlib.pyplot``.

    Returns:
        the figure; ``figure.axes`` are the panels.

    Raises:
        ValueError: if nothing was recorded.
        RuntimeError: if matplotlib is not installed.

    Example:
        >>> from matplotlib.figure import Figure
        >>> points = [HistoryPoint(1, 1, 1, 5, 5, 5, ratio=5.2, signal=0.1)]
        >>> [panel.get_ylabel() for panel in plot_history(points, figure=Figure()).axes]
        ['critic updates', 'signal']
    """
    found: Any = history.points if isinstance(history, ControllerHistory) else history
    if not isinstance(found, Sequence) or not all(isinstance(point, HistoryPoint) for point in found):
        raise TypeError(f"history={history!r}: expected a ControllerHistory or its points")
    if not found:
        raise ValueError("the history is empty: attach it to the trainer before the run")
    if figure is None:
        try:
            import matplotlib.pyplot as plt
        except ImportError:
            raise RuntimeError("plot_history needs matplotlib: pip install 'adaptive-critic[plots]'") from None
        figure = plt.figure(layout="constrained")
    elif not callable(getattr(figure, "subplots", None)):
        raise TypeError(f"figure={figure!r}: expected a figure of matplotlib, got {kind_of(figure)}")
    # A step lasts until the next point begins; the last point gets an end of its own.
    points = [*found, found[-1]]
    iterations = [point.first for point in found] + [points[-1].last + 1]
    below = {"critic's rate": [point.rate for point in points], "signal": [point.signal for point in points]}
    below = {label: values for label, values in below.items() if any(map(math.isfinite, values))}
    upper, *panels = figure.subplots(1 + len(below), sharex=True, squeeze=False)[:, 0]
    fewest, most = [point.lowest for point in points], [point.highest for point in points]
    if fewest != most:
        upper.fill_between(iterations, fewest, most, step="post", alpha=0.2, linewidth=0, label="fewest to most")
    for values, style, label in (
        ([point.steps for point in points], "-", "critic updates"),
        ([point.ratio for point in points], "--", "real-valued ratio"),
    ):
        upper.step(iterations, values, where="post", linestyle=style, label=label)
    upper.set_ylim(bottom=0)
    upper.set_ylabel("critic updates")
    upper.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3, frameon=False)  # above, where no curve is
    for row, (panel, (label, values)) in enumerate(zip(panels, below.items(), strict=True), start=2):
        panel.step(iterations, values, where="post", color=f"C{row}")
        panel.set_ylabel(label)
    for panel in (upper, *panels):
        panel.grid(alpha=0.3)
    figure.axes[-1].set_xlabel("iteration")
    return figure
