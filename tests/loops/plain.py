"""Loops of scripts: the structure of each as its source has it, on toys, with Rounds put in.

A comment ``# was: ...`` stands at a line that was changed, or before it, and ``# new`` at one that came in;
docs/migration.md counts them. Besides, each loop imports Rounds and makes one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy, mse_loss, softplus

from adaptive_critic import Rounds
from tests.loops.toys import Toy, backward, step


def wgan_gp(toy: Toy, rounds: Rounds, batches: int) -> None:
    """PyTorch-GAN, implementations/wgan_gp/wgan_gp.py: one critic update per batch, the generator at every n-th."""

    def gradient_penalty(real: Tensor, fake: Tensor) -> Tensor:
        share = torch.rand(len(real), 1, generator=toy.noise)
        between = (share * real + (1.0 - share) * fake).requires_grad_()
        (gradient,) = torch.autograd.grad(toy.critic(between).sum(), between, create_graph=True)
        penalty: Tensor = ((gradient.norm(dim=1) - 1.0) ** 2).mean()
        return penalty

    batches_done = 0
    for real in toy.loader(batches):
        fake = toy.fake().detach()
        real_validity, fake_validity = toy.score_real(real), toy.score_fake(fake)
        d_loss = -real_validity.mean() + fake_validity.mean()
        step(toy.optimizer_d, d_loss + 10.0 * gradient_penalty(real, fake))
        # was: if i % opt.n_critic == 0:
        if rounds.critic(d_real=real_validity.mean(), d_fake=fake_validity.mean(), d_loss=d_loss):
            fake_validity = toy.score_fake(toy.fake())  # was: generator(z) with the critic's z
            step(toy.optimizer_g, -fake_validity.mean())
            rounds.generator(g_fake=fake_validity.mean())  # new
            batches_done += 1  # was: batches_done += opt.n_critic


def dcgan(toy: Toy, rounds: Rounds, batches: int) -> None:
    """pytorch/examples, dcgan/main.py: both updates at every batch, probabilities, the critic's fakes used again."""
    ones = torch.ones(16, 1)
    for real in toy.loader(batches):
        toy.optimizer_d.zero_grad()
        real_output = toy.score_real(real).sigmoid()
        error_real = binary_cross_entropy(real_output, ones)
        backward(error_real)
        fake_output = toy.score_fake(toy.fake().detach()).sigmoid()
        error_fake = binary_cross_entropy(fake_output, 0.0 * ones)
        backward(error_fake)
        toy.optimizer_d.step()
        d_real, d_fake = (torch.logit(output, eps=1e-6).mean() for output in (real_output, fake_output))  # new
        if rounds.critic(d_real=d_real, d_fake=d_fake, d_loss=error_real + error_fake):  # new
            output = toy.score_fake(toy.fake()).sigmoid()  # was: netD(fake)
            error = binary_cross_entropy(output, ones)
            step(toy.optimizer_g, error)
            rounds.generator(g_loss=error, g_fake=torch.logit(output, eps=1e-6).mean())  # new


class BasicSRModel:
    """BasicSR, models/esrgan_model.py: ``optimize_parameters`` per batch, the generator first and not always."""

    def __init__(self, toy: Toy, rounds: Rounds) -> None:
        self.toy, self.rounds = toy, rounds

    def optimize_parameters(self, real: Tensor) -> None:
        toy, rounds = self.toy, self.rounds
        output, fresh = toy.fake(), None
        # was: if current_iter % self.net_d_iters == 0 and current_iter > self.net_d_init_iters:
        if rounds.generator_due:
            g_loss, g_fake = toy.generator_update(output)
            rounds.generator(g_loss=g_loss, g_fake=g_fake)  # new
            fresh = toy.fake()  # new: output was made before the generator's step
        if rounds.critic_due:  # new
            d_real, d_fake, d_loss = toy.critic_update(real, output, fresh)
            rounds.critic(d_real=d_real, d_fake=d_fake, d_loss=d_loss)  # new


def basicsr(toy: Toy, rounds: Rounds, batches: int) -> None:
    model = BasicSRModel(toy, rounds)
    for real in toy.loader(batches):
        model.optimize_parameters(real)


