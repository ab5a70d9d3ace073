"""AlternationAudit: every fault that is put into a loop is found and named, and loops without one are left alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import ExponentialLR, LambdaLR, LRScheduler

from adaptive_critic import (
    AlternationAudit,
    AlternationError,
    FixedController,
    Rounds,
    StepDecayController,
    WassersteinGapController,
)
from tests.loops import frameworks
from tests.loops.test_loops import LOOPS, toy_of
from tests.loops.toys import Toy, backward, step


def audit_of(toy: Toy, **options: Any) -> AlternationAudit:
    return AlternationAudit(toy.generator, toy.critic, toy.optimizer_g, toy.optimizer_d, **options)


@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS.keys())
@pytest.mark.parametrize(
    "make",
    [
        partial(StepDecayController, milestones={0: 4, 3: 1, 6: 2}),
        partial(WassersteinGapController, warmup=1, gain=0.5, limits=(1, 6)),
    ],
)
def test_a_loop_without_a_fault_is_left_alone(
    loop: Callable[[Toy, Rounds, int], None], make: Callable[..., Any]
) -> None:
    toy, rounds = toy_of(loop), Rounds(make())
    # A lazy penalty is a step of its own, on the batch that its critic update was shown.
    ignore = ("updates", "batches") if loop is frameworks.stylegan2_ada else ()
    with audit_of(toy, steps=rounds, ignore=ignore) as audit:
        loop(toy, rounds, 60)
    assert audit.updates["critic"] >= toy.updates.critic > 10
    assert audit.updates["generator"] >= toy.updates.generator > 5


class Loop:
    """n critic updates and a generator update, over and over; a subclass has a fault."""

    n = 2
    rounds = 4

    def __init__(self) -> None:
        self.toy = Toy()
        self.batches = self.toy.loader(10**6)
        optimizers = (self.toy.optimizer_g, self.toy.optimizer_d)
        self.schedulers: list[LRScheduler] = [ExponentialLR(optimizer, 0.9) for optimizer in optimizers]

    def run(self) -> None:
        for _ in range(self.rounds):
            self.round()

    def round(self) -> None:
        for _ in range(self.n):
            self.critic_update()
        self.generator_update()

    def real(self) -> torch.Tensor:
        return next(self.batches)

    def critic_update(self) -> None:
        self.toy.critic_update(self.real())
        self.schedulers[1].step()

    def generator_update(self) -> None:
        self.toy.generator_update()
        self.schedulers[0].step()


class CriticStepsInTheGeneratorsTurn(Loop):
    def generator_update(self) -> None:
        super().generator_update()
        self.toy.optimizer_d.step()


class CriticStepsOnTheGeneratorsLoss(Loop):
    def generator_update(self) -> None:
        self.toy.optimizer_g.zero_grad()
        backward(-self.toy.critic(self.toy.fake()).mean())
        self.toy.optimizer_d.step()
        self.toy.optimizer_g.step()


class CountsMicroBatches(Loop):
    """The ratio is taken of micro-batches, of which two make a step."""

    def run(self) -> None:
        for i in range(1, 21):
            backward(self.toy.critic(self.real()).mean() / 2)
            if i % 2 == 0:
                self.toy.optimizer_d.step()
                self.toy.optimizer_d.zero_grad()
            if i % self.n == 0:
                self.toy.generator_update()


class TooMany(Loop):
    def round(self) -> None:
        self.critic_update()
        super().round()


class SchedulersOfBothAtEveryBatch(Loop):
    def critic_update(self) -> None:
        super().critic_update()
        if self.toy.updates.generator > 0:
            self.schedulers[0].step()


class OneBatchForAllUpdates(Loop):
    def round(self) -> None:
        batch = self.real()
        for _ in range(self.n):
            self.toy.critic_update(batch)
        self.generator_update()


class OneBatchForTwoRounds(Loop):
    def real(self) -> torch.Tensor:
        self.made = getattr(self, "made", -1) + 1
        if self.made % 3 != 2:
            self.first = super().real()
        return self.first


class ClipsBeforeTheUpdate(Loop):
    def critic_update(self) -> None:
        for value in self.toy.critic.parameters():
            value.data.clamp_(-0.01, 0.01)
        super().critic_update()


class ScoresInAnotherMode(Loop):
    def generator_update(self) -> None:
        self.toy.critic.eval()
        super().generator_update()
        self.toy.critic.train()


class OneOptimizerHasBoth(Loop):
    def __init__(self) -> None:
        super().__init__()
        self.toy.optimizer_g.add_param_group({"params": list(self.toy.critic.parameters())})


class LossTimesZero(Loop):
    def critic_update(self) -> None:
        scores = self.toy.critic(self.real())
        step(self.toy.optimizer_d, 0.0 * scores.mean())


class Frozen(Loop):
    def generator_update(self) -> None:
        self.toy.generator.requires_grad_(False)
        self.toy.critic(self.toy.fake())
        self.toy.optimizer_g.zero_grad()
        self.toy.optimizer_g.step()


class Simultaneous(Loop):
    n = 1

    def round(self) -> None:
        fake = self.toy.fake()
        d_loss = (self.toy.critic(fake.detach()) - self.toy.critic(self.real())).mean()
        self.toy.optimizer_g.zero_grad()
        backward(-self.toy.critic(fake).mean())
        self.toy.optimizer_d.zero_grad()
        backward(d_loss)
        self.toy.optimizer_d.step()
        self.toy.optimizer_g.step()


class NoGenerator(Loop):
    def generator_update(self) -> None:
        pass


class NoCritic(Loop):
    def critic_update(self) -> None:
        pass


FAULTS: dict[type[Loop], tuple[str, str]] = {
    CriticStepsInTheGeneratorsTurn: (
        "updates",
        "optimizer_d stepped without a forward pass of the critic since the step before, after 2 critic updates and 1",
    ),
    CriticStepsOnTheGeneratorsLoss: ("updates", "critic update 3 of a round that was to have 2"),
    CountsMicroBatches: ("updates", "generator update 1 came after 1 of 2 critic updates.*micro-batches"),
    TooMany: ("updates", "critic update 3 of a round that was to have 2"),
    SchedulersOfBothAtEveryBatch: ("schedulers", "ExponentialLR of optimizer_g ticked twice after generator update 1"),
    OneBatchForAllUpdates: (
        "batches",
        "critic update 2 was shown the batch of critic update 1 again.*infinite",
    ),
    OneBatchForTwoRounds: ("batches", "critic update 3 was shown the batch of critic update 2 again"),
    ClipsBeforeTheUpdate: ("gap", "generator update 1's batch and its next score its weights have changed.*clip"),
    ScoresInAnotherMode: ("gap", "generator update 1's batch and its next score its mode has changed"),
    OneOptimizerHasBoth: ("weights", "generator update 1 moved weights of the critic"),
    LossTimesZero: ("weights", "critic update 1 moved no weight of the critic: .* multiplied by 0"),
    Frozen: ("weights", "generator update 1 moved no weight of the generator: .* requires_grad False"),
    Simultaneous: ("gap", r"generator update 1 came right after optimizer_d.step\(\)"),
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("by", ["int", "controller"])
def test_a_fault_is_named(fault: type[Loop], by: str) -> None:
    loop = fault()
    steps: Any = loop.n if by == "int" else FixedController(loop.n)
    with (
        pytest.raises(AlternationError, match=FAULTS[fault][1]),
        audit_of(loop.toy, steps=steps, schedulers=loop.schedulers),
    ):
        loop.run()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_what_is_ignored_is_not_named(fault: type[Loop]) -> None:
    loop = fault()
    ignore = {FAULTS[fault][0]}
    if fault in (CriticStepsInTheGeneratorsTurn, CriticStepsOnTheGeneratorsLoss, OneOptimizerHasBoth):
        ignore |= {"weights", "gap"}  # so they are found by these, too
    with audit_of(loop.toy, steps=loop.n, schedulers=loop.schedulers, ignore=ignore):
        loop.run()


def test_a_critic_that_steps_twice_is_found_without_a_number_to_compare_with() -> None:
    loop = CriticStepsOnTheGeneratorsLoss()
    with (
        pytest.raises(AlternationError, match=r"generator update 1 came right after optimizer_d.step\(\)"),
        audit_of(loop.toy),
    ):
        loop.run()


@pytest.mark.parametrize(("fault", "name"), [(NoGenerator, "optimizer_g"), (NoCritic, "optimizer_d")])
def test_a_network_that_gets_no_update_is_named(fault: type[Loop], name: str) -> None:
    loop = fault()
    with pytest.raises(AlternationError, match=f"{name} never stepped while the audit watched"), audit_of(loop.toy):
        loop.run()
    with pytest.raises(KeyboardInterrupt), audit_of(loop.toy):
        raise KeyboardInterrupt


def test_nothing_is_left_behind() -> None:
    """Hooks and schedulers are what they were, after an error too; the weights that come out are the same."""

    def hooks(toy: Toy) -> list[int]:
        optimizers = (toy.optimizer_g, toy.optimizer_d)
        return [
            *(len(o._optimizer_step_pre_hooks) + len(o._optimizer_step_post_hooks) for o in optimizers),
            *(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in (toy.generator, toy.critic)),
        ]

    plain, audited, failing = Loop(), Loop(), OneBatchForAllUpdates()
    before, ticks = hooks(audited.toy), audited.schedulers[0].step
    plain.run()
    with audit_of(audited.toy, steps=2, schedulers=audited.schedulers) as audit:
        assert hooks(audited.toy) != before
        audited.run()
    assert audit.updates == {"critic": 8, "generator": 4}
    with pytest.raises(AlternationError), audit_of(failing.toy):
        failing.run()
    assert hooks(audited.toy) == hooks(failing.toy) == before
    assert audited.schedulers[0].step == ticks
    pairs = itertools.chain(
        zip(plain.toy.critic.parameters(), audited.toy.critic.parameters(), strict=True),
        zip(plain.toy.generator.parameters(), audited.toy.generator.parameters(), strict=True),
    )
    assert all(torch.equal(one, other) for one, other in pairs)


def test_a_rate_of_0_moves_nothing_and_is_no_fault() -> None:
    loop = Loop()
    loop.schedulers = [LambdaLR(o, lambda tick: float(tick > 2)) for o in (loop.toy.optimizer_g, loop.toy.optimizer_d)]
    with audit_of(loop.toy, steps=2):
        loop.run()


def test_batches_of_other_types_and_other_arguments() -> None:
    class Labelled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = torch.nn.Linear(2, 1)

        def forward(self, points: torch.Tensor, *, labels: torch.Tensor, level: float) -> torch.Tensor:
            return torch.as_tensor(self.net(points.float()) + labels.sum() + level)

    def critic_update(number: int) -> None:
        points = torch.ones(4, 2, dtype=torch.bfloat16)
        toy.critic(points[:0], labels=torch.tensor(0), level=0.5)  # an empty batch is no batch
        step(toy.optimizer_d, toy.critic(points, labels=torch.tensor(number), level=0.5).mean())

    def critic_twice(number: int) -> None:
        critic_update(number)
        critic_update(number)

    toy = Toy(Labelled())
    with audit_of(toy, ignore=["gap"]):
        for number in range(3):  # the same points with other labels
            critic_update(number)
        step(toy.optimizer_g, toy.fake().mean())
    with pytest.raises(AlternationError, match="critic update 2 was shown the batch of critic update 1"), audit_of(toy):
        critic_twice(0)


@pytest.mark.parametrize(
    ("arguments", "error", "complaint"),
    [
        ({"generator": 3}, TypeError, "generator=3: expected a torch.nn.Module, got int"),
        ({"critic": [3]}, TypeError, "critic=3: expected a torch.nn.Module, got int"),
        ({"critic": 3}, TypeError, "critic=3: expected a torch.nn.Module, got int"),
        ({"ignore": "gap"}, TypeError, r"ignore='gap': expected names in a tuple, such as \('gap',\)"),
        ({"schedulers": [3]}, TypeError, "schedulers: 3: expected a scheduler"),
        ({"optimizer_d": "Adam"}, TypeError, "optimizer_d='Adam': expected a torch.optim.Optimizer, got str"),
        ({"steps": -1}, ValueError, "steps=-1: expected an int of at least 0"),
        ({"steps": 2.0}, TypeError, "steps=2.0: expected an int"),
        ({"ignore": ["gaps"]}, ValueError, r"ignore=\['gaps'\]: expected some of updates, weights, schedulers"),
        ({"schedulers": Loop().schedulers}, ValueError, "ExponentialLR is of neither optimizer_g nor optimizer_d"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], complaint: str) -> None:
    toy = Toy()
    good = {
        "generator": toy.generator,
        "critic": toy.critic,
        "optimizer_g": toy.optimizer_g,
        "optimizer_d": toy.optimizer_d,
    }
    with pytest.raises(error, match=complaint):
        AlternationAudit(**{**good, **arguments})
