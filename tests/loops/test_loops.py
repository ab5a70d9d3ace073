"""Fourteen public training loops: each makes the updates that it is asked for, and what is counted is what was made."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Events

from adaptive_critic import (
    OBJECTIVES,
    FixedController,
    Rounds,
    StepDecayController,
    StopAtBudget,
    WassersteinGapController,
)
from adaptive_critic.adapters import AttributeActuator
from adaptive_critic.controller import Controller
from tests.loops import frameworks, plain
from tests.loops.toys import Toy, assert_counts_are_true

LOOPS: dict[str, Callable[[Toy, Rounds, int], None]] = {
    "PyTorch-GAN, wgan_gp": plain.wgan_gp,
    "pytorch, DCGAN": plain.dcgan,
    "Lightning, manual optimisation": frameworks.lightning,
    "diffusers, VQGAN with accelerate": frameworks.diffusers_vqgan,
    "taming-transformers": frameworks.taming,
    "BasicSR": plain.basicsr,
    "HiFi-GAN": plain.hifi_gan,
    "StyleGAN2-ADA": frameworks.stylegan2_ada,
    "CycleGAN": plain.cyclegan,
    "imitation, GAIL": frameworks.imitation,
    "DP-GAN with opacus": frameworks.dp_gan,
    "lightweight-gan": frameworks.lightweight_gan,
    "R3GAN": plain.r3gan,
    "TimeGAN": plain.timegan,
}
CONTROLLERS: dict[str, Callable[..., Controller]] = {
    "1": partial(FixedController, 1),
    "5": partial(FixedController, 5),
    "changes": partial(StepDecayController, milestones={0: 4, 2: 3, 5: 1, 8: 2}),
    "feedback": partial(WassersteinGapController, warmup=1, gain=0.5, limits=(1, 6)),
}
# These make their critic update before they ask: below one critic update per generator update they can't go.
EVERY_BATCH_IS_THE_CRITICS = {"PyTorch-GAN, wgan_gp", "pytorch, DCGAN", "HiFi-GAN", "DP-GAN with opacus"}
BELOW_ONE = partial(WassersteinGapController, warmup=10**6, initial=0.5, limits=(0, 5))
every_loop = pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS.keys())


def toy_of(loop: Callable[[Toy, Rounds, int], None]) -> Toy:
    """Return networks that fit the loop."""
    return Toy(plain.Heads()) if loop is plain.hifi_gan else Toy()


class Watched:
    """Rounds, with what each was asked for and what the controller was shown."""

    def __init__(self, make: Callable[..., Controller]) -> None:
        self.asked: list[int] = []
        self.outputs: list[dict[str, Any]] = []
        self.rounds = Rounds(make(output_transform=self._keep))
        self.rounds.engine.add_event_handler(Events.ITERATION_STARTED, self._note)

    def _keep(self, output: dict[str, Any]) -> dict[str, Any]:
        self.outputs.append(output)
        return output

    def _note(self, engine: Any) -> None:
        self.asked.append(engine.state.num_discriminator_steps)


def check(toy: Toy, watched: Watched) -> None:
    """Compare updates made with updates asked, counts with the truth, and scores with the updates that they are of."""
    made = toy.updates.before_each_generator_update
    if toy.updates.made.startswith("gd") and watched.asked[0] > 0:
        made = made[1:]  # it begins with the generator
    assert made == watched.asked[: len(made)]
    assert len(made) > 5
    assert_counts_are_true(watched.rounds, toy.updates)
    of_rounds = toy.updates.all[len(toy.updates.all) - len(toy.updates.made.lstrip("g")) :]
    assert len(watched.outputs) == len(made)
    position = 0
    for n, output in zip(made, watched.outputs, strict=True):
        critic, generator = of_rounds[position : position + n], of_rounds[position + n]
        position += n + 1
        for key, truth in (("d_real", [u.real for u in critic]), ("d_fake", [u.fake for u in critic])):
            assert [float(score) for score in output.get(key, [])] == pytest.approx(truth, abs=1e-6, nan_ok=True)
        assert float(output["g_fake"]) == pytest.approx(generator.fake, abs=1e-6)


@every_loop
@pytest.mark.parametrize("make", CONTROLLERS.values(), ids=CONTROLLERS.keys())
def test_updates_made_are_updates_asked(
    loop: Callable[[Toy, Rounds, int], None], make: Callable[..., Controller]
) -> None:
    toy, watched = toy_of(loop), Watched(make)
    loop(toy, watched.rounds, 100)
    check(toy, watched)


@pytest.mark.parametrize("name", sorted(LOOPS.keys() - EVERY_BATCH_IS_THE_CRITICS))
def test_the_critic_rests_where_its_update_is_asked_for(name: str) -> None:
    toy, watched = Toy(), Watched(BELOW_ONE)
    LOOPS[name](toy, watched.rounds, 60)
    made = toy.updates.before_each_generator_update
    assert set(made) == {0, 1}
    assert abs(toy.updates.critic - 0.5 * toy.updates.generator) <= 1
    assert_counts_are_true(watched.rounds, toy.updates)


@every_loop
def test_a_budget_counts_what_was_made(loop: Callable[[Toy, Rounds, int], None]) -> None:
    toy, rounds, budget = toy_of(loop), Rounds(FixedController(2)), StopAtBudget(critic_updates=10)
    budget.attach(rounds.engine)
    with pytest.raises(RuntimeError, match=r"the training was ended after 5 rounds.*if rounds.should_stop: break"):
        loop(toy, rounds, 1000)
    assert budget.spent[:2] == (10, 5)
    assert rounds.critic_updates == 10


def test_the_table_of_lines_is_that_of_these_loops() -> None:
    """docs/migration.md has a row for each, with as many lines as are marked here, an import and ``Rounds(...)``."""
    page = (Path(__file__).parents[2] / "docs" / "migration.md").read_text(encoding="utf-8")
    table = page.partition("<!-- loops: start -->\n")[2].partition("<!-- loops: end -->")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:3]] for line in table.splitlines()[2:]]
    parts: dict[str, list[Any]] = {
        "BasicSR": [plain.BasicSRModel],
        "Lightning, manual optimisation": [frameworks.LightningModule],
        "imitation, GAIL": [frameworks.DrivenGAIL, frameworks.imitation],
        "lightweight-gan": [frameworks.LightweightTrainer],
    }
    marked = {
        name: sum(len(re.findall("# (?:new|was)", inspect.getsource(part))) for part in parts.get(name, [loop])) + 2
        for name, loop in LOOPS.items()
    }
    assert [int(lines) for _, lines in rows] == list(marked.values())
    for (there, _), name in zip(rows, marked, strict=True):
        assert there.replace("`", "").startswith(name.split(",")[0])
    assert max(marked.values()) < 15


@pytest.mark.parametrize(
    ("net_d_iters", "net_d_init_iters", "first"), [(2, 0, 1), (1, 0, 0), (2, 10, 11), (5, 10, 14), (3, 9, 11)]
)
def test_basicsr_starts_as_its_options_say(net_d_iters: int, net_d_init_iters: int, first: int) -> None:
    """The same updates in the same order as its own condition makes, and as docs/migration.md says."""
    original = Toy()
    for current_iter, real in enumerate(original.loader(60), start=1):
        output = original.fake()
        if current_iter % net_d_iters == 0 and current_iter > net_d_init_iters:
            original.generator_update(output)
        original.critic_update(real, output)
    assert original.updates.made.index("g") == first == net_d_iters * (net_d_init_iters // net_d_iters + 1) - 1
    toy = Toy()
    controller = StepDecayController(milestones={0: first, 1: net_d_iters}) if first else FixedController(net_d_iters)
    rounds = Rounds(controller)
    if first == 0:  # the generator begins; after that each of its updates has net_d_iters critic updates before it
        toy.generator_update()
        rounds.generator()
    plain.basicsr(toy, rounds, 60)
    length = min(len(toy.updates.made), len(original.updates.made))
    assert toy.updates.made[:length] == original.updates.made[:length]


def test_taming_reports_nothing_before_the_critic_starts() -> None:
    """Before disc_start the critic has no gradient and the gap is noise, which led n to its upper limit."""
    toy, rounds = Toy(), Rounds(WassersteinGapController(initial=1, limits=(1, 20), warmup=0, gain=0.5))
    frameworks.taming(toy, rounds, batches=0, disc_start=300)
    assert (toy.updates.made, rounds.critic_updates, rounds.steps) == ("g" * 300, 0, 1)
    frameworks.taming(toy, rounds, batches=40)
    assert rounds.engine.state.iteration > 5
    assert rounds.critic_updates == toy.updates.critic


def test_fakes_from_before_the_generators_step_hide_what_it_did() -> None:
    """BasicSR and CycleGAN train the critic on them: scored once more, the gap has not moved and kappa is 0."""
    toy = Toy()
    output = toy.fake()
    _, g_fake = toy.generator_update(output)
    assert torch.equal(toy.critic(output).mean(), g_fake)
    toy, watched = Toy(), Watched(partial(WassersteinGapController, warmup=0))
    plain.basicsr(toy, watched.rounds, 60)
    assert abs(watched.rounds.controller.signal) > 1e-3


def test_imitation_unmodified_by_hooks_on_its_methods() -> None:
    """The class as it is: its methods are wrapped, its attribute is driven, and ``train`` ends without an error."""
    toy = Toy()
    trainer, rounds = frameworks.GAIL(toy), Rounds(StepDecayController(milestones={0: 3, 2: 1}))
    train_gen, train_disc = trainer.train_gen, trainer.train_disc

    def reporting_gen() -> None:
        train_gen()
        rounds.generator()

    def reporting_disc() -> dict[str, float]:
        stats = train_disc()
        rounds.critic(d_real=stats["expert"], d_fake=stats["generated"])
        return stats

    trainer.train_gen, trainer.train_disc = reporting_gen, reporting_disc  # type: ignore[method-assign]  # hooks
    with AttributeActuator(trainer, "n_disc_updates_per_round", rounds):
        trainer.train(5)
    assert toy.updates.made == "gdddgdddgdgdgd"
    assert (rounds.critic_updates, rounds.generator_updates) == (9, 5)
    assert trainer.n_disc_updates_per_round == 4


@pytest.mark.parametrize(
    ("loop", "objective"),
    [
        (plain.dcgan, "non-saturating"),
        (frameworks.lightning, "non-saturating"),
        (plain.r3gan, "non-saturating"),
        (plain.timegan, "non-saturating"),
        (frameworks.imitation, "non-saturating"),
        (frameworks.taming, "hinge"),
        (frameworks.diffusers_vqgan, "hinge"),
        (frameworks.lightweight_gan, "hinge"),
        (plain.cyclegan, "least-squares"),
        (plain.hifi_gan, "least-squares"),
    ],
)
def test_the_loss_that_is_reported_has_the_objectives_ideal(
    loop: Callable[[Toy, Rounds, int], None], objective: str
) -> None:
    """Loops halve the loss, add it up over heads or have further terms; at parity all report the same."""
    toy, watched = toy_of(loop), Watched(partial(FixedController, 1))
    for name, value in toy.critic.named_parameters():
        last = name.endswith("bias") and value.shape == (1,)
        torch.nn.init.constant_(value, 0.5 if last and objective == "least-squares" else 0.0)
    loop(toy, watched.rounds, 12)
    assert float(watched.outputs[0]["d_loss"][0]) == pytest.approx(OBJECTIVES[objective].ideal_critic_loss)
