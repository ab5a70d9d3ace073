"""Drive a Lightning module with manual optimisation by a controller.

    pip install pytorch-lightning
    python -m experiments.clients.lightning_gan

Lightning gives ``training_step`` one batch after the other. Rounds says whose turn it is.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import pytorch_lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from adaptive_critic import Rounds, WassersteinGapController
from experiments.clients.plain_loop import BATCH, RingGAN


class RingModule(pytorch_lightning.LightningModule):  # type: ignore[misc]  # it ships no types
    """The plain loop's GAN; the generator comes first."""

    def __init__(self, gan: RingGAN, rounds: Rounds) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.networks = nn.ModuleList([gan.generator, gan.critic])
        self.gan, self.rounds = gan, rounds

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return [self.gan.optimizer_g, self.gan.optimizer_d]

    def training_step(self, batch: list[Tensor], batch_idx: int) -> None:
        optimizer_g, optimizer_d = self.optimizers()
        gan, (real,) = self.gan, batch
        if self.rounds.generator_due:
            g_fake = gan.critic(gan.fake()).mean()
            optimizer_g.zero_grad()
            self.manual_backward(-g_fake)
            optimizer_g.step()
            self.rounds.generator(g_fake=g_fake.detach())
        if self.rounds.critic_due:
            fake = gan.fake().detach()
            d_real, d_fake = gan.critic(real).mean(), gan.critic(fake).mean()
            optimizer_d.zero_grad()
            self.manual_backward(d_fake - d_real + 10.0 * gan.penalty(real, fake))
            optimizer_d.step()
            self.rounds.critic(d_real=d_real.detach(), d_fake=d_fake.detach())
        if self.rounds.should_stop:
            self.trainer.should_stop = True

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["rounds"] = self.rounds.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.rounds.load_state_dict(checkpoint["rounds"])


def train(gan: RingGAN, rounds: Rounds, batches: int) -> pytorch_lightning.Trainer:
    """Train on so many batches."""
    loader = DataLoader(TensorDataset(torch.cat([gan.real() for _ in range(batches)])), batch_size=BATCH)
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pytorch_lightning.Trainer(max_epochs=1, accelerator="cpu", **options)
    trainer.fit(RingModule(gan, rounds), loader)
    return trainer


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