class Heads(nn.Module):
    """Eight critics of one input, as the sub-discriminators of HiFi-GAN's two discriminators."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(2, 1) for _ in range(8))

    def forward(self, points: Tensor) -> list[Tensor]:
        return [head(points) for head in self.heads]


def hifi_gan(toy: Toy, rounds: Rounds, batches: int) -> None:
    """jik876/hifi-gan, train.py: both at every batch; losses are sums over eight heads; one fake batch for both."""
    for real in toy.loader(batches):
        fake = toy.fake()
        reals, fakes = toy.critic(real), toy.critic(fake.detach())
        loss = sum(((1 - r) ** 2).mean() + (f**2).mean() for r, f in zip(reals, fakes, strict=True))
        assert isinstance(loss, Tensor)
        d_real, d_fake = torch.stack(reals).mean(), torch.stack(fakes).mean()  # new
        toy.updates.real, toy.updates.fake = float(d_real.detach()), float(d_fake.detach())
        step(toy.optimizer_d, loss)
        # new; eight heads of least squares: the ideal of the sum would be 4
        if rounds.critic(d_real=d_real, d_fake=d_fake, d_loss=loss / 8):
            scores = toy.critic(toy.fake())  # was: the critic's own y_g_hat
            toy.updates.fake = float(torch.stack(scores).detach().mean())
            g_loss = sum(((1 - score) ** 2).mean() for score in scores)
            assert isinstance(g_loss, Tensor)
            step(toy.optimizer_g, g_loss)
            rounds.generator(g_loss=g_loss / 8, g_fake=torch.stack(scores).mean())  # new


class ImagePool:
    """Gives a batch of earlier fakes instead of the current ones, half of the time."""

    def __init__(self, noise: torch.Generator) -> None:
        self._noise = noise
        self._kept: list[Tensor] = []

    def query(self, batch: Tensor) -> Tensor:
        if len(self._kept) < 5:
            self._kept.append(batch)
            return batch
        if torch.rand((), generator=self._noise) < 0.5:
            return batch
        chosen = int(torch.randint(5, (), generator=self._noise))
        old, self._kept[chosen] = self._kept[chosen], batch
        return old


def cyclegan(toy: Toy, rounds: Rounds, batches: int) -> None:
    """junyanz/pytorch-CycleGAN-and-pix2pix, models/cycle_gan_model.py: the generators first; fakes from a pool."""
    pool = ImagePool(toy.noise)
    for real in toy.loader(batches):
        fake = toy.fake()
        if rounds.generator_due:  # new
            g_fake = toy.score_fake(fake)
            g_loss = mse_loss(g_fake, torch.ones_like(g_fake))
            step(toy.optimizer_g, g_loss)
            rounds.generator(g_loss=g_loss, g_fake=g_fake.mean())  # new
        if rounds.critic_due:  # new
            d_real, pooled = toy.score_real(real), toy.critic(pool.query(fake.detach()))
            d_fake = toy.score_fake(toy.fake().detach()).mean()  # new: of the generator as it is, not from the pool
            loss = 0.5 * (mse_loss(d_real, torch.ones_like(d_real)) + mse_loss(pooled, torch.zeros_like(pooled)))
            step(toy.optimizer_d, loss)
            rounds.critic(d_real=d_real.mean(), d_fake=d_fake, d_loss=2.0 * loss)  # new: ideal 0.5


def r3gan(toy: Toy, rounds: Rounds, batches: int) -> None:
    """brownvc/R3GAN, R3GAN/Trainer.py: a relativistic loss, so that the generator's update needs a real batch too."""

    def scored(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        return toy.score_real(real), toy.score_fake(fake)

    for real in toy.loader(batches):
        if rounds.critic_due:  # new
            d_real, d_fake = scored(real, toy.fake().detach())
            loss = softplus(d_fake - d_real).mean()
            step(toy.optimizer_d, loss)
            rounds.critic(d_real=d_real.mean(), d_fake=d_fake.mean(), d_loss=2.0 * loss)  # new: log 2 at parity
        else:  # was: at every batch
            d_real, g_fake = scored(real, toy.fake())
            g_loss = softplus(d_real - g_fake).mean()
            step(toy.optimizer_g, g_loss)
            rounds.generator(g_loss=g_loss, g_fake=g_fake.mean())  # new


def timegan(toy: Toy, rounds: Rounds, batches: int) -> None:
    """jsyoon0823/TimeGAN, timegan.py: two phases without a critic, then two generator updates for one critic update."""
    supervised = torch.optim.SGD(toy.generator.parameters(), lr=0.02)
    for real in toy.loader(10):  # embedding and supervised phases: no critic, so nothing is reported
        step(supervised, (toy.fake().mean(0) - real.mean(0)).square().sum())
    for real in toy.loader(batches):
        if rounds.generator_due:  # was: for kk in range(2):
            g_loss, g_fake = toy.generator_update()
            rounds.generator(g_loss=g_loss, g_fake=g_fake)  # new
        if rounds.critic_due:  # was: if check_d_loss > 0.15:
            d_real, d_fake = toy.score_real(real), toy.score_fake(toy.fake().detach())
            loss_real, loss_fake = softplus(-d_real).mean(), softplus(d_fake).mean()
            step(toy.optimizer_d, loss_real + loss_fake + softplus(d_fake).mean())  # the embedder's fakes are a third
            rounds.critic(d_real=d_real.mean(), d_fake=d_fake.mean(), d_loss=loss_real + loss_fake)  # new
