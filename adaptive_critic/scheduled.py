"""Open-loop controllers: the number of critic updates is a function of the iteration."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from adaptive_critic.checks import integer
from adaptive_critic.controller import Controller
from adaptive_critic.guard import DivergenceGuard
from adaptive_critic.laws import Schedule

__all__ = ["ScheduledController"]


class ScheduledController(Controller):
    """Writes a schedule's value, clamped to the limits.

    Args:
        schedule: gives a whole number for the index ``engine.state.iteration - 1``, so that iteration 1 reads the
            value at 0.
        limits: (lower, upper), or None for the schedule's own values.
        output_transform: see :class:`Controller`.
        param_name: see :class:`Controller`.
        on_divergence: see :class:`Controller`.
    """

    def __init__(
        self,
        schedule: Schedule,
        *,
        limits: tuple[int, int] | None = None,
        output_transform: Callable[[Any], Any] | None = None,
        param_name: str = "num_discriminator_steps",
        on_divergence: str | Callable[..., None] | DivergenceGuard | None = None,
    ) -> None:
        self.schedule = schedule
        super().__init__(
            limits=limits,
            output_transform=output_transform,
            param_name=param_name,
            on_divergence=on_divergence,
        )
        self._steps = self._steps_at(0)

    @property
    def ratio(self) -> float:
        """Number of critic updates per generator update that is in force."""
        return float(self._steps)

    @property
    def signal(self) -> float:
        """NaN: an open loop has no signal."""
        return math.nan

    def _steps_at(self, index: int) -> int:
        return self._clamp_steps(int(self.schedule.value(index)))

    def _next_steps(self, output: Any, metrics: Mapping[str, Any], steps: int, index: int) -> int:
        following = self._steps_at(index)
        self._decided = following != steps
        return following

    def _take_back(self) -> None:
        pass  # an open loop carries nothing over

    def _skip(self) -> None:
        pass  # an open loop observes nothing

    def _resumed_steps(self, index: int) -> int:
        return self._steps_at(index)

    def _law_state(self) -> dict[str, Any]:
        return {}

    def _read_law_state(self, state: Mapping[str, Any]) -> Callable[[], None]:
        return lambda: None

    @classmethod
    def simulate_values(cls, num_events: int, **scheduler_kwargs: Any) -> list[list[int]]:
        """Return what the controller would write at each of the first iterations.

        Args:
            num_events: number of iterations, at least 0.
            scheduler_kwargs: arguments of the constructor.

        Returns:
            a list of ``[index, value]``, as Ignite's schedulers return it.
        """
        controller = cls(**scheduler_kwargs)
        return [[index, controller._steps_at(index)] for index in range(integer("num_events", num_events, at_least=0))]

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
