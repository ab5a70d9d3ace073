"""Distil a diffusion model into a one-step generator, with a controller for the fake-score updates.

    python -m experiments.clients.distillation

A toy in two dimensions after DMD2 (Yin et al., "Improved Distribution Matching Distillation for Fast Image Synthesis",
2024), without its GAN loss: the generator is moved by the difference of two scores at its own noised samples, that of
the teacher and that of a network which is trained, all the while, on what the generator makes. DMD2 makes five updates
of that network for each one of the generator. Here ``num_discriminator_steps`` says how many.

The pair of scores is a critic. With the noise e that was added, the teacher's estimate e_T of it and the fake-score
network's e_F, the mean over noise levels of

    D(x) = |e_F - e|^2 - |e_T - e|^2

is high where x is better explained by the teacher than as something that the generator makes: up to the weights of the
noise levels, log p_teacher - log p_generator. Its scale, unlike a critic's, means something, and so does its 0: no
difference. So d_real is taken as 0, d_fake and g_fake are the means of D over the generator's batches, and the share of
the gap that a generator update uses up is what WassersteinGapController holds. For d_fake[0] the teacher is evaluated
once more in each iteration; this is charged.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from adaptive_critic import WassersteinGapController

BATCH = 256
WIDTH = 64
SPREAD = 0.1  # standard deviation of each mode
LOW, HIGH = 0.05, 2.0  # noise levels sigma: x_t = x + sigma * e
# In forward passes of networks of one size, as in DMD2; a backward pass counts two. A fake-score update makes a batch
# (1) and trains on it (3); a generator update makes one (1), asks teacher and fake score (2) and goes back (2).
FAKE_UPDATE, GENERATOR_UPDATE, TEACHER = 4.0, 5.0, 1.0


def mlp(inputs: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Linear(inputs, WIDTH), nn.SiLU()]
    for _ in range(2):
        layers += [nn.Linear(WIDTH, WIDTH), nn.SiLU()]
    return nn.Sequential(*layers, nn.Linear(WIDTH, 2))


class Teacher:
    """The exact score of a ring of eight Gaussians, at any noise level."""

    def __init__(self) -> None:
        angle = torch.arange(8) * (math.pi / 4.0)
        self.centres = torch.stack((angle.cos(), angle.sin()), dim=1)

    def sample(self, count: int, noise: torch.Generator) -> Tensor:
        """Return points (count, 2)."""
        chosen = torch.randint(8, (count,), generator=noise)
        return self.centres[chosen] + SPREAD * torch.randn(count, 2, generator=noise)

    def noise_in(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Return the noise estimated in x_t (n, 2) at the levels sigma (n, 1), (n, 2): -sigma times the score."""
        variance = sigma**2 + SPREAD**2
        away = x_t[:, None, :] - self.centres
        weight = torch.softmax(-0.5 * away.square().sum(2) / variance, dim=1)
        return sigma * (weight[:, :, None] * away).sum(1) / variance


class FakeScore(nn.Module):
    """Estimates the noise in the generator's noised samples."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(3)

    def forward(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Return the estimate (n, 2); inputs are scaled to unit order."""
        scaled = torch.cat((x_t / (1.0 + sigma**2).sqrt(), sigma.log()), dim=1)
        estimate: Tensor = self.net(scaled)
        return estimate


