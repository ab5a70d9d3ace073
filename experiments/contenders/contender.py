"""What a contender is: who sets n, at one setting, with the critic's learning rate multiplied by a factor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ignite.engine import Engine

from experiments.schema import ContenderRecord
from experiments.tasks._task import Game, Task


class Handler(Protocol):
    """What the runner needs of a controller."""

    def attach(self, engine: Engine) -> None:
        """Take effect on a trainer."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state."""


@dataclass(frozen=True)
class Context:
    """What a run can tell its contender, beside the contender's own setting.

    Attributes:
        task: name of the task.
        objective: of the task, as ``create_gan_trainer`` names it.
        seed: of the run.
        steps: mean number of critic updates of the run that is matched; NaN where none is.
        optimizer_d: the critic's optimizer.
        generator_rate: the generator's learning rate.
        most_critic_updates: how many the whole budget would pay for.
    """

    task: str
    objective: str
    seed: int
    steps: float
    optimizer_d: Any
    generator_rate: float
    most_critic_updates: int

    @classmethod
    def of(cls, task: Task, game: Game, seed: int, steps: float, critic_cost: float) -> Context:
        """Gather the context of one run."""
        most = max(int(task.budget / critic_cost), 1)
        return cls(task.name, task.objective, seed, steps, game.optimizer_d, task.rates[0], most)


@dataclass(frozen=True)
class Contender:
    """A contender at its one frozen setting.

    Attributes:
        name: unique.
        title: for people.
        kind: see :class:`experiments.schema.ContenderRecord`.
        handler: class of what is attached to the trainer.
        setting: the class's own arguments.
        told: names of entries of :class:`Context` that the class gets as further arguments.
        matches: the contender whose mean n, of the same task and seed, this one is told as ``steps``, and whose mean
            learning rate of the critic it has.
        tasks: names of the only tasks that it runs on; None: all.
        needs_scores_with_a_scale: leave out Wasserstein tasks, for which the rule is not defined.
        rate: factor of the critic's learning rate of each task, above 0; for one that matches another one, the mean of
            that one's run counts instead.
        penalty_every: critic updates from one penalty to the next; above 1 it runs on tasks with penalties alone.
    """

    name: str
    title: str
    kind: str
    handler: type[Any]
    setting: Mapping[str, Any] = field(default_factory=dict)
    told: tuple[str, ...] = ()
    matches: str | None = None
    tasks: tuple[str, ...] | None = None
    needs_scores_with_a_scale: bool = False
    rate: float = 1.0
    penalty_every: int = 1

    def runs_on(self, task: Task) -> bool:
        """Whether this contender belongs to a task."""
        if self.tasks is not None and task.name not in self.tasks:
            return False
        if self.penalty_every > 1 and not task.has_penalty:
            return False
        return not (self.needs_scores_with_a_scale and task.is_wasserstein)

    def make(self, context: Context | None = None) -> Handler:
        """Make the handler for one run; the context is needed by those that are told something of it."""
        told = {key: getattr(context, key) for key in self.told}
        handler: Handler = self.handler(**told, **self.setting)
        return handler

    @property
    def root(self) -> str:
        """Where its code begins, as :func:`experiments.identity.identity` takes it."""
        return f"{self.handler.__module__}:{self.handler.__qualname__}"

    def configuration(self) -> dict[str, Any]:
        """What decides the numbers of a run beside its code, as plain values."""
        return {"setting": dict(self.setting), "told": list(self.told), "rate": self.rate, "lazy": self.penalty_every}

    def record(self) -> ContenderRecord:
        """Describe the contender for a results folder."""
        return ContenderRecord(
            name=self.name,
            title=self.title,
            kind=self.kind,
            steps=int(self.setting["steps"]) if self.kind == "fixed" else None,
            matches=self.matches if self.kind == "matched" else None,
            setting={key: _text_keys(value) for key, value in self.setting.items()},
            rate=self.rate,
        )


def _text_keys(value: object) -> object:
    return {str(key): entry for key, entry in value.items()} if isinstance(value, dict) else value
