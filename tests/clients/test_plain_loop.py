"""A loop without an Engine gets the same numbers from every controller as one under an Engine, bit for bit."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, NamedTuple

import pytest
import torch
from ignite.engine import Engine
from torch import Tensor, nn

from experiments.clients import plain_loop
from experiments.clients.plain_loop import RingGAN, train
from tests.handlers.table import HANDLERS, make, snapshot

ITERATIONS = 40
every_handler = pytest.mark.parametrize("code", HANDLERS.values(), ids=HANDLERS.keys())


class Observed(RingGAN):
    """The same step on linear networks; it also reports what the accuracy rules read, and losses above 0."""

    def __init__(self) -> None:
        super().__init__()
        self.generator, self.critic = nn.Linear(2, 2), nn.Linear(2, 1)
        for network in (self.generator, self.critic):
            for value in network.parameters():
                nn.init.normal_(value, generator=self.noise)
        self.optimizer_g = torch.optim.SGD(self.generator.parameters(), lr=0.05)
        self.optimizer_d = torch.optim.SGD(self.critic.parameters(), lr=0.05)

    def penalty(self, real: Tensor, fake: Tensor) -> Tensor:
        return sum((value.square().sum() for value in self.critic.parameters()), torch.zeros(()))

    def train_step(self, critic_updates: int) -> dict[str, Any]:
        output = super().train_step(critic_updates)
        called_real = output["g_fake"].sigmoid()
        losses = [1.0 + 0.5 * torch.tanh(loss) for loss in output["d_loss"]]
        return {**output, "d_loss": losses, "g_loss": 1.0 - 0.5 * called_real, "g_fake_accuracy": 1.0 - called_real}


def weights(gan: RingGAN) -> list[float]:
    return [number for value in gan.generator.parameters() for number in value.flatten().tolist()]


class Run(NamedTuple):
    steps: list[int]
    weights: list[float]
    state: str
    critic_updates: int


@cache
def plain(code: str) -> Run:
    gan, controller = Observed(), make(code)
    steps = train(gan, controller, ITERATIONS)
    return Run(steps, weights(gan), snapshot(controller), controller.critic_updates)


@every_handler
def test_the_same_as_under_an_engine(code: str) -> None:
    gan, controller, ran = Observed(), make(code), []

    def step(engine: Engine, _: int) -> dict[str, Any]:
        state: Any = engine.state
        ran.append(state.num_discriminator_steps)
        return gan.train_step(state.num_discriminator_steps)

    trainer = Engine(step)
    controller.attach(trainer)
    trainer.run(range(ITERATIONS))
    assert plain(code) == Run(ran, weights(gan), snapshot(controller), sum(ran))


@every_handler
def test_a_resumed_loop_goes_on_bit_for_bit(code: str) -> None:
    gan, controller, resumed = Observed(), make(code), make(code)
    steps = train(gan, controller, 13)
    resumed.load_state_dict(json.loads(json.dumps(controller.state_dict())))
    steps += train(gan, resumed, ITERATIONS - 13)
    assert plain(code) == Run(steps, weights(gan), snapshot(resumed), sum(steps))


def test_the_numbers_move() -> None:
    """The comparisons would hold for numbers that never change."""
    moved = [code for code in HANDLERS.values() if len(set(plain(code).steps)) > 1]
    assert len(moved) > len(HANDLERS) // 2


def test_the_script_trains(capsys: pytest.CaptureFixture[str]) -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    plain_loop.main(["--iterations", "30"])
    torch.set_num_threads(threads)
    assert torch.equal(torch.get_rng_state(), state), "no noise but its own"
    assert "critic updates, mean over tenths" in capsys.readouterr().out
