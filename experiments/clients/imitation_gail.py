"""Drive imitation's GAIL, the unmodified package, by a controller.

    pip install imitation      # with gymnasium and stable-baselines3; MIT licences
    python -m experiments.clients.imitation_gail

``AdversarialTrainer.train`` updates the policy, then reads ``n_disc_updates_per_round`` and makes so many critic
updates, over and over. AttributeActuator gives the number; two hooks and the callback of ``train`` report the updates.
Nothing of its loop is written again, and no class is derived.

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

from adaptive_critic import AttributeActuator, CriticEffortController, Rounds
from adaptive_critic.controller import Controller

STEPS = 64  # of an episode at most, and of each environment between two policy updates


def train(gail: Any, controller: Controller, total_timesteps: int) -> Rounds:
    """Train as ``gail.train(total_timesteps)`` does, with the controller's number of critic updates."""
    rounds, seen = Rounds(controller), dict[str, Any]()

    def note_scores(net: Any, inputs: Any, logits: Any) -> None:
        if logits.requires_grad:  # a critic update; rewards are asked for without gradients
            expert, generated = logits.detach().chunk(2)  # the batch has the expert's half first
            seen.update(d_real=expert.mean(), d_fake=generated.mean())

    def policy_is_next(_: int) -> None:
        old = gail._gen_replay_buffer.sample(gail.demo_batch_size)
        scores = gail._reward_net.predict_th(old.obs, old.acts, old.next_obs, old.dones)
        rounds.generator(g_fake=scores.mean())

    gail._reward_net.register_forward_hook(note_scores)
    gail._disc_opt.register_step_post_hook(lambda *_: rounds.critic(**seen))
    with AttributeActuator(gail, "n_disc_updates_per_round", rounds):
        gail.train(total_timesteps, callback=policy_is_next)
    return rounds


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
    return GAIL(
        demonstrations=demonstrations(1000),
        demo_batch_size=128,
        venv=env,
        gen_algo=PPO("MlpPolicy", env, n_steps=STEPS, batch_size=64, n_epochs=2, seed=seed, device="cpu"),
        reward_net=BasicRewardNet(env.observation_space, env.action_space),
        n_disc_updates_per_round=n_disc_updates_per_round,
        allow_variable_horizon=True,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20, help="policy updates")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    gail = trainer(args.seed)
    rounds = train(gail, CriticEffortController(gail._disc_opt), args.rounds * gail.gen_train_timesteps)
    print(
        f"{rounds.critic_updates} critic updates for {rounds.generator_updates} of the policy; next: {rounds.steps}, "
        f"rate x {rounds.engine.state.critic_rate:.3g}, kappa {rounds.controller.signal:.3f}"  # type: ignore[attr-defined]
    )


if __name__ == "__main__":
    main()
