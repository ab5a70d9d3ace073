"""Train a WGAN-GP on points in the plane, in a plain PyTorch loop with a controller.

    python -m experiments.examples.wgan_gp

Lines with the comment "controller" are all that it adds to the loop. It reads nothing but scores that the loop has
computed anyway, and nothing here needs an Engine.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from adaptive_critic import CriticEffortController, infinite_batches

LATENTS = 2


def ring(count: int) -> Tensor:
    """Return points (count, 2) around eight centres on a circle."""
    angle = torch.randint(8, (count,)) * (math.pi / 4.0)
    return torch.stack((angle.cos(), angle.sin()), dim=1) + 0.02 * torch.randn(count, 2)


def mlp(inputs: int, outputs: int) -> nn.Module:
    layers = [nn.Linear(inputs, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, outputs)]
    return nn.Sequential(*layers)


def gradient_penalty(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    between = torch.lerp(real, fake, torch.rand(len(real), 1)).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    penalty: Tensor = (slope.norm(dim=1) - 1.0).square().mean()
    return penalty


def sliced_distance(first: Tensor, second: Tensor, directions: int = 64) -> float:
    """Mean distance of the sorted projections onto a fan of directions; both have as many points. Lower is better."""
    angle = torch.arange(directions) * (math.pi / directions)
    fan = torch.stack((angle.cos(), angle.sin()))
    return float((torch.sort(first @ fan, dim=0)[0] - torch.sort(second @ fan, dim=0)[0]).abs().mean())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--iterations", type=int, default=6000, help="generator updates (default: %(default)s)")
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)

    torch.manual_seed(args.seed)
    points = ring(4096)
    loader: DataLoader[Any] = DataLoader(
        TensorDataset(points), batch_size=args.batch_size, shuffle=True, drop_last=True
    )
    batches = infinite_batches(loader)  # begins again when the loader ends
    generator, critic = mlp(LATENTS, 2), mlp(2, 1)
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=5e-4, betas=(0.5, 0.9))
    optimizer_d = torch.optim.Adam(critic.parameters(), lr=5e-4, betas=(0.5, 0.9))

    def fake() -> Tensor:
        made: Tensor = generator(torch.randn(args.batch_size, LATENTS))
        return made

    controller = CriticEffortController(optimizer_d)  # controller
    n = controller.num_discriminator_steps  # controller
    for iteration in range(1, args.iterations + 1):
        real_scores, fake_scores = [], []  # controller
        for _ in range(n):
            (real,), made = next(batches), fake().detach()
            d_real, d_fake = critic(real).mean(), critic(made).mean()
            optimizer_d.zero_grad()
            (d_fake - d_real + gradient_penalty(critic, real, made)).backward()
            optimizer_d.step()
            real_scores.append(d_real.detach())  # controller: a score from before optimizer_d.step()
            fake_scores.append(d_fake.detach())  # controller
        g_fake = critic(fake()).mean()
        optimizer_g.zero_grad()
        (-g_fake).backward()
        optimizer_g.step()
        output = {"d_real": real_scores, "d_fake": fake_scores, "g_fake": g_fake.detach()}  # controller
        n = controller.observe(output)  # controller
        if iteration % max(1, args.iterations // 5) == 0:
            with torch.no_grad():
                distance = sliced_distance(generator(torch.randn(len(points), LATENTS)), points)
            print(
                f"iteration {iteration}: {controller.critic_updates} critic updates so far, n {n}, critic's rate x "
                f"{controller.rate:.3g}, distance {distance:.3f}"
            )


if __name__ == "__main__":
    main()
