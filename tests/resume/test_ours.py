"""create_gan_trainer with what belongs to it, interrupted at awkward moments: each recipe is complete."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from adaptive_critic import (
    DivergenceGuard,
    FixedController,
    WassersteinGapController,
    check_resume,
    complete_recipe,
    create_gan_trainer,
)
from adaptive_critic.controller import Controller
from tests.guard.engines import needs_max_iters

pytestmark = needs_max_iters

ITERATIONS = 24


class Augmented(Dataset[torch.Tensor]):
    """Random numbers of all three kinds, drawn in this process or in a worker."""

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> torch.Tensor:
        drawn = random.random() + np.random.random_sample() + torch.rand(()).item()  # noqa: NPY002  # the global ones
        return torch.tensor([index / 40, drawn])


def points() -> DataLoader[Any]:
    return DataLoader(TensorDataset(torch.randn(60, 2)), batch_size=8, shuffle=True)


def gan(data: Any, **options: Any) -> Engine:
    generator = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    critic = nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.2), nn.Dropout(0.1), nn.Linear(8, 1))
    return create_gan_trainer(
        generator,
        critic,
        torch.optim.Adam(generator.parameters(), 1e-3),
        torch.optim.Adam(critic.parameters(), 1e-3),
        data=data,
        latent_dim=4,
        **({"objective": "hinge"} | options),
    )


def check(
    make: Callable[[Engine], Controller],
    saved_at: list[int],
    data: Callable[[], Any] = points,
    iterations: int = ITERATIONS,
    **options: Any,
) -> None:
    def build() -> tuple[Engine, dict[str, Any]]:
        torch.manual_seed(0)
        trainer = gan(data(), **options)
        controller = make(trainer)
        controller.attach(trainer)
        return trainer, complete_recipe(trainer, {"controller": controller})

    check_resume(
        build, lambda trainer: trainer.run(max_iters=1000, epoch_length=10), iterations=iterations, saved_at=saved_at
    )


def fixed(_: Engine) -> Controller:
    return FixedController(2)


def not_a_number_at(trainer: Engine, iteration: int) -> None:
    def spoil(engine: Engine) -> None:
        state = vars(engine.state)
        state["output"] = state["output"] | {"g_loss": state["output"]["g_loss"] * math.nan}

    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=iteration), spoil)


@pytest.mark.parametrize("mode", ["hold", "terminate_epoch", "rollback"])
def test_before_during_and_after_an_intervention_of_the_guard(mode: str) -> None:
    def make(trainer: Engine) -> Controller:
        not_a_number_at(trainer, 16)
        networks = vars(trainer.state)["to_save"]
        restored = ("generator", "discriminator", "optimizer_g", "optimizer_d")
        guard = DivergenceGuard(
            mode,
            to_restore={name: networks[name] for name in restored} if mode == "rollback" else None,
            check_every=3,
            snapshot_every=3,
            cooldown=4,
            override_iterations=4,
        )
        return WassersteinGapController(limits=(1, 4), warmup=2, gain=0.2, window=2, on_divergence=guard)

    check(make, [14, 16, 17, 18, 20])


def test_before_during_and_after_an_override() -> None:
    def make(trainer: Engine) -> Controller:
        controller = WassersteinGapController(limits=(1, 4), warmup=2, gain=0.2, window=2)
        trainer.add_event_handler(Events.ITERATION_COMPLETED(once=5), lambda: controller.hold(4))
        trainer.add_event_handler(Events.ITERATION_STARTED(once=12), lambda: controller.override(3, 1))
        return controller

    check(make, [4, 5, 6, 9, 11, 12, 13, 15], iterations=18)


@pytest.mark.parametrize("options", [{"lagged": True, "update_every": 3}, {"update_every": 7}], ids=str)
def test_between_decisions(options: dict[str, Any]) -> None:
    check(lambda _: WassersteinGapController(limits=(1, 4), warmup=2, gain=0.2, window=2, **options), [6, 7, 8])


@pytest.mark.parametrize(
    "data",
    [
        lambda: DataLoader(Augmented(), batch_size=8, shuffle=True),
        lambda: DataLoader(Augmented(), batch_size=8, shuffle=True, generator=torch.Generator().manual_seed(4)),
        lambda: [torch.randn(8, 2) for _ in range(5)],
    ],
    ids=["augmented in this process", "a generator of its own", "a list"],
)
def test_data(data: Callable[[], Any]) -> None:
    check(fixed, [1, 5, 7], data, iterations=12)  # 5 x 2 batches: the end of a pass


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
def test_data_of_workers() -> None:
    check(fixed, [7], lambda: DataLoader(Augmented(), batch_size=8, shuffle=True, num_workers=1), iterations=10)


@pytest.mark.parametrize(
    "options",
    [
        {"autocast": torch.float16, "ema": 0.9},
        {"gradient_accumulation_steps": 2},
        {"objective": "wasserstein-clip"},
        {"objective": "non-saturating", "r1": 1.0},
        {"objective": "non-saturating", "r1": 1.0, "penalty_every": 3},
    ],
    ids=str,
)
def test_steps(options: dict[str, Any]) -> None:
    check(fixed, [7], iterations=10, **options)
