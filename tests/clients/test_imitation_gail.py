"""imitation's GAIL, the unmodified package, driven by controllers: runs where the package is installed."""

from __future__ import annotations

import math

import pytest
import torch

from adaptive_critic import (
    CriticEffortController,
    FixedController,
    Rounds,
    StepDecayController,
    WassersteinGapController,
)
from adaptive_critic.controller import Controller

pytest.importorskip("imitation", reason="needs the package imitation: make test-clients")
gail = pytest.importorskip("experiments.clients.imitation_gail")
pytestmark = pytest.mark.filterwarnings("ignore")  # of gymnasium and stable-baselines3


def counted(trainer: object) -> list[int]:
    """Return a list that grows by one with each step of the critic's optimizer."""
    steps: list[int] = []
    trainer._disc_opt.register_step_post_hook(lambda *_: steps.append(1))  # type: ignore[attr-defined]  # a GAIL
    return steps


def drive(trainer: object, controller: Controller, rounds: int) -> Rounds:
    driven: Rounds = gail.train(trainer, controller, rounds * trainer.gen_train_timesteps)  # type: ignore[attr-defined]
    trainer.logger.close()  # type: ignore[attr-defined]
    return driven


def test_updates_made_are_updates_asked() -> None:
    trainer = gail.trainer(0)
    steps = counted(trainer)
    rounds = drive(trainer, StepDecayController(milestones={0: 3, 2: 1}), 5)
    assert len(steps) == rounds.critic_updates == 3 + 3 + 1 + 1 + 1
    assert rounds.generator_updates == rounds.controller.generator_updates == 5
    assert trainer.n_disc_updates_per_round == 4


def test_a_fixed_number_is_the_packages_own_training_bit_for_bit() -> None:
    driven = gail.trainer(0, 7)
    rounds = drive(driven, FixedController(2), 4)
    own = gail.trainer(0, 2)
    # The report draws once from NumPy's global state in each round.
    own.train(4 * own.gen_train_timesteps, callback=lambda _: own._gen_replay_buffer.sample(own.demo_batch_size))
    own.logger.close()
    assert rounds.critic_updates == 8
    for one, other in zip(own.reward_train.parameters(), driven.reward_train.parameters(), strict=True):
        assert torch.equal(one, other)


def test_feedback_moves_the_number() -> None:
    trainer = gail.trainer(0)
    steps = counted(trainer)
    rounds = drive(trainer, WassersteinGapController(warmup=2, gain=0.5), 8)
    assert len(steps) == rounds.critic_updates != 2 * 8
    assert math.isfinite(rounds.controller.signal)


def test_the_rate_is_raised_while_the_critic_steps() -> None:
    trainer = gail.trainer(0)
    rounds = drive(trainer, CriticEffortController(trainer._disc_opt), 4)
    assert rounds.controller.generator_updates == 4
    assert math.isfinite(rounds.controller.signal)
