"""Tiny networks for loops of other people's structure, and the truth about the updates that a loop has made."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import torch
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from adaptive_critic import Rounds

BATCH = 16


class Updates:
    """Writes down each step of a pair of optimizers: ``made`` is a string such as "dddgddg"."""

    def __init__(self, optimizer_g: torch.optim.Optimizer, optimizer_d: torch.optim.Optimizer) -> None:
        self.made = ""
        optimizer_g.register_step_post_hook(lambda *_: self._add("g"))
        optimizer_d.register_step_post_hook(lambda *_: self._add("d"))

    def _add(self, letter: str) -> None:
        self.made += letter

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

    @property
    def runs(self) -> list[tuple[str, int]]:
        """The updates with equal neighbours counted: [("d", 3), ("g", 1), ...]."""
        return [(letter, len(list(run))) for letter, run in groupby(self.made)]


class Toy:
    """Points on the left and a generator that begins on the right; scores are logits, higher for more real."""

    def __init__(self, seed: int = 0) -> None:
        self.noise = torch.Generator().manual_seed(seed)
        self.generator, self.critic = (
            nn.Linear(2, 2),
            nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1)),
        )
        for network in (self.generator, self.critic):
            for value in network.parameters():
                nn.init.normal_(value, std=0.5, generator=self.noise)
        self.optimizer_g = torch.optim.SGD(self.generator.parameters(), lr=0.02)
        self.optimizer_d = torch.optim.SGD(self.critic.parameters(), lr=0.02)
        self.updates = Updates(self.optimizer_g, self.optimizer_d)
        self.served = 0

    def loader(self, batches: int) -> Iterator[Tensor]:
        """Give fresh batches, as a pass over a data set does."""
        for _ in range(batches):
            self.served += 1
            yield torch.tensor([-1.0, 0.5]) + 0.3 * torch.randn(BATCH, 2, generator=self.noise)

    def latent(self) -> Tensor:
        return torch.randn(BATCH, 2, generator=self.noise)

    def fake(self) -> Tensor:
        points: Tensor = self.generator(self.latent())
        return points

    def critic_update(self, real: Tensor, fake: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Make a critic update of the hinge loss; return d_real, d_fake, d_loss, with their graphs."""
        d_real = self.critic(real)
        d_fake = self.critic((self.fake() if fake is None else fake).detach())
        loss = relu(1.0 - d_real).mean() + relu(1.0 + d_fake).mean()
        step(self.optimizer_d, loss)
        return d_real.mean(), d_fake.mean(), loss

    def generator_update(self, fake: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Make a generator update of the non-saturating loss; return g_loss and g_fake."""
        g_fake = self.critic(self.fake() if fake is None else fake)
        loss = softplus(-g_fake).mean()
        step(self.optimizer_g, loss)
        return loss, g_fake.mean()


def step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    optimizer.step()


def assert_counts_are_true(rounds: Rounds, updates: Updates) -> None:
    """Compare what is counted with the steps that the optimizers have made."""
    assert (rounds.critic_updates, rounds.generator_updates) == (updates.critic, updates.generator)
    state = rounds.engine.state
    of_complete_rounds = updates.made[: updates.made.rfind("g") + 1]
    leading = int(updates.made.startswith("g") and rounds.controller.generator_updates < updates.generator)
    assert rounds.controller.critic_updates == of_complete_rounds.count("d")
    assert rounds.controller.generator_updates == state.iteration == updates.generator - leading
