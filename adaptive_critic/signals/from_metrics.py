"""Running metrics in place of the step's output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from adaptive_critic.signals.base import ANY_NUMBER, NumberT, Picked
from adaptive_critic.step_output import StepOutputError, scalar


class RunningMetrics:
    """Reads entries of a StepOutput from the running metrics of an engine.

    Args:
        names: ``{"d_loss": "name in engine.state.metrics"}``; empty: the step's output is read.

    Raises:
        TypeError: if a name is not a str.
    """

    def __init__(self, names: Mapping[str, str] | None = None) -> None:
        self.names = dict(names or {})
        for key, name in self.names.items():
            if not isinstance(name, str):
                raise TypeError(f"{key}={name!r}: expected the name of a running metric, got {type(name).__name__}")
        self.begin()

    def begin(self) -> None:
        """Begin a run."""
        self._missing = 0  # iterations of this run that lacked a metric

    def read(self, metrics: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the entries; None at the first iteration of a run that lacks a metric.

        A metric that was attached after the controller is not there yet at the first iteration.

        Raises:
            StepOutputError: if later ones lack it.
        """
        absent = [name for name in self.names.values() if name not in metrics]
        if not absent:
            return self.found(metrics)
        self._missing += 1
        if self._missing > 1:
            raise StepOutputError(
                f"engine.state.metrics has no {' and '.join(map(repr, absent))}; it has {sorted(map(str, metrics))}: "
                "attach that metric to the trainer so that it is computed at every iteration"
            )
        return None

    def found(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """Return the entries, None for those that are not there."""
        return {key: metrics.get(name) for key, name in self.names.items()}


class GapShareFromMetrics:
    """Components ``used`` and ``gap`` from two running gaps: before the critic's updates and after them."""

    names: ClassVar[tuple[str, ...]] = ("used", "gap")
    width: ClassVar[int] = 2
    paired: ClassVar[bool] = False
    domain: ClassVar[tuple[float, float]] = ANY_NUMBER
    hint: ClassVar[str] = ""

    def pick(self, output: Any, steps: int) -> Picked | None:
        """Pick both gaps."""
        return None if steps == 0 else Picked((scalar(output, "gap_before"), scalar(output, "gap_after")), True)

    def combine(self, *picked: NumberT) -> tuple[NumberT, ...]:
        """Return (gap after - gap before, gap after)."""
        before, after = picked
        return after - before, after
