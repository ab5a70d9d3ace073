"""create_gan_trainer(penalty_every=k): penalties at every k-th critic update, with k times their weight."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from adaptive_critic import DivergenceGuard, Objective, StateError
from adaptive_critic.training import OBJECTIVES
from adaptive_critic.training import step as step_module
from adaptive_critic.training.lazy_penalty import LazyPenalty
from tests.guard.engines import through_file
from tests.processes import run_side_by_side
from tests.training_toys import LATENTS, Setup, real_batches, train_one_rank

GP: dict[str, Any] = {"objective": "wasserstein-gp"}
R1: dict[str, Any] = {"objective": "non-saturating", "r1": 2.0}
BOTH: dict[str, Any] = {"objective": "hinge", "r1": 2.0, "gradient_penalty": 3.0}
every_penalty = pytest.mark.parametrize("options", [GP, R1, BOTH], ids=str)


class Counted:
    """Counts the penalties that are computed, micro-batches one by one."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.calls: list[int] = []
        process: Any = setup.trainer._process_function
        take = process._penalty

        def penalty(*arguments: Any) -> Tensor:
            self.calls.append(process.lazy_penalty.critic_updates)
            measured: Tensor = take(*arguments)
            return measured

        process._penalty = penalty


def lazy(setup: Setup) -> LazyPenalty:
    process: Any = setup.trainer._process_function
    found: LazyPenalty = process.lazy_penalty
    return found


@every_penalty
def test_1_is_a_penalty_at_every_update(options: dict[str, Any]) -> None:
    plain = Setup(n=3, **options)
    expected = plain.run(4)
    told = Setup(n=3, penalty_every=1, **options)
    for a, b in zip(told.run(4), expected, strict=True):
        assert all(torch.equal(torch.as_tensor(a[key]), torch.as_tensor(b[key])) for key in a)
    assert all(map(torch.equal, plain.weights(), told.weights()))
    # Nothing that changes is left out of a checkpoint.
    assert "lazy_penalty" not in vars(told.trainer.state)["to_save"]
    assert lazy(told).state_dict() == lazy(Setup(**options)).state_dict()


@every_penalty
def test_every_third_update_takes_it_whatever_n_is(options: dict[str, Any]) -> None:
    setup = Setup(n=None, penalty_every=3, **options)
    counted = Counted(setup)
    for n in (2, 0, 5, 1, 0, 4):
        setup.set(n)
        setup.run(1)
    assert counted.calls == [0, 3, 6, 9]
    assert lazy(setup).critic_updates == 12


class Slope(nn.Module):
    """A critic D(x) = a * x[0], of which R1 is gamma / 2 * a^2."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor) -> Tensor:
        return self.a * x[:, 0]


class Same(nn.Module):
    """A generator of samples that are all alike."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.ones(2))

    def forward(self, z: Tensor) -> Tensor:
        return 0 * z + self.shift


def by_formula(a: float, every: int, updates: int, gamma: float = 0.4, lr: float = 0.1) -> tuple[float, list[float]]:
    """Plain gradient descent of gamma / 2 * a^2 at every k-th update, with weight k; the scores cancel out."""
    penalties = []
    for index in range(updates):
        if index % every == 0:
            penalties.append(gamma / 2 * a * a)
            a -= lr * every * gamma * a
        else:
            penalties.append(penalties[-1])
    return a, penalties


@pytest.mark.parametrize("every", [1, 2, 4])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_weight_is_k_times_as_large_and_what_is_reported_is_not(every: int, accumulate: int) -> None:
    critic = Slope()
    setup = Setup(
        n=None,
        networks=(Same(), critic),
        lr=(0.0, 0.1),
        objective=Objective("flat", Tensor.mean, lambda scores: -scores.mean(), Tensor.mean, None, r1=0.4),
        data=[torch.ones(8, 2)] * 4,
        penalty_every=every,
        gradient_accumulation_steps=accumulate,
    )
    counted = Counted(setup)
    reported: list[float] = []
    for n in (3, 0, 2, 4):
        setup.set(n)
        (output,) = setup.run(1)
        assert output["d_penalty"].shape == (n,)
        reported += output["d_penalty"].tolist()
    expected, penalties = by_formula(0.5, every, updates=9)
    assert critic.a.item() == pytest.approx(expected, rel=1e-5)
    assert reported == pytest.approx(penalties, rel=1e-5)
    assert len(counted.calls) == accumulate * math.ceil(9 / every)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_mixed_precision_and_scaling(dtype: torch.dtype) -> None:
    setup = Setup(n=3, penalty_every=2, autocast=dtype, gradient_accumulation_steps=2, **R1)
    counted = Counted(setup)
    outputs = setup.run(4)
    assert counted.calls == [index for index in range(0, 12, 2) for _ in range(2)]
    reported = torch.cat([output["d_penalty"] for output in outputs])
    assert reported.dtype is torch.float32
    assert (reported > 0).all()
    assert torch.equal(reported[0::2], reported[1::2])


