"""Tiny networks for loops of other people's structure, and the truth about the updates that a loop has made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from adaptive_critic import Rounds

BATCH = 16


class Update(NamedTuple):
    """A step of one of the two optimizers, with the scores that were taken last before it."""

    letter: str
    """"d" or "g" """
    real: float
    fake: float


class Updates:
    """Writes down each step of a pair of optimizers."""

    def __init__(self, optimizer_g: torch.optim.Optimizer, optimizer_d: torch.optim.Optimizer) -> None:
        self.real = self.fake = float("nan")
        """means of the scores taken last"""
        self.all: list[Update] = []
        self.counted = True
        """False for steps that are no updates of their own, as those of a lazy penalty"""
        optimizer_g.register_step_post_hook(lambda *_: self._add("g"))
        optimizer_d.register_step_post_hook(lambda *_: self._add("d"))

    def _add(self, letter: str) -> None:
        if self.counted:
            self.all.append(Update(letter, self.real, self.fake))

    @property
    def made(self) -> str:
        """The updates in order, such as "dddgddg"."""
        return "".join(update.letter for update in self.all)

    @property
    def critic(self) -> int:
        return self.made.count("d")

    @property
    def generator(self) -> int:
        return self.made.count("g")

    @property
    def before_each_generator_update(self) -> list[int]:
        """Critic updates since the previous generator update, for each generator update."""
        return [len(part) for part in self.made.split("g")[:-1]]


class Toy:
    """Points on the left and a generator that begins on the right; scores are logits, higher for more real."""

    def __init__(self, critic: nn.Module | None = None) -> None:
        self.noise = torch.Generator().manual_seed(0)
        self.generator = nn.Linear(2, 2)
        self.critic = critic or nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
        for network in (self.generator, self.critic):
            for value in network.parameters():
                nn.init.normal_(value, std=0.5, generator=self.noise)
        self.optimizer_g = torch.optim.SGD(self.generator.parameters(), lr=0.02)
        self.optimizer_d = torch.optim.SGD(self.critic.parameters(), lr=0.02)
        self.updates = Updates(self.optimizer_g, self.optimizer_d)

    def loader(self, batches: int) -> Iterator[Tensor]:
        """Give fresh batches, as a pass over a data set does."""
        for _ in range(batches):
            yield torch.tensor([-1.0, 0.5]) + 0.3 * torch.randn(BATCH, 2, generator=self.noise)

    def latent(self) -> Tensor:
        return torch.randn(BATCH, 2, generator=self.noise)

    def fake(self) -> Tensor:
        points: Tensor = self.generator(self.latent())
        return points

    def score_real(self, points: Tensor) -> Tensor:
        scores: Tensor = self.critic(points)
        self.updates.real = float(scores.detach().mean())
        return scores

    def score_fake(self, points: Tensor) -> Tensor:
        scores: Tensor = self.critic(points)
        self.updates.fake = float(scores.detach().mean())
        return scores

    def critic_update(
        self, real: Tensor, fake: Tensor | None = None, scored: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Make a critic update of the hinge loss; return d_real, d_fake, d_loss, with their graphs.

        Args:
            real: points (n, 2).
            fake: points (n, 2) of the generator, new ones if None.
            scored: points (n, 2) that d_fake is of, if not of ``fake``.
        """
        d_real, d_fake = self.score_real(real), self.score_fake((self.fake() if fake is None else fake).detach())
        loss = relu(1.0 - d_real).mean() + relu(1.0 + d_fake).mean()
        if scored is not None:
            d_fake = self.score_fake(scored.detach())
        step(self.optimizer_d, loss)
        return d_real.mean(), d_fake.mean(), loss

    def generator_update(self, fake: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Make a generator update of the non-saturating loss; return g_loss and g_fake, with their graphs."""
        g_fake = self.score_fake(self.fake() if fake is None else fake)
        loss = softplus(-g_fake).mean()
        step(self.optimizer_g, loss)
        return loss, g_fake.mean()


def backward(loss: Tensor) -> None:
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped


def step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    backward(loss)
    optimizer.step()


def assert_counts_are_true(rounds: Rounds, updates: Updates) -> None:
    """Compare what is counted with the steps that the optimizers have made."""
    made, controller = updates.made, rounds.controller
    assert (rounds.critic_updates, rounds.generator_updates) == (updates.critic, updates.generator)
    assert controller.critic_updates == made[: made.rfind("g") + 1].count("d"), "those of complete rounds"
    leading = updates.generator - controller.generator_updates
    assert leading == 0 or (leading == 1 and made.startswith("gd")), "all but one that comes before any critic update"
