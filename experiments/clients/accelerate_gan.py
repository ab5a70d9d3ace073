"""Drive a loop with accelerate's gradient accumulation by a controller.

    pip install accelerate
    python -m experiments.clients.accelerate_gan

Each batch is the generator's or the critic's, as in diffusers' VQGAN example. Two of them make one optimizer step.
So the turn changes only where gradients are synchronised, and a report is the mean over the step's batches.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from adaptive_critic import Rounds, WassersteinGapController
from experiments.clients.plain_loop import BATCH, RingGAN


def train(gan: RingGAN, rounds: Rounds, batches: int) -> None:
    """Train on so many batches."""
    loader = DataLoader(TensorDataset(torch.cat([gan.real() for _ in range(batches)])), batch_size=BATCH)
    accelerator = Accelerator(gradient_accumulation_steps=2, cpu=True)
    optimizer_g, optimizer_d, loader = accelerator.prepare(gan.optimizer_g, gan.optimizer_d, loader)
    scores: list[Tensor] = []
    generators_turn = False
    for (real,) in loader:
        if accelerator.sync_gradients:
            generators_turn = rounds.generator_due
        if generators_turn:
            with accelerator.accumulate(gan.generator):
                g_fake = gan.critic(gan.fake()).mean()
                accelerator.backward(-g_fake)
                optimizer_g.step()
                optimizer_g.zero_grad()
            scores.append(g_fake.detach())
            if accelerator.sync_gradients:
                optimizer_d.zero_grad()  # the generator's loss leaves gradients in the critic, too
                rounds.generator(g_fake=torch.stack(scores).mean())
                scores.clear()
        else:
            with accelerator.accumulate(gan.critic):
                fake = gan.fake().detach()
                d_real, d_fake = gan.critic(real).mean(), gan.critic(fake).mean()
                accelerator.backward(d_fake - d_real + 10.0 * gan.penalty(real, fake))
                optimizer_d.step()
                optimizer_d.zero_grad()
            scores.append(torch.stack((d_real, d_fake)).detach())
            if accelerator.sync_gradients:
                real_mean, fake_mean = torch.stack(scores).mean(dim=0)
                rounds.critic(d_real=real_mean, d_fake=fake_mean)
                scores.clear()
        if rounds.should_stop:
            break


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batches", type=int, default=1000)
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rounds = Rounds(WassersteinGapController())
    train(RingGAN(), rounds, args.batches)
    print(f"{rounds.critic_updates} critic updates, {rounds.generator_updates} generator updates; next: {rounds.steps}")


if __name__ == "__main__":
    main()