def test_ranks_take_it_in_step(tmp_path: Path) -> None:
    options = {**R1, "penalty_every": 2}
    run_side_by_side(train_one_rank, [(rank, str(tmp_path), options) for rank in range(2)], tmp_path, limit=120.0)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert all(map(torch.equal, first, second))
    batches = real_batches(16)
    together = [torch.cat(batches[index : index + 4]) for index in range(0, 16, 4)]
    setup = Setup(n=2, data=together, sample_latent=lambda size: LATENTS.repeat(size // 8, 1), **options)
    setup.run(2)
    setup.set(0)
    setup.run(1)
    for ours, theirs in zip(first, setup.weights(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_penalty_that_is_not_finite_is_reported_once() -> None:
    setup = Setup(n=2, penalty_every=4, lr=(0.0, 0.0), **R1)
    process: Any = setup.trainer._process_function
    take = process._penalty
    process._penalty = lambda *arguments: take(*arguments) * math.nan
    process.optimizer_d.step = lambda: None  # as a rollback would leave it: the weights are sound
    (output,) = setup.run(1)
    assert output["d_penalty"].isnan().tolist() == [True, False]
    (output,) = setup.run(1)
    assert output["d_penalty"].tolist() == [0.0, 0.0]


def test_a_guard_does_not_take_the_updates_between_for_a_change() -> None:
    setup = Setup(n=1, penalty_every=4, **R1)
    guard = DivergenceGuard("terminate", check_every=2, patience=1)
    guard.attach(setup.trainer)
    setup.run(60)
    assert guard.history == []
    levels = guard.state_dict()["rules"]["history"]["d_penalty"]
    assert min(levels) > 0


# States and bad input


def test_states_are_checked() -> None:
    one, other = (LazyPenalty(OBJECTIVES["wasserstein-gp"], 3) for _ in range(2))
    for penalty in (2.5, 0.0, 0.0, 7.25, 0.0):
        one.count(torch.tensor(penalty))
    state = through_file(one.state_dict())
    other.load_state_dict(state)
    assert (other.critic_updates, other.due) == (5, False)
    assert other.count(torch.tensor(0.0)).item() == 7.25
    assert other.due
    for wrong in ({"critic_updates": -1}, {"critic_updates": 2.5}, {"d_penalty": math.nan}, {"d_penalty": "1"}):
        with pytest.raises(StateError, match=f"state\\['{next(iter(wrong))}'\\]="):
            one.load_state_dict(state | wrong)
    with pytest.raises(StateError, match=r"format version 2, this release reads up to 1"):
        one.load_state_dict(state | {"version": 2})
    with pytest.raises(StateError, match="a state of 'StopAtBudget'"):
        one.load_state_dict(state | {"handler": "StopAtBudget"})
    assert one.state_dict() == state


def test_an_objective_without_a_penalty_computes_none() -> None:
    setup = Setup(n=3, objective="hinge")
    counted = Counted(setup)
    setup.run(2)
    assert counted.calls == []


@pytest.mark.parametrize("bad", [0, -1, 2**64])
def test_numbers_below_1_are_refused(bad: int) -> None:
    with pytest.raises(ValueError, match=f"penalty_every={bad}: expected an int of at"):
        Setup(penalty_every=bad, **R1)


@pytest.mark.parametrize("bad", [2.0, "4", True, None], ids=str)
def test_what_is_not_an_int_is_refused(bad: Any) -> None:
    with pytest.raises(TypeError, match=f"penalty_every={bad!r}: expected an int of at least 1, got"):
        Setup(penalty_every=bad, **R1)


@pytest.mark.parametrize("options", [{"objective": "hinge"}, {"gradient_penalty": 0.0}], ids=str)
def test_an_objective_without_a_penalty_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"penalty_every=4 with objective '.*', which has no penalty: give .* or r1="):
        Setup(penalty_every=4, **options)
    Setup(penalty_every=1, **options)


def test_a_step_of_ones_own_engine_takes_it_too() -> None:
    setup = Setup(n=1, **GP)
    process: Any = setup.trainer._process_function
    names = ("generator", "discriminator", "optimizer_g", "optimizer_d")
    options = ("batches", "sample_latent", "prepare_batch", "objective")
    made = step_module.GANTrainingStep(
        *(getattr(process, name) for name in names),
        **{name: getattr(process, name) for name in options},
        penalty_every=5,
    )
    assert made.lazy_penalty.every == 5
