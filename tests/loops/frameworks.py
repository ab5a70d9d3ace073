"""Loops inside frameworks: what each calls and when, without its package, on toys, with Rounds put in.

A comment ``# was: ...`` stands at a line that was changed, and ``# new`` at one that came in; docs/migration.md counts
them. Besides, each loop imports Rounds and makes one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from adaptive_critic import Rounds
from adaptive_critic.adapters import AttributeActuator
from tests.loops.toys import BATCH, Toy, backward, step


class LightningModule:
    """Lightning's GAN example with manual optimisation: ``training_step`` per batch, the generator first."""

    def __init__(self, toy: Toy, rounds: Rounds) -> None:
        self.toy, self.rounds = toy, rounds

    def optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        return self.toy.optimizer_g, self.toy.optimizer_d

    def manual_backward(self, loss: Tensor) -> None:
        backward(loss)

    def training_step(self, real: Tensor, batch_idx: int) -> None:
        optimizer_g, optimizer_d = self.optimizers()
        toy = self.toy
        if self.rounds.generator_due:  # new
            g_fake = toy.score_fake(toy.fake())
            g_loss = softplus(-g_fake).mean()
            optimizer_g.zero_grad()
            self.manual_backward(g_loss)
            optimizer_g.step()
            self.rounds.generator(g_loss=g_loss, g_fake=g_fake.mean())  # new
        if self.rounds.critic_due:  # new
            d_real, d_fake = toy.score_real(real), toy.score_fake(toy.fake().detach())
            d_loss = (softplus(-d_real).mean() + softplus(d_fake).mean()) / 2
            optimizer_d.zero_grad()
            self.manual_backward(d_loss)
            optimizer_d.step()
            self.rounds.critic(d_real=d_real.mean(), d_fake=d_fake.mean(), d_loss=2 * d_loss)  # new


def lightning(toy: Toy, rounds: Rounds, batches: int) -> None:
    module = LightningModule(toy, rounds)
    for batch_idx, real in enumerate(toy.loader(batches)):
        module.training_step(real, batch_idx)


class Accelerator:
    """What accelerate does about gradient accumulation: steps and zeroing pass unless gradients are synchronised."""

    def __init__(self, gradient_accumulation_steps: int) -> None:
        self._every, self._step = gradient_accumulation_steps, 0
        self.sync_gradients = True

    @contextmanager
    def accumulate(self, *models: nn.Module) -> Iterator[None]:
        self._step += 1
        self.sync_gradients = self._step % self._every == 0
        yield

    def backward(self, loss: Tensor) -> None:
        backward(loss / self._every)

    def prepare(self, optimizer: torch.optim.Optimizer) -> PreparedOptimizer:
        return PreparedOptimizer(self, optimizer)


class PreparedOptimizer:
    def __init__(self, accelerator: Accelerator, optimizer: torch.optim.Optimizer) -> None:
        self._accelerator, self._optimizer = accelerator, optimizer

    def step(self) -> None:
        if self._accelerator.sync_gradients:
            self._optimizer.step()

    def zero_grad(self) -> None:
        if self._accelerator.sync_gradients:
            self._optimizer.zero_grad()


def diffusers_vqgan(toy: Toy, rounds: Rounds, batches: int, make_accelerator: Any = Accelerator) -> None:
    """huggingface/diffusers, examples/vqgan/train_vqgan.py: each batch is the generator's or the critic's."""
    accelerator = make_accelerator(gradient_accumulation_steps=2)
    optimizer_g, optimizer_d = accelerator.prepare(toy.optimizer_g), accelerator.prepare(toy.optimizer_d)
    means: list[tuple[Tensor, ...]] = []  # new
    generator_step = False
    for real in toy.loader(batches):
        if accelerator.sync_gradients:  # new
            generator_step = rounds.generator_due  # was: batch number by gradient_accumulation_steps, modulo 2
        if generator_step:
            optimizer_g.zero_grad()
            with accelerator.accumulate(toy.generator):
                g_fake = toy.score_fake(toy.fake())
                accelerator.backward(-g_fake.mean())
                optimizer_g.step()
                if accelerator.sync_gradients:  # new
                    rounds.generator(g_fake=g_fake.mean())  # new: of the last micro-batch
        else:
            optimizer_d.zero_grad()
            with accelerator.accumulate(toy.critic):
                d_real, d_fake = toy.score_real(real), toy.score_fake(toy.fake().detach())
                loss = (relu(1 + d_fake) + relu(1 - d_real)).mean()
                accelerator.backward(loss)
                optimizer_d.step()
                means.append((d_real.detach().mean(), d_fake.detach().mean(), loss.detach()))  # new
                if accelerator.sync_gradients:  # new: a report for each step, of the mean over its micro-batches
                    values = [torch.stack(scores).mean() for scores in zip(*means, strict=True)]  # new
                    means.clear()  # new
                    toy.updates.all[-1] = toy.updates.all[-1]._replace(real=values[0].item(), fake=values[1].item())
                    rounds.critic(d_real=values[0], d_fake=values[1], d_loss=values[2])  # new


