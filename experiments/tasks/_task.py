"""What a task of the suite is: a game to train, a budget to spend on it, and how to judge what comes out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from ignite.engine import Engine
from torch import Tensor, nn

from adaptive_critic.training import create_gan_trainer
from experiments.schema import TaskRecord
from experiments.tasks._loaders import FreshSamples, ShuffledRows


@dataclass
class Game:
    """One seed of a task, ready to train.

    Attributes:
        generator: latents (n, latent_dim) to samples.
        critic: samples to scores (n, 1).
        optimizer_g: steps the generator.
        optimizer_d: steps the critic.
        loader: batches of real samples without end.
        latent_dim: width of the latents.
        evaluate: quality of a generator in evaluation mode, lower is better; leaves every random state alone.
        sample: what it makes, for people: points (n, 2) or images (n, 1, side, side); None where there is nothing to
            look at.
    """

    generator: nn.Module
    critic: nn.Module
    optimizer_g: torch.optim.Optimizer
    optimizer_d: torch.optim.Optimizer
    loader: FreshSamples | ShuffledRows
    latent_dim: int
    evaluate: Callable[[nn.Module], float]
    sample: Callable[[nn.Module], Tensor | None]


@dataclass(frozen=True)
class Task:
    """A task of the suite.

    Attributes:
        name: unique.
        title: for people.
        suite: "development" (laws may be tuned on it) or "evaluation".
        objective: as ``create_gan_trainer`` names it.
        penalties: its arguments ``gradient_penalty``, ``r1`` and ``clip``.
        metric: name of the quality metric; lower is better.
        make: makes the game of a seed, for a number of samples that an evaluation looks at and for learning rates. For
            one seed, initial weights, order of real batches and evaluation latents are the same at every call.
        budget: cost at which a run ends, in generator updates.
        rates: learning rates of generator and critic.
        evaluations: how many, evenly spaced over the budget; at least 50, so that the grid is 2 % of it or finer.
        evaluation_samples: generated samples per evaluation.
        cheap: whether a run takes seconds or longer; it then gets fewer final seeds.
        seconds: processor seconds of one run on one thread, evaluations included, as measured; for planning alone.
        note: what is special, for people.
        penalty_every: critic updates from one penalty to the next.
    """

    name: str
    title: str
    suite: str
    objective: str
    penalties: Mapping[str, float] = field(hash=False)
    metric: str
    make: Callable[[int, int, tuple[float, float]], Game] = field(repr=False)
    budget: float
    rates: tuple[float, float]
    evaluations: int = 50
    evaluation_samples: int = 2000
    cheap: bool = True
    seconds: float = 10.0
    note: str = ""
    penalty_every: int = 1

    def __post_init__(self) -> None:
        if self.suite not in ("development", "evaluation"):
            raise ValueError(f"{self.name}: suite={self.suite!r} must be 'development' or 'evaluation'")
        if self.evaluations < 1 or not self.budget > 0:
            raise ValueError(f"{self.name}: evaluations={self.evaluations}, budget={self.budget}: must be positive")

    @property
    def grid(self) -> float:
        """Cost between two evaluations, in generator updates."""
        return self.budget / self.evaluations

    @property
    def is_wasserstein(self) -> bool:
        """Whether the critic's scores have no scale and no offset of their own."""
        return self.objective.startswith("wasserstein")

    def build(self, seed: int, evaluation_samples: int | None = None) -> Game:
        """Return the game of a seed, at the task's learning rates."""
        return self.make(
            seed, self.evaluation_samples if evaluation_samples is None else evaluation_samples, self.rates
        )

    def with_critic_rate(self, factor: float) -> Task:
        """The same task with the critic's learning rate multiplied by a factor above 0."""
        if not 0.0 < factor < math.inf:
            raise ValueError(f"{self.name}: critic's learning rate times {factor}: must be finite and above 0")
        return replace(self, rates=(self.rates[0], factor * self.rates[1]))

    def with_penalty_every(self, updates: int) -> Task:
        """The same task with its penalty at every so many critic updates, and so many times its weight."""
        return replace(self, penalty_every=updates)

    @property
    def has_penalty(self) -> bool:
        """Whether the critic's loss has a penalty on gradients."""
        return any(self.penalties.get(name) for name in ("gradient_penalty", "r1"))

    def trainer(self, game: Game, ema: float | None = None) -> Engine:
        """Return the engine that trains the game, and averages its generator with this decay."""
        return create_gan_trainer(
            game.generator,
            game.critic,
            game.optimizer_g,
            game.optimizer_d,
            data=game.loader,
            latent_dim=game.latent_dim,
            objective=self.objective,
            gradient_penalty=self.penalties.get("gradient_penalty"),
            r1=self.penalties.get("r1"),
            clip=self.penalties.get("clip"),
            penalty_every=self.penalty_every,
            ema=ema,
        )

    def configuration(self) -> dict[str, Any]:
        """What decides the numbers of a run, as plain values; the rest of the task is code."""
        told = ("title", "note", "seconds", "cheap", "make")
        plain = {key: value for key, value in vars(self).items() if key not in told}
        return {**plain, "penalties": dict(self.penalties), "rates": list(self.rates)}

    def record(self) -> TaskRecord:
        """Describe the task for a results folder, without targets."""
        return TaskRecord(
            name=self.name,
            title=self.title,
            suite=self.suite,
            objective="wasserstein" if self.is_wasserstein else self.objective,
            metric=self.metric,
            learning_rate_ratio=self.rates[1] / self.rates[0],
            cheap=self.cheap,
            note=self.note,
        )

    def cut(self) -> Task:
        """The same task for a few iterations: shows that everything runs, measures nothing."""
        return replace(self, budget=40.0, evaluations=2, evaluation_samples=200, seconds=0.3)
