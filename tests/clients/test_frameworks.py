"""The loops of tests/loops in the frameworks themselves: each runs where its package is installed."""

from __future__ import annotations

import importlib
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from adaptive_critic import AlternationAudit, FixedController, Rounds, StepDecayController
from experiments.clients.plain_loop import RingGAN
from tests.loops import frameworks
from tests.loops.test_loops import Watched, check
from tests.loops.toys import Toy

pytestmark = pytest.mark.filterwarnings("ignore")  # of the packages
CHANGES = partial(StepDecayController, milestones={0: 4, 2: 3, 5: 1, 8: 2})


def needs(package: str) -> Any:
    return pytest.importorskip(package, reason=f"needs the package {package}: make test-clients")


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


def updates(gan: RingGAN) -> list[str]:
    """Return a list that grows by a letter with each step of an optimizer."""
    made: list[str] = []
    gan.optimizer_d.register_step_post_hook(lambda *_: made.append("d"))
    gan.optimizer_g.register_step_post_hook(lambda *_: made.append("g"))
    return made


@pytest.mark.parametrize(
    ("package", "script", "batches"),
    [("accelerate", "accelerate_gan", 30), ("pytorch_lightning", "lightning_gan", 12), ("opacus", "opacus_gan", 11)],
)
def test_a_script_makes_the_updates_that_are_asked_for(
    package: str, script: str, batches: int, capsys: pytest.CaptureFixture[str]
) -> None:
    needs(package)
    module: Any = importlib.import_module(f"experiments.clients.{script}")
    gan, rounds = RingGAN(), Rounds(StepDecayController(milestones={0: 3, 2: 1, 4: 2}))
    made = updates(gan)
    module.train(gan, rounds, batches)
    assert "".join(made).removeprefix("g").startswith("dddgdddgdgdgddg")
    assert (rounds.critic_updates, rounds.generator_updates) == (made.count("d"), made.count("g"))
    threads = torch.get_num_threads()
    module.main(["--batches", "20"])
    torch.set_num_threads(threads)
    assert "critic updates, " in capsys.readouterr().out


def test_opacus_counts_the_same_critic_updates() -> None:
    """Also those of empty batches."""
    needs("opacus")
    from experiments.clients import opacus_gan

    gan, rounds = RingGAN(), Rounds(FixedController(3))
    with AlternationAudit(gan.generator, gan.critic, gan.optimizer_g, gan.optimizer_d, steps=rounds):
        engine = opacus_gan.train(gan, rounds, 30)
    assert sum(steps for _, _, steps in engine.accountant.history) == rounds.critic_updates == 30
    assert rounds.generator_updates == 10


def test_lightning_saves_the_rounds(tmp_path: Path) -> None:
    needs("pytorch_lightning")
    from experiments.clients import lightning_gan

    rounds, other = Rounds(FixedController(3)), Rounds(FixedController(3))
    trainer = lightning_gan.train(RingGAN(), rounds, 8)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    lightning_gan.RingModule(RingGAN(), other).on_load_checkpoint(saved)
    assert other.state_dict() == rounds.state_dict()
    assert (other.critic_updates, other.generator_due) == (8, False)
