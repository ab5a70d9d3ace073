"""A GAN training that somebody wrote by hand, with one of everything that has a state."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from ignite.utils import manual_seed
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset

from adaptive_critic import (
    ControllerHistory,
    DivergenceGuard,
    InfiniteBatches,
    StopAtBudget,
    WassersteinGapController,
    infinite_batches,
)
from adaptive_critic.random_state import RandomState

EPOCH = 5


class Points(Dataset[torch.Tensor]):
    """Points on a line, moved at random by Python's and NumPy's global generators, as augmentations do."""

    def __len__(self) -> int:
        return 36

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.tensor([index / 36, random.random() + np.random.random_sample()])  # noqa: NPY002  # the global one


class OwnTraining:
    """The trainer and all objects, by name, attached in an order that a checkpoint has to cope with.

    Args:
        batches: where its batches come from.
    """

    def __init__(self, batches: InfiniteBatches[torch.Tensor] | None = None) -> None:
        manual_seed(5)
        generator = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
        critic = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 1))
        average = AveragedModel(generator, multi_avg_fn=get_ema_multi_avg_fn(0.9))  # type: ignore[no-untyped-call]
        optimizer_g = torch.optim.Adam(generator.parameters(), lr=1e-2)
        optimizer_d = torch.optim.Adam(critic.parameters(), lr=1e-2)
        scheduler_g = torch.optim.lr_scheduler.ExponentialLR(optimizer_g, 0.99)
        scheduler_d = torch.optim.lr_scheduler.ExponentialLR(optimizer_d, 0.9)
        latents = torch.Generator().manual_seed(17)
        batches = batches or infinite_batches(DataLoader(Points(), batch_size=8, shuffle=True, drop_last=True))

        def sample() -> torch.Tensor:
            made: torch.Tensor = generator(torch.randn(8, 2, generator=latents))
            return made

        def step(engine: Engine, _: Any) -> dict[str, Any]:
            reals, fakes, losses = [], [], []
            for _ in range(vars(engine.state)["num_discriminator_steps"]):
                optimizer_d.zero_grad()
                real, fake = critic(next(batches)).mean(), critic(sample().detach()).mean()
                (fake - real).backward()
                optimizer_d.step()
                reals.append(real.detach())
                fakes.append(fake.detach())
                losses.append((fake - real).detach())
            optimizer_g.zero_grad()
            g_loss = -critic(sample()).mean()
            g_loss.backward()
            optimizer_g.step()
            average.update_parameters(generator)
            return {
                "d_real": torch.stack(reals),
                "d_fake": torch.stack(fakes),
                "d_loss": torch.stack(losses),
                "g_loss": g_loss.detach(),
                "g_fake": -g_loss.detach(),
            }

        self.trainer = Engine(step)
        guard = DivergenceGuard("terminate", check_every=4)
        # So large a gain that n changes within a few iterations whatever numbers this torch draws.
        self.controller = WassersteinGapController(limits=(1, 6), on_divergence=guard, warmup=2, gain=1.0, window=2)
        budget, history = StopAtBudget(critic_updates=10_000), ControllerHistory()
        self.controller.attach(self.trainer)
        budget.attach(self.trainer)
        history.attach(self.trainer)
        self.trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: scheduler_g.step())
        self.trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: scheduler_d.step())
        self.objects: dict[str, Any] = {
            "trainer": self.trainer,
            "generator": generator,
            "critic": critic,
            "average": average,
            "optimizer_g": optimizer_g,
            "optimizer_d": optimizer_d,
            "scheduler_g": scheduler_g,
            "scheduler_d": scheduler_d,
            "latents": latents,
            "batches": batches,
            "controller": self.controller,
            "budget": budget,
            "history": history,
            "random_state": RandomState(torch.device("cpu")),
        }


def run(trainer: Engine, iterations: int = 1000) -> None:
    # Whole epochs, as every Ignite can: what a test needs of them it ends itself.
    trainer.run(range(EPOCH), max_epochs=iterations // EPOCH)
