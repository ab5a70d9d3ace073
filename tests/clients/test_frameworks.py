"""The loops of tests/loops in the frameworks themselves: each runs where its package is installed."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.utils.data import DataLoader, TensorDataset

from adaptive_critic import AlternationAudit, FixedController, Rounds, StepDecayController
from tests.loops import frameworks
from tests.loops.test_loops import Watched, check
from tests.loops.toys import Toy, backward

pytestmark = pytest.mark.filterwarnings("ignore")  # of the packages
CHANGES = partial(StepDecayController, milestones={0: 4, 2: 3, 5: 1, 8: 2})


def needs(package: str) -> Any:
    return pytest.importorskip(package, reason=f"needs the package {package}, which nothing here installs")


def test_accelerate() -> None:
    """Its accumulation is what tests/loops takes it for: the same updates, with the same weights."""
    accelerate = needs("accelerate")
    stand_in, toy, watched = Toy(), Toy(), Watched(CHANGES)
    frameworks.diffusers_vqgan(stand_in, Rounds(CHANGES()), 100)
    frameworks.diffusers_vqgan(toy, watched.rounds, 100, partial(accelerate.Accelerator, cpu=True))
    check(toy, watched)
    for one, other in zip(stand_in.critic.parameters(), toy.critic.parameters(), strict=True):
        assert torch.equal(one, other)


def test_lightning() -> None:
    lightning = needs("pytorch_lightning")
    toy, watched = Toy(), Watched(CHANGES)

    class Module(lightning.LightningModule):  # type: ignore[misc,name-defined]  # it may not be there
        training_step = frameworks.LightningModule.training_step

        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False
            self.networks = nn.ModuleList([toy.generator, toy.critic])
            self.toy, self.rounds = toy, watched.rounds

        def configure_optimizers(self) -> list[torch.optim.Optimizer]:
            return [toy.optimizer_g, toy.optimizer_d]

    trainer = lightning.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    trainer.fit(Module(), DataLoader(torch.stack(list(toy.loader(40))), batch_size=None))  # type: ignore[arg-type]  # a tensor is a data set
    check(toy, watched)
    assert toy.updates.critic == 80
    assert trainer.global_step == 80 + toy.updates.generator, "the steps of both"


def test_opacus() -> None:
    """Its accountant counts the critic updates that Rounds counts, also those of empty batches."""
    opacus = needs("opacus")
    toy, rounds = Toy(), Rounds(FixedController(3))
    points = TensorDataset(torch.cat(list(toy.loader(10))))
    engine = opacus.PrivacyEngine()
    critic, optimizer_d, loader = engine.make_private(
        module=toy.critic,
        optimizer=toy.optimizer_d,
        data_loader=DataLoader(points, batch_size=16),
        noise_multiplier=1.0,
        max_grad_norm=1.0,
    )
    with AlternationAudit(toy.generator, critic, toy.optimizer_g, toy.optimizer_d, steps=rounds):
        for _ in range(3):
            for (real,) in loader:
                scores: Tensor = critic(torch.cat([real, toy.fake().detach()]))  # one pass, or it is accumulation
                d_real, d_fake = scores[: len(real)], scores[len(real) :]
                optimizer_d.zero_grad()
                backward(softplus(-d_real).sum() / 16 + softplus(d_fake).sum() / 16)
                optimizer_d.step()
                optimizer_d.zero_grad()  # the generator's loss leaves gradients of samples in the critic, too
                if rounds.critic(d_real=d_real.mean(), d_fake=d_fake.mean()):
                    g_fake = critic(toy.fake())
                    toy.optimizer_g.zero_grad()
                    backward(-g_fake.mean())
                    toy.optimizer_g.step()
                    rounds.generator(g_fake=g_fake.mean())
    assert rounds.critic_updates == sum(steps for _, _, steps in engine.accountant.history) == toy.updates.critic == 30
    assert rounds.generator_updates == toy.updates.generator == 10
