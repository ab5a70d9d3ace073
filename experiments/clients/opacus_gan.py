"""Drive a GAN whose critic opacus trains with differential privacy.

    pip install opacus
    python -m experiments.clients.opacus_gan

opacus clips the gradient of each sample and adds noise. Its accountant counts the critic's steps, and so do Rounds.
The accountant does not cover scores of real samples. AccuracyLadderController reads those of generated ones alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch
from opacus import PrivacyEngine
from torch import Tensor
from torch.nn.functional import softplus
from torch.utils.data import DataLoader, TensorDataset

from adaptive_critic import AccuracyLadderController, Rounds
from experiments.clients.plain_loop import BATCH, RingGAN


def train(gan: RingGAN, rounds: Rounds, batches: int) -> PrivacyEngine:
    """Train on so many batches, which Poisson sampling draws: they have any size, and an empty one is a step, too."""
    engine = PrivacyEngine()
    points = TensorDataset(torch.cat([gan.real() for _ in range(batches)]))
    critic, optimizer_d, loader = engine.make_private(
        module=gan.critic,
        optimizer=gan.optimizer_d,
        data_loader=DataLoader(points, batch_size=BATCH),
        noise_multiplier=1.0,
        max_grad_norm=1.0,
    )
    for (real,) in loader:
        scores: Tensor = critic(torch.cat([real, gan.fake().detach()]))  # one pass: two would be an accumulation
        real_loss, fake_loss = softplus(-scores[: len(real)]).sum(), softplus(scores[len(real) :]).sum()
        optimizer_d.zero_grad()
        ((real_loss + fake_loss) / BATCH).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimizer_d.step()
        optimizer_d.zero_grad()  # the generator's loss leaves gradients of samples in the critic, too
        if rounds.critic():
            g_fake = critic(gan.fake())
            gan.optimizer_g.zero_grad()
            softplus(-g_fake).mean().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            gan.optimizer_g.step()
            rounds.generator(g_fake_accuracy=(g_fake < 0.0).float().mean())
        if rounds.should_stop:
            break
    return engine


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batches", type=int, default=1000)
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rounds = Rounds(AccuracyLadderController(grace=50))
    engine = train(RingGAN(), rounds, args.batches)
    print(
        f"{rounds.critic_updates} critic updates, {rounds.generator_updates} generator updates; next: {rounds.steps}; "
        f"epsilon {engine.get_epsilon(1e-5):.1f} at delta 1e-5"
    )


if __name__ == "__main__":
    main()
