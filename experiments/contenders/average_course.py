"""Controls for feedback: average courses of the effort law, replayed whatever the run does.

``python -m experiments.contenders.write_courses`` writes the courses anew from the committed results.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events

from adaptive_critic.rounding import carry_over, rounded

FILE = Path(__file__).with_name("average_courses.json")
HALVES = {"41-48": range(41, 49), "55-59": range(55, 60)}
"""Seeds that are averaged, by name."""

Course = Mapping[str, list[float]]
"""``iterations``, and ``n`` and ``rate`` (the multiplier) at each."""


class AverageCourse:
    """Replay n and the rate's multiplier as the effort law had them on average, iteration by iteration.

    Runs on seeds 41 to 48 replay the geometric mean of the runs on 55 to 59, all others that of 41 to 48, so none
    replays itself. Where less than half of the averaged runs went on, the last values are kept.

    Args:
        task: Name of the task; one of :func:`course_tasks`, unless ``of_others``.
        seed: Of the run.
        optimizer_d: The critic's optimizer.
        of_others: Whether to replay the geometric mean of the courses of all other tasks, instead of the task's own.
    """

    def __init__(self, task: str, seed: int, optimizer_d: torch.optim.Optimizer, of_others: bool = False) -> None:
        courses = _courses()["55-59" if seed in HALVES["41-48"] else "41-48"]
        if task not in courses and not of_others:
            raise ValueError(f"task={task!r}: there are courses of {', '.join(courses)}")
        self.courses = [course for name, course in courses.items() if (name != task) is of_others]
        self.optimizer_d = optimizer_d
        self.base_rates = [float(group["lr"]) for group in optimizer_d.param_groups]
        self.carry = 0.0

    def attach(self, engine: Engine) -> None:
        """Set both before each iteration."""
        engine.add_event_handler(Events.ITERATION_STARTED, self._write)

    def at(self, iteration: int) -> tuple[float, float]:
        """Return n and the multiplier of an iteration, the first being 1."""

        def mean(name: str) -> float:
            logs = [np.interp(iteration, each["iterations"], np.log(each[name])) for each in self.courses]
            return float(np.exp(np.mean(logs)))

        return mean("n"), mean("rate")

    def _write(self, engine: Engine) -> None:
        ratio, rate = self.at(engine.state.iteration)
        n = rounded(ratio, self.carry)
        self.carry = carry_over(ratio, self.carry, n)
        engine.state.num_discriminator_steps = n  # type: ignore[attr-defined]  # State takes any attribute
        for group, base in zip(self.optimizer_d.param_groups, self.base_rates, strict=True):
            group["lr"] = base * rate

    def state_dict(self) -> dict[str, Any]:
        """Return what the last rounding left over."""
        return {"carry": self.carry}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what the last rounding left over."""
        self.carry = float(state["carry"])


def course_tasks() -> tuple[str, ...]:
    """Return the names of the tasks of which there are courses."""
    return tuple(_courses()["41-48"])


def _courses() -> dict[str, dict[str, Course]]:
    found: dict[str, dict[str, Course]] = json.loads(FILE.read_bytes())
    return found
