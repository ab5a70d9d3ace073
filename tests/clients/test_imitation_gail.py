"""imitation's GAIL, the unmodified package, driven by controllers: runs where the package is installed."""

from __future__ import annotations

import math

import pytest
import torch

from adaptive_critic import FixedController, Rounds, StepDecayController, WassersteinGapController

pytest.importorskip("imitation", reason="needs the package imitation: make test-clients")
gail = pytest.importorskip("experiments.clients.imitation_gail")
pytestmark = pytest.mark.filterwarnings("ignore")  # of gymnasium and stable-baselines3


def counted(trainer: object) -> list[int]:
    """Return a list that grows by one with each step of the critic's optimizer."""
    steps: list[int] = []
    trainer._disc_opt.register_step_post_hook(lambda *_: steps.append(1))  # type: ignore[attr-defined]  # a GAIL
    return steps


def test_updates_made_are_updates_asked() -> None:
    trainer = gail.trainer(0)
    steps = counted(trainer)
    rounds = gail.train(trainer, StepDecayController(milestones={0: 3, 2: 1}), 5)
    assert len(steps) == rounds.critic_updates == 3 + 3 + 1 + 1 + 1
    assert (rounds.generator_updates, rounds.controller.generator_updates) == (5, 4)
    assert trainer.n_disc_updates_per_round == 4


def test_a_fixed_number_is_the_packages_own_training_bit_for_bit() -> None:
    driven = gail.trainer(0, 7)
    rounds = gail.train(driven, FixedController(2), 4)
    own = gail.trainer(0, 2)
    own.rounds = Rounds(FixedController(2))
    own.train(total_timesteps=4 * own.gen_train_timesteps)
    own.logger.close()
    assert rounds.critic_updates == 8
    for one, other in zip(own.reward_train.parameters(), driven.reward_train.parameters(), strict=True):
        assert torch.equal(one, other)


def test_feedback_moves_the_number() -> None:
    trainer = gail.trainer(0)
    steps = counted(trainer)
    rounds = gail.train(trainer, WassersteinGapController(warmup=2, gain=0.5), 8)
    assert len(steps) == rounds.critic_updates != 2 * 8
    assert math.isfinite(rounds.controller.signal)