class Distillation:
    """Generator, fake score and their updates.

    Args:
        seed: of networks and noise.
        fake_rate: learning rate of the fake score's Adam.
        watched: evaluate D for the controllers that need it, at the price of one teacher evaluation per iteration.
    """

    def __init__(self, seed: int, *, fake_rate: float = 1e-3, watched: bool = True) -> None:
        self.noise = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.teacher, self.generator, self.fake = Teacher(), mlp(2), FakeScore()
        self.optimizer_g = torch.optim.Adam(self.generator.parameters(), lr=5e-4, betas=(0.0, 0.99))
        self.optimizer_f = torch.optim.Adam(self.fake.parameters(), lr=fake_rate, betas=(0.0, 0.99))
        self.watched = watched
        for _ in range(200):  # as in DMD2, the fake score starts from what the teacher knows
            self.learn(*self.noised(self.teacher.sample(BATCH, self.noise)))

    def generate(self, count: int = BATCH) -> Tensor:
        """Return points (count, 2) of the generator."""
        points: Tensor = self.generator(torch.randn(count, 2, generator=self.noise))
        return points

    def noised(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return x_t, sigma, e."""
        level = torch.rand(len(x), 1, generator=self.noise)
        sigma = (math.log(LOW) + (math.log(HIGH) - math.log(LOW)) * level).exp()
        e = torch.randn(len(x), 2, generator=self.noise)
        return x + sigma * e, sigma, e

    def learn(self, x_t: Tensor, sigma: Tensor, e: Tensor) -> Tensor:
        """Update the fake score on noised samples; return its squared errors before (n,)."""
        errors: Tensor = (self.fake(x_t, sigma) - e).square().sum(1)
        self.optimizer_f.zero_grad()
        errors.mean().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.optimizer_f.step()
        return errors.detach()

    def fake_update(self, score: bool) -> tuple[Tensor, Tensor | None]:
        """Update the fake score on a fresh batch; return its loss and, if asked for, the mean of D, both before."""
        with torch.no_grad():
            x_t, sigma, e = self.noised(self.generate())
        errors = self.learn(x_t, sigma, e)
        d = errors - (self.teacher.noise_in(x_t, sigma) - e).square().sum(1) if score else None
        return errors.mean(), None if d is None else d.mean()

    def generator_update(self) -> Tensor:
        """Move the generator along the difference of the scores; return the mean of D over its batch, before."""
        x = self.generate()
        with torch.no_grad():
            x_t, sigma, e = self.noised(x)
            teacher, fake = self.teacher.noise_in(x_t, sigma), self.fake(x_t, sigma)
            towards = sigma * (teacher - fake)  # from the teacher's estimate of x to the fake score's
            scale = (x - (x_t - sigma * teacher)).abs().mean(1, keepdim=True)  # DMD's weight
        self.optimizer_g.zero_grad()
        (x * (towards / scale)).sum(1).mean().backward()
        self.optimizer_g.step()
        d: Tensor = (fake - e).square().sum(1) - (teacher - e).square().sum(1)
        return d.mean()

    def train_step(self, fake_updates: int) -> dict[str, Any]:
        """Make so many fake-score updates and a generator update; return the StepOutput."""
        updates = [self.fake_update(score=self.watched and i == 0) for i in range(fake_updates)]
        d_fake = [d for _, d in updates if d is not None]
        g_fake = self.generator_update()
        return {
            "d_real": [torch.zeros(())] * len(d_fake),
            "d_fake": d_fake,
            "d_loss": [loss for loss, _ in updates],
            "g_loss": -g_fake,
            "g_fake": g_fake,
        }

    def cost(self, fake_updates: int) -> float:
        """Return the cost of an iteration in generator updates."""
        watching = TEACHER if self.watched and fake_updates else 0.0
        return (GENERATOR_UPDATE + FAKE_UPDATE * fake_updates + watching) / GENERATOR_UPDATE


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--iterations", type=int, default=300, help="generator updates")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    toy, controller = Distillation(args.seed), WassersteinGapController()
    steps = controller.num_discriminator_steps
    for iteration in range(args.iterations):
        output = toy.train_step(steps)
        steps = controller.observe(output)
        if iteration % 50 == 49:
            radius = float(toy.generate(1000).detach().norm(dim=1).mean())
            print(f"iteration {iteration + 1}: n = {steps}, kappa = {controller.signal:.3f}, mean radius {radius:.2f}")
    print(f"{controller.critic_updates} fake-score updates for {controller.generator_updates} of the generator")


if __name__ == "__main__":
    main()