def taming(toy: Toy, rounds: Rounds, batches: int, disc_start: int = 0) -> None:
    """CompVis/taming-transformers, vqgan.py: two optimizers by index, the critic from disc_start on."""
    for global_step, real in enumerate(toy.loader(batches + disc_start)):
        adversarial = global_step >= disc_start
        for optimizer_idx in (0, 1):
            if optimizer_idx == 0:
                if adversarial and not rounds.generator_due:  # new
                    continue  # new
                fake = toy.fake()
                g_fake = toy.score_fake(fake)
                reconstruction = (fake.mean(0) - real.mean(0)).square().sum()
                step(toy.optimizer_g, reconstruction - (g_fake.mean() if adversarial else 0.0))
                if adversarial:  # new
                    rounds.generator(g_fake=g_fake.mean())  # new
            elif adversarial and rounds.critic_due:  # was: at every batch, times 0 before disc_start
                d_real, d_fake = toy.score_real(real), toy.score_fake(toy.fake().detach())
                d_loss = 0.5 * (relu(1 - d_real).mean() + relu(1 + d_fake).mean())
                step(toy.optimizer_d, d_loss)
                rounds.critic(d_real=d_real.mean(), d_fake=d_fake.mean(), d_loss=2.0 * d_loss)  # new


def stylegan2_ada(toy: Toy, rounds: Rounds, batches: int) -> None:
    """NVlabs/stylegan2-ada-pytorch, training_loop.py: phases with intervals, lazy penalties as phases of their own."""
    phases = {"Gmain": 1, "Greg": 4, "Dmain": 1, "Dreg": 16}
    for real in toy.loader(batches):
        turn = False
        for phase, interval in phases.items():
            if phase.endswith("main"):  # new
                turn = rounds.generator_due if phase == "Gmain" else rounds.critic_due  # new
            made = rounds.generator_updates if phase.startswith("G") else rounds.critic_updates  # new
            if not turn or made % interval != 0:  # was: if batch_idx % phase.interval != 0:
                continue
            toy.updates.counted = phase.endswith("main")
            if phase == "Gmain":
                g_loss, g_fake = toy.generator_update()
                rounds.generator(g_loss=g_loss, g_fake=g_fake)  # new
            elif phase == "Dmain":
                d_real, d_fake, d_loss = toy.critic_update(real)
                rounds.critic(d_real=d_real, d_fake=d_fake, d_loss=d_loss)  # new
            elif phase == "Dreg":
                points = real.clone().requires_grad_()
                (gradient,) = torch.autograd.grad(toy.critic(points).sum(), points, create_graph=True)
                step(toy.optimizer_d, 0.1 * interval * gradient.square().sum(1).mean())
            else:
                step(toy.optimizer_g, 0.01 * interval * toy.fake().square().mean())
    toy.updates.counted = True


class GAIL:
    """HumanCompatibleAI/imitation, adversarial/common.py: an attribute is read once per round; generator first."""

    n_disc_updates_per_round = 4

    def __init__(self, toy: Toy) -> None:
        self.toy = toy
        self.buffer: Tensor | None = None

    def train_gen(self) -> None:
        """Stands for PPO on rewards of the critic: what it learns from are samples of the policy before."""
        samples = self.toy.fake()
        step(self.toy.optimizer_g, softplus(-self.toy.critic(samples)).mean())
        self.buffer = samples.detach()

    def train_disc(self) -> dict[str, float]:
        """Return the statistics of one critic update: the loss is a mean over both classes."""
        assert self.buffer is not None
        d_real, d_fake = self.toy.score_real(next(self.toy.loader(1))), self.toy.score_fake(self.buffer)
        loss = 0.5 * (softplus(-d_real).mean() + softplus(d_fake).mean())
        step(self.toy.optimizer_d, loss)
        return {"disc_loss": loss.item(), "expert": d_real.mean().item(), "generated": d_fake.mean().item()}

    def train(self, n_rounds: int) -> None:
        for _ in range(n_rounds):
            self.train_gen()
            for _ in range(self.n_disc_updates_per_round):
                self.train_disc()


