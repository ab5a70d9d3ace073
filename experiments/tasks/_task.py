"""What a task of the suite is: a game to train, a budget to spend on it, and how to judge what comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from ignite.engine import Engine
from torch import Tensor, nn

from adaptive_critic.training import create_gan_trainer
from experiments.tasks._loaders import FreshSamples, ShuffledRows

TUNING_SEEDS = (1000, 1001, 1002)
"""Seeds that pick the best fixed n, fix the targets and freeze settings; no result is quoted from them."""
CHEAP_FINAL_SEEDS = tuple(range(5, 25))
IMAGE_FINAL_SEEDS = tuple(range(2, 7))


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
        build: makes the game of a seed; the second argument is the number of samples that an evaluation looks at. For
            one seed, initial weights, order of real batches and evaluation latents are the same at every call.
        budget: cost at which a run ends, in generator updates.
        rates: learning rates of generator and critic.
        evaluations: how many, evenly spaced over the budget; at least 50, so that the grid is 2 % of it or finer.
        evaluation_samples: generated samples per evaluation.
        cheap: whether a run takes seconds (20 final seeds) or longer (5).
        seconds: processor seconds of one run on one thread, evaluations included, as measured; for planning alone.
        note: what is special, for people.
    """

    name: str
    title: str
    suite: str
    objective: str
    penalties: Mapping[str, float] = field(hash=False)
    metric: str
    build: Callable[[int, int], Game] = field(repr=False)
    budget: float
    rates: tuple[float, float]
    evaluations: int = 50
    evaluation_samples: int = 2000
    cheap: bool = True
    seconds: float = 10.0
    note: str = ""

    def __post_init__(self) -> None:
        if self.suite not in ("development", "evaluation"):
            raise ValueError(f"{self.name}: suite={self.suite!r} must be 'development' or 'evaluation'")
        if self.evaluations < 1 or not self.budget > 0:
            raise ValueError(f"{self.name}: evaluations={self.evaluations}, budget={self.budget}: must be positive")

    @property
    def tuning_seeds(self) -> tuple[int, ...]:
        """Seeds for choices."""
        return TUNING_SEEDS

    @property
    def final_seeds(self) -> tuple[int, ...]:
        """Seeds for results, disjoint from the tuning seeds."""
        return CHEAP_FINAL_SEEDS if self.cheap else IMAGE_FINAL_SEEDS

    @property
    def grid(self) -> float:
        """Cost between two evaluations, in generator updates."""
        return self.budget / self.evaluations

    @property
    def is_wasserstein(self) -> bool:
        """Whether the critic's scores have no scale and no offset of their own."""
        return self.objective.startswith("wasserstein")

    def trainer(self, game: Game) -> Engine:
        """Return the engine that trains the game."""
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
        )

    def configuration(self) -> dict[str, Any]:
        """What decides the numbers of a run, as plain values; the rest of the task is code."""
        told = ("title", "note", "seconds", "cheap", "build")
        plain = {key: value for key, value in vars(self).items() if key not in told}
        return {**plain, "penalties": dict(self.penalties), "rates": list(self.rates)}

    def cut(self) -> Task:
        """The same task for a few iterations: shows that everything runs, measures nothing."""
        return replace(self, budget=40.0, evaluations=2, evaluation_samples=200, seconds=0.3)
