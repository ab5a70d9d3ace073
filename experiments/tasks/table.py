"""The table "fair" of statsmodels, five continuous columns and four categories, WGAN-GP."""

from __future__ import annotations

import functools

import torch
from torch import nn

from experiments.networks import TableGenerator, table_critic
from experiments.tables import Table
from experiments.tables import table as load
from experiments.tasks._loaders import ShuffledRows
from experiments.tasks._planar import fixed_latents
from experiments.tasks._task import Game, Task

LATENT_DIM = 16
WIDTH = 64
BETAS = (0.5, 0.9)
fair = functools.cache(lambda: load("fair"))


def make(seed: int, evaluation_samples: int, rates: tuple[float, float]) -> Game:
    """Make the game of a seed at these learning rates of generator and critic."""
    torch.manual_seed(seed)
    real: Table = fair()
    generator = TableGenerator(len(real.continuous), real.block_sizes, LATENT_DIM, WIDTH)
    critic = table_critic(real.rows.shape[1], WIDTH)
    latents = fixed_latents(seed, evaluation_samples, LATENT_DIM)

    def evaluate(network: nn.Module) -> float:
        with torch.no_grad():
            return real.distance(network(latents))

    return Game(
        generator=generator,
        critic=critic,
        optimizer_g=torch.optim.Adam(generator.parameters(), rates[0], BETAS, fused=True),
        optimizer_d=torch.optim.Adam(critic.parameters(), rates[1], BETAS, fused=True),
        loader=ShuffledRows(real.rows, 128, 10 * seed + 1),
        latent_dim=LATENT_DIM,
        evaluate=evaluate,
        sample=lambda network: None,
    )


TASK = Task(
    name="table",
    title="Table of mixed columns",
    suite="evaluation",
    objective="wasserstein-gp",
    penalties={"gradient_penalty": 10.0},
    metric="distance of columns and correlations",
    make=make,
    budget=6_000.0,
    rates=(5e-4, 5e-4),
    seconds=8.0,
)