class DrivenGAIL(GAIL):
    """What a user writes: two methods that report."""

    def __init__(self, toy: Toy, rounds: Rounds) -> None:
        super().__init__(toy)
        self.rounds = rounds

    def train_gen(self) -> None:  # new
        # The critic next sees samples of the policy before this update. So the score before is of those before that.
        g_fake = None if self.buffer is None else self.toy.score_fake(self.buffer).mean()  # new
        super().train_gen()  # new
        self.rounds.generator(g_fake=g_fake)  # new

    def train_disc(self) -> dict[str, float]:  # new
        stats = super().train_disc()  # new
        d_real, d_fake, d_loss = stats["expert"], stats["generated"], 2 * stats["disc_loss"]  # new
        self.rounds.critic(d_real=d_real, d_fake=d_fake, d_loss=d_loss)  # new
        return stats  # new


def imitation(toy: Toy, rounds: Rounds, batches: int) -> None:
    trainer = DrivenGAIL(toy, rounds)
    with AttributeActuator(trainer, "n_disc_updates_per_round", rounds):  # new
        trainer.train(batches // 2)


def dp_gan(toy: Toy, rounds: Rounds, batches: int) -> None:
    """opacus, examples/dcgan.py, and alexbie98/dpgan-revisit: clipped and noised critic gradients, Poisson batches."""
    for full in toy.loader(batches):
        real = full[torch.rand(BATCH, generator=toy.noise) < 0.5]  # Poisson sampling: any size, 0 too
        fake = toy.fake().detach()
        d_fake = toy.score_fake(fake)
        d_real = toy.score_real(real)
        total = [torch.zeros_like(weight) for weight in toy.critic.parameters()]
        for point in real:
            toy.optimizer_d.zero_grad()
            backward(softplus(-toy.critic(point)).mean())
            gradients = [weight.grad for weight in toy.critic.parameters() if weight.grad is not None]
            norm = math.sqrt(sum(float(gradient.square().sum()) for gradient in gradients))
            for summed, gradient in zip(total, gradients, strict=True):
                summed += gradient * min(1.0, 1.0 / (norm + 1e-6))
        toy.optimizer_d.zero_grad()
        backward(softplus(toy.critic(fake)).mean())
        for weight, summed in zip(toy.critic.parameters(), total, strict=True):
            assert weight.grad is not None
            weight.grad += (summed + 0.5 * torch.randn(summed.shape, generator=toy.noise)) / BATCH
        toy.optimizer_d.step()
        # was: if i % opt.n_d_steps == 0:
        if rounds.critic(d_real=d_real.mean(), d_fake=d_fake.mean(), d_loss=softplus(d_fake).mean()):
            g_loss, g_fake = toy.generator_update()
            rounds.generator(g_loss=g_loss, g_fake=g_fake)  # new


class LightweightTrainer:
    """lucidrains/lightweight-gan, Trainer.train: one call is both updates, each over several micro-batches."""

    gradient_accumulate_every = 3

    def __init__(self, toy: Toy, rounds: Rounds, loader: Iterator[Tensor]) -> None:
        self.toy, self.rounds, self.loader = toy, rounds, loader

    def train(self) -> None:
        toy, every = self.toy, self.gradient_accumulate_every
        while self.rounds.critic_due:  # new
            reals, fakes, total = [], [], torch.zeros(())  # new
            toy.optimizer_d.zero_grad()
            for _ in range(every):
                d_real, d_fake = toy.score_real(next(self.loader)), toy.score_fake(toy.fake().detach())
                loss = (relu(1 + d_fake) + relu(1 - d_real)).mean() / every
                backward(loss)
                total += loss.detach()
                reals.append(d_real.detach().mean())  # new
                fakes.append(d_fake.detach().mean())  # new
            toy.optimizer_d.step()
            real, fake = torch.stack(reals).mean(), torch.stack(fakes).mean()  # new
            toy.updates.all[-1] = toy.updates.all[-1]._replace(real=real.item(), fake=fake.item())
            self.rounds.critic(d_real=real, d_fake=fake, d_loss=total)  # new
        g_fake = torch.zeros(())
        toy.optimizer_g.zero_grad()
        for _ in range(every):
            score = toy.score_fake(toy.fake()).mean() / every
            backward(-score)
            g_fake += score.detach()
        toy.optimizer_g.step()
        toy.updates.all[-1] = toy.updates.all[-1]._replace(fake=g_fake.item())
        self.rounds.generator(g_fake=g_fake)  # new


def lightweight_gan(toy: Toy, rounds: Rounds, batches: int) -> None:
    trainer = LightweightTrainer(toy, rounds, toy.loader(10**6))
    for _ in range(batches // 3):
        trainer.train()
