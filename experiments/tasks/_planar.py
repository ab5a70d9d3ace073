"""Tasks in the plane: a formula to draw real points from, two small perceptrons, sliced W1 as the metric."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from experiments.data import PROBLEMS_2D
from experiments.metrics import sliced_w1
from experiments.networks import critic_2d, generator_2d
from experiments.tasks._loaders import FreshSamples, ShuffledRows
from experiments.tasks._task import Game, Task

LATENT_DIM = 2
BETAS = (0.5, 0.9)
REFERENCE_POINTS = 10_000
# The weight of WGAN-GP's own toy problems.
TOY_PENALTY: Mapping[str, float] = MappingProxyType({"gradient_penalty": 0.1})


def planar_task(
    *,
    problem: str,
    objective: str = "wasserstein-gp",
    penalties: Mapping[str, float] = TOY_PENALTY,
    batch_size: int = 128,
    rates: tuple[float, float] = (1e-3, 1e-3),
    real_points: int | None = None,
    dropout: float = 0.0,
    width: int = 64,
    depth: int = 3,
    **described: Any,
) -> Task:
    """Describe a task in the plane.

    Args:
        problem: Name of a sampler of :data:`experiments.data.PROBLEMS_2D`.
        objective: See :class:`Task`.
        penalties: See :class:`Task`.
        batch_size: Real and generated points in a batch.
        rates: Learning rates of generator and critic.
        real_points: How many real points there are to train on; fresh ones for ever when None. Quality is always judged
            against points that no one trains on.
        dropout: Probability in the critic after each hidden layer.
        width: Of the hidden layers of both networks.
        depth: How many hidden layers both networks have.
        described: Further fields of :class:`Task`, above all name, title, suite and budget.
    """
    sampler = PROBLEMS_2D[problem]

    def make(seed: int, evaluation_samples: int, rates: tuple[float, float]) -> Game:
        torch.manual_seed(seed)
        generator = generator_2d(LATENT_DIM, width, depth)
        critic = with_dropout(critic_2d(width, depth), dropout)
        loader: FreshSamples | ShuffledRows = FreshSamples(sampler, batch_size, 10 * seed + 1)
        if real_points is not None:
            points = sampler(real_points, torch.Generator().manual_seed(10 * seed + 2))
            loader = ShuffledRows(points, batch_size, 10 * seed + 1)
        latents = fixed_latents(seed, evaluation_samples, LATENT_DIM)
        # One reference for all seeds: what differs between seeds is then the generators' own.
        reference = sampler(REFERENCE_POINTS, torch.Generator().manual_seed(2017)).numpy()

        def sample(network: nn.Module) -> Tensor:
            with torch.no_grad():
                points: Tensor = network(latents)
            return points

        def evaluate(network: nn.Module) -> float:
            return sliced_w1(sample(network).numpy(), reference, projections=32)

        return Game(
            generator=generator,
            critic=critic,
            optimizer_g=torch.optim.Adam(generator.parameters(), rates[0], BETAS, fused=True),
            optimizer_d=torch.optim.Adam(critic.parameters(), rates[1], BETAS, fused=True),
            loader=loader,
            latent_dim=LATENT_DIM,
            evaluate=evaluate,
            sample=sample,
        )

    return Task(
        objective=objective,
        penalties=penalties,
        metric="sliced W1",
        make=make,
        rates=rates,
        **described,
    )


def fixed_latents(seed: int, n: int, dimension: int) -> Tensor:
    """Latents for the evaluations of a seed, (n, dimension): always the same."""
    return torch.randn(n, dimension, generator=torch.Generator().manual_seed(10 * seed + 3))


def with_dropout(critic: nn.Sequential, probability: float) -> nn.Sequential:
    """The same critic with dropout after each activation; unchanged when the probability is 0."""
    if not probability:
        return critic
    layers: list[nn.Module] = []
    for layer in critic:
        layers.append(layer)
        if isinstance(layer, nn.LeakyReLU):
            layers.append(nn.Dropout(probability))
    return nn.Sequential(*layers)
