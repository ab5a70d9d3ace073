"""Drive imitation's GAIL, the unmodified package, by a controller.

    pip install imitation      # with gymnasium and stable-baselines3; MIT licences
    python -m experiments.clients.imitation_gail

``AdversarialTrainer.train`` updates the policy, then reads ``n_disc_updates_per_round`` and makes so many critic
updates, over and over. AttributeActuator gives the number; three overridden methods report the updates. Nothing of its
loop is written again.

What the critic update sees are samples of the policy from *before* its latest update. So the score before that update
is of the samples before those: what the replay buffer holds when the policy's turn begins.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import torch
from imitation.algorithms.adversarial.gail import GAIL
from imitation.data.types import Transitions
from imitation.data.wrappers import RolloutInfoWrapper
from imitation.rewards.reward_nets import BasicRewardNet
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv

from adaptive_critic import AttributeActuator, Rounds, WassersteinGapController
from adaptive_critic.controller import Controller

STEPS = 64  # of an episode at most, and of each environment between two policy updates


class ReportingGAIL(GAIL):  # type: ignore[misc]  # it ships no types
    """GAIL that reports its updates to ``rounds``."""

    rounds: Rounds

    def logits_expert_is_high(self, *args: Any, **kwargs: Any) -> Any:
        self.logits = super().logits_expert_is_high(*args, **kwargs)
        return self.logits

    def train_gen(self, *args: Any, **kwargs: Any) -> None:
        g_fake = None
        if self._gen_replay_buffer.size() > 0:
            old = self._gen_replay_buffer.sample(self.demo_batch_size)
            inputs = self.reward_train.preprocess(old.obs, old.acts, old.next_obs, old.dones)
            with torch.no_grad():
                g_fake = self.logits_expert_is_high(*inputs).mean()
        super().train_gen(*args, **kwargs)
        self.rounds.generator(g_fake=g_fake)

    def train_disc(self, **kwargs: Any) -> Any:
        stats = super().train_disc(**kwargs)
        expert, generated = self.logits.detach().chunk(2)  # the batch has the expert's half first
        # One cross-entropy over both halves: log 2 at parity, where the sum of the two terms has log 4.
        self.rounds.critic(d_real=expert.mean(), d_fake=generated.mean(), d_loss=2.0 * stats["disc_loss"])
        return stats


def demonstrations(count: int) -> Transitions:
    """Return transitions of a rule that balances the pole."""
    env = gymnasium.make("CartPole-v1", max_episode_steps=STEPS)
    rows: list[tuple[Any, ...]] = []
    state, _ = env.reset(seed=0)
    while len(rows) < count:
        action = int(0.1 * state[0] + 0.1 * state[1] + state[2] + 0.5 * state[3] > 0)
        following, _, terminated, truncated, _ = env.step(action)
        rows.append((state, action, {}, following, terminated))
        state = env.reset()[0] if terminated or truncated else following
    obs, acts, infos, next_obs, dones = map(np.array, zip(*rows, strict=True))
    return Transitions(obs=obs, acts=acts, infos=infos, next_obs=next_obs, dones=dones)


def trainer(seed: int, n_disc_updates_per_round: int = 4) -> Any:
    """Return a small GAIL on CartPole."""
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002  # the package draws from NumPy's global state
    make_env = lambda: RolloutInfoWrapper(gymnasium.make("CartPole-v1", max_episode_steps=STEPS))  # noqa: E731
    env = DummyVecEnv([make_env] * 4)
    return ReportingGAIL(
        demonstrations=demonstrations(1000),
        demo_batch_size=128,
        venv=env,
        gen_algo=PPO("MlpPolicy", env, n_steps=STEPS, batch_size=64, n_epochs=2, seed=seed, device="cpu"),
        reward_net=BasicRewardNet(env.observation_space, env.action_space),
        n_disc_updates_per_round=n_disc_updates_per_round,
        allow_variable_horizon=True,
    )


def train(gail: Any, controller: Controller, rounds: int) -> Rounds:
    """Train for so many policy updates."""
    gail.rounds = Rounds(controller)
    with AttributeActuator(gail, "n_disc_updates_per_round", gail.rounds):
        gail.train(total_timesteps=rounds * gail.gen_train_timesteps)
    gail.logger.close()
    driven: Rounds = gail.rounds
    return driven


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20, help="policy updates")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rounds = train(trainer(args.seed), WassersteinGapController(), args.rounds)
    print(
        f"{rounds.critic_updates} critic updates for {rounds.generator_updates} of the policy; next: {rounds.steps}, "
        f"kappa {rounds.controller.signal:.3f}"
    )


if __name__ == "__main__":
    main()
