"""Drive a plain PyTorch loop, without an Engine, by a controller.

    python -m experiments.clients.plain_loop

All that it takes is ``controller.num_discriminator_steps`` before the first iteration, ``controller.observe(output)``
after each, which returns the next number, and ``state_dict`` in your checkpoint. The numbers are those under an Engine,
bit for bit. What needs an Engine is left out: events, ``engine.state``, and the DivergenceGuard.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from adaptive_critic import WassersteinGapController
from adaptive_critic.controller import Controller

BATCH = 64


def mlp(inputs: int, outputs: int) -> nn.Module:
    layers = [nn.Linear(inputs, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, outputs)]
    return nn.Sequential(*layers)


class RingGAN:
    """A WGAN-GP on eight points of a circle: anybody's training step, which returns what it has measured."""

    def __init__(self, seed: int = 0) -> None:
        self.noise = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.generator, self.critic = mlp(2, 2), mlp(2, 1)
        self.optimizer_g: Optimizer = torch.optim.Adam(self.generator.parameters(), lr=5e-4, betas=(0.5, 0.9))
        self.optimizer_d: Optimizer = torch.optim.Adam(self.critic.parameters(), lr=5e-4, betas=(0.5, 0.9))

    def real(self) -> Tensor:
        angle = torch.randint(8, (BATCH,), generator=self.noise) * (math.pi / 4.0)
        centres = torch.stack((angle.cos(), angle.sin()), dim=1)
        return centres + 0.02 * torch.randn(BATCH, 2, generator=self.noise)

    def fake(self) -> Tensor:
        points: Tensor = self.generator(torch.randn(BATCH, 2, generator=self.noise))
        return points

    def penalty(self, real: Tensor, fake: Tensor) -> Tensor:
        share = torch.rand(BATCH, 1, generator=self.noise)
        between = (share * real + (1.0 - share) * fake).requires_grad_()
        (gradient,) = torch.autograd.grad(self.critic(between).sum(), between, create_graph=True)
        excess: Tensor = gradient.norm(dim=1) - 1.0
        return (excess**2).mean()

    def critic_update(self) -> tuple[Tensor, Tensor]:
        real, fake = self.real(), self.fake().detach()  # fresh batches for each update
        d_real, d_fake = self.critic(real).mean(), self.critic(fake).mean()
        self.optimizer_d.zero_grad()
        (d_fake - d_real + 10.0 * self.penalty(real, fake)).backward()
        self.optimizer_d.step()
        return d_real.detach(), d_fake.detach()

    def train_step(self, critic_updates: int) -> dict[str, Any]:
        """Make so many critic updates and a generator update; return the StepOutput."""
        scores = [self.critic_update() for _ in range(critic_updates)]
        g_fake = self.critic(self.fake()).mean()
        self.optimizer_g.zero_grad()
        (-g_fake).backward()
        self.optimizer_g.step()
        return {
            "d_real": [real for real, _ in scores],
            "d_fake": [fake for _, fake in scores],
            "d_loss": [fake - real for real, fake in scores],
            "g_loss": -g_fake.detach(),
            "g_fake": g_fake.detach(),
        }


def train(gan: RingGAN, controller: Controller, iterations: int) -> list[int]:
    """Train, and return the number of critic updates of each iteration."""
    ran = []
    steps = controller.num_discriminator_steps
    for _ in range(iterations):
        output = gan.train_step(steps)
        ran.append(steps)
        steps = controller.observe(output)
    return ran


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--iterations", type=int, default=500, help="generator updates")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    gan, controller = RingGAN(args.seed), WassersteinGapController()
    ran = train(gan, controller, args.iterations)
    points = gan.fake().detach()
    tenth = max(len(ran) // 10, 1)
    means = [sum(part) / len(part) for part in (ran[i : i + tenth] for i in range(0, len(ran), tenth))]
    print("critic updates, mean over tenths of the run:", *(f"{mean:.1f}" for mean in means))
    print(
        f"{controller.critic_updates} in all; the points are {points.norm(dim=1).mean():.2f} from the centre (real: 1)"
    )


if __name__ == "__main__":
    main()
