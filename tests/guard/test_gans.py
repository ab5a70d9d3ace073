"""The guard on GANs that train: nothing on healthy ones, a report on each that is spoilt."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from torch import nn
from torch.nn.functional import relu, softplus

from adaptive_critic.guard import DivergenceGuard
from adaptive_critic.handlers import FixedController, WassersteinGapController
from tests.guard.engines import published

Losses = tuple[Callable[[torch.Tensor, torch.Tensor], torch.Tensor], Callable[[torch.Tensor], torch.Tensor]]

OBJECTIVES: dict[str, Losses] = {
    "wasserstein": (lambda real, fake: fake.mean() - real.mean(), lambda fake: -fake.mean()),
    "non-saturating": (
        lambda real, fake: softplus(-real).mean() + softplus(fake).mean(),
        lambda fake: softplus(-fake).mean(),
    ),
    "hinge": (lambda real, fake: relu(1 - real).mean() + relu(1 + fake).mean(), lambda fake: -fake.mean()),
}


class Ring:
    """A small GAN on eight points on a circle."""

    def __init__(self, objective: str, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.generator = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2))
        self.critic = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 1))
        self.optimizer_g = torch.optim.Adam(self.generator.parameters(), 1e-3, betas=(0.5, 0.9))
        self.optimizer_d = torch.optim.Adam(self.critic.parameters(), 1e-3, betas=(0.5, 0.9))
        self.penalised = objective == "wasserstein"
        self.critic_loss, self.generator_loss = OBJECTIVES[objective]
        self.data_scale = 1.0
        self.engine = Engine(self.step)

    def real(self) -> torch.Tensor:
        angle = torch.randint(0, 8, (64,)) * math.pi / 4
        return self.data_scale * (torch.stack((angle.cos(), angle.sin()), 1) * 2 + torch.randn(64, 2) * 0.05)

    def fake(self) -> torch.Tensor:
        samples: torch.Tensor = self.generator(torch.randn(64, 8))
        return samples

    def penalty(self, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        share = torch.rand(64, 1)
        mixed = (share * real + (1 - share) * fake).requires_grad_()
        gradient: torch.Tensor
        (gradient,) = torch.autograd.grad(self.critic(mixed).sum(), mixed, create_graph=True)
        excess: torch.Tensor = gradient.norm(dim=1) - 1
        return excess.square().mean()

    def critic_update(self) -> tuple[torch.Tensor, ...]:
        real, fake = self.real(), self.fake().detach()
        d_real, d_fake = self.critic(real), self.critic(fake)
        loss = self.critic_loss(d_real, d_fake)
        self.optimizer_d.zero_grad()
        (loss + self.penalty(real, fake) if self.penalised else loss).backward()  # type: ignore[no-untyped-call]
        self.optimizer_d.step()
        return (
            d_real.detach().mean(),
            d_fake.detach().mean(),
            loss.detach(),
            d_real.detach().std(),
            d_fake.detach().std(),
        )

    def step(self, engine: Engine, batch: Any) -> dict[str, Any]:
        updates = [self.critic_update() for _ in range(published(engine).num_discriminator_steps)]
        scores = self.critic(self.fake())
        g_loss = self.generator_loss(scores)
        self.optimizer_g.zero_grad()
        g_loss.backward()  # type: ignore[no-untyped-call]  # torch's own annotation
        self.optimizer_g.step()
        keys = ("d_real", "d_fake", "d_loss", "d_real_std", "d_fake_std")
        return dict(zip(keys, zip(*updates, strict=True), strict=True)) | {
            "g_loss": g_loss.detach(),
            "g_fake": scores.detach().mean(),
        }

    def objects(self) -> dict[str, Any]:
        return {
            "generator": self.generator,
            "critic": self.critic,
            "optimizer_g": self.optimizer_g,
            "optimizer_d": self.optimizer_d,
        }


@pytest.mark.parametrize("objective", sorted(OBJECTIVES))
def test_no_intervention_on_a_healthy_run(objective: str) -> None:
    gan = Ring(objective)
    controller = WassersteinGapController(on_divergence="terminate_epoch")
    controller.attach(gan.engine)
    gan.engine.run(range(300))
    assert controller.guard is not None
    assert [record for record in controller.guard.history if record["action"] != "report"] == []
    assert gan.engine.state.iteration == 300


def not_a_number(gan: Ring) -> None:
    """As a step with a gradient that is not a number leaves it."""
    next(gan.generator.parameters()).data[0, 0] = math.nan


def corrupted_data(gan: Ring) -> None:
    gan.data_scale = 1e5


def exploding_critic(gan: Ring) -> None:
    @gan.engine.on(Events.ITERATION_STARTED)
    def grow(engine: Engine) -> None:
        for parameter in gan.critic.parameters():
            parameter.data *= 1.2


def dead_critic(gan: Ring) -> None:
    # A large step left every unit of the hidden layer in its flat half.
    first = gan.critic[0]
    assert isinstance(first, nn.Linear)
    nn.init.constant_(first.bias, -1e3)


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (not_a_number, "non_finite"),
        (corrupted_data, "explosion"),
        (exploding_critic, "explosion"),
        (dead_critic, "dead"),
    ],
)
@pytest.mark.parametrize("objective", ["wasserstein", "hinge"])
def test_a_spoilt_run_is_reported_and_ends_in_a_usable_model(
    objective: str, spoil: Callable[[Ring], None], rule: str
) -> None:
    gan = Ring(objective)
    FixedController(2).attach(gan.engine)
    guard = DivergenceGuard("rollback", to_restore=gan.objects(), snapshot_every=50, cooldown=20)
    guard.attach(gan.engine)
    gan.engine.add_event_handler(Events.ITERATION_COMPLETED(once=150), lambda _: spoil(gan))
    gan.engine.run(range(450))
    first, last = guard.history[0], guard.history[-1]
    assert (first["rule"], first["action"]) == (rule, "rollback")
    assert 150 < first["iteration"] <= 200
    if last["action"] == "terminate":
        assert "3 of 3 interventions were made" in last["reason"]
    else:
        assert gan.engine.state.iteration == 450
    assert guard.interventions <= 4
    # Usable: finite, and of the size that weights have.
    for parameter in (*gan.generator.parameters(), *gan.critic.parameters()):
        assert parameter.abs().max() < 10


def test_a_run_that_stays_spoilt_is_ended() -> None:
    gan = Ring("wasserstein")
    FixedController(2).attach(gan.engine)
    guard = DivergenceGuard("rollback", to_restore=gan.objects(), snapshot_every=50, cooldown=20, max_interventions=2)
    guard.attach(gan.engine)
    gan.engine.add_event_handler(Events.ITERATION_COMPLETED(once=150), lambda _: corrupted_data(gan))
    gan.engine.run(range(450))
    assert [record["action"] for record in guard.history if record["rule"] == "explosion"] == [
        "rollback",
        "rollback",
        "terminate",
    ]
    assert gan.engine.state.iteration < 450
