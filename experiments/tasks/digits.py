"""The 1,797 digits of scikit-learn, 8x8, WGAN-GP."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from experiments.data import digits
from experiments.metrics import sliced_w1
from experiments.networks import mlp
from experiments.tasks._loaders import ShuffledRows
from experiments.tasks._planar import fixed_latents
from experiments.tasks._task import Game, Task

LATENT_DIM = 16
BETAS = (0.5, 0.9)


def make(seed: int, evaluation_samples: int, rates: tuple[float, float]) -> Game:
    """Make the game of a seed at these learning rates of generator and critic."""
    torch.manual_seed(seed)
    real = digits()
    generator = mlp([LATENT_DIM, 128, 128, 64], output=nn.Tanh())
    critic = mlp([64, 128, 128, 1], lambda: nn.LeakyReLU(0.2))
    latents = fixed_latents(seed, evaluation_samples, LATENT_DIM)

    def sample(network: nn.Module) -> Tensor:
        with torch.no_grad():
            made: Tensor = network(latents)
        return made.reshape(-1, 1, 8, 8)

    def evaluate(network: nn.Module) -> float:
        return sliced_w1(sample(network).flatten(1).numpy(), real.numpy(), projections=64)

    return Game(
        generator=generator,
        critic=critic,
        optimizer_g=torch.optim.Adam(generator.parameters(), rates[0], BETAS, fused=True),
        optimizer_d=torch.optim.Adam(critic.parameters(), rates[1], BETAS, fused=True),
        loader=ShuffledRows(real, 64, 10 * seed + 1),
        latent_dim=LATENT_DIM,
        evaluate=evaluate,
        sample=sample,
    )


TASK = Task(
    name="digits",
    title="Digits 8x8",
    suite="development",
    objective="wasserstein-gp",
    penalties={"gradient_penalty": 10.0},
    metric="sliced W1",
    make=make,
    budget=6_000.0,
    rates=(5e-4, 5e-4),
    seconds=8.0,
)
