"""How far optimizers move their weights: measured by hooks, judged by the rule of explosions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events

from adaptive_critic.guard import DivergenceGuard
from adaptive_critic.guard.rules import PREFIX, DivergenceRules, gather
from adaptive_critic.guard.updates import Updates, _local
from adaptive_critic.state import StateError
from experiments.bench.counting import host_reads
from tests.guard.engines import healthy

MAKERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "adam": lambda weights: torch.optim.Adam(weights, lr=1e-3, betas=(0.5, 0.9)),
    "sgd": lambda weights: torch.optim.SGD(weights, lr=1e-3, momentum=0.9),
    "rmsprop": lambda weights: torch.optim.RMSprop(weights, lr=1e-3),
}


class Training:
    """Weights that follow random gradients, with a learning rate and a gradient of one's choice."""

    def __init__(self, maker: str = "adam", **options: Any) -> None:
        self.weights = [torch.nn.Parameter(torch.ones(40)), torch.nn.Parameter(torch.ones(3, 5))]
        self.optimizer = MAKERS[maker](self.weights)
        self.noise = torch.Generator().manual_seed(0)
        self.rate: Callable[[int], float] = lambda iteration: 1.0
        self.gradient: Callable[[int], float] = lambda iteration: 1.0
        self.steps = 1
        self.engine = Engine(self.step)
        self.guard = DivergenceGuard("rollback", to_restore={"optimizer": self.optimizer}, cooldown=50, **options)
        self.guard.attach(self.engine)

    def update(self, iteration: int) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = 1e-3 * self.rate(iteration)
        for weight in self.weights:
            weight.grad = self.gradient(iteration) * torch.randn(weight.shape, generator=self.noise)
        self.optimizer.step()

    def step(self, engine: Engine, batch: Any) -> dict[str, Any]:
        for _ in range(self.steps):
            self.update(engine.state.iteration)
        return healthy(engine.state.iteration)

    def run(self, iterations: int) -> list[tuple[int, str]]:
        """Return what the guard acted on."""
        self.engine.run(range(iterations))
        return [(record["iteration"], record["reason"]) for record in self.guard.history]


def hooks(optimizer: Any) -> int:
    return len(optimizer._optimizer_step_pre_hooks) + len(optimizer._optimizer_step_post_hooks)


# --- measuring ----------------------------------------------------------------------------------------------------


def moved_by(optimizer: torch.optim.Optimizer, weights: list[torch.nn.Parameter]) -> float:
    before = torch.cat([weight.detach().flatten() for weight in weights])
    optimizer.step()
    return float((torch.cat([weight.detach().flatten() for weight in weights]) - before).norm())


def test_the_size_is_the_distance_of_the_first_step_of_an_iteration_that_is_due() -> None:
    weights = [torch.nn.Parameter(torch.zeros(3)), torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))]
    optimizer = torch.optim.SGD(weights, lr=1.0)
    single = torch.nn.Parameter(torch.zeros(1))
    idle = torch.optim.SGD([single], lr=1.0)
    updates = Updates({"idle": idle, "busy": optimizer})
    due: list[int | None] = [None]
    updates.watch(lambda: due[0])

    def step(gradient: float) -> float:
        for weight in weights:
            weight.grad = torch.full_like(weight, gradient)
        return moved_by(optimizer, weights)

    assert step(1.0) == pytest.approx(math.sqrt(5))
    assert updates.take(0) == [None, None]
    due[0] = 7
    first, _ = step(2.0), step(50.0)
    none, size = updates.take(7)
    assert none is None
    assert size is not None
    assert float(size) == pytest.approx(first) == pytest.approx(2 * math.sqrt(5))
    assert updates.take(7) == [None, None]  # it is handed over once
    step(3.0)
    due[0] = 8
    assert updates.take(8) == [None, None]  # that of an iteration that failed is not the next one's
    step(4.0)
    (_, size) = updates.take(8)
    assert size is not None
    assert float(size) == pytest.approx(4 * math.sqrt(5))
    single.grad = torch.ones(1)
    idle.step()
    (size, none) = updates.take(8)
    assert none is None
    assert size is not None
    assert (float(size), size.shape, size.dtype) == (1.0, (), torch.float64)
    updates.leave()
    assert hooks(optimizer) == hooks(idle) == 0
    step(5.0)
    assert updates.take(8) == [None, None]


def test_weights_without_a_gradient_are_not_copied() -> None:
    weights = [torch.nn.Parameter(torch.zeros(3)), torch.nn.Parameter(torch.zeros(2))]
    optimizer = torch.optim.SGD(weights, lr=1.0)
    updates = Updates({"optimizer": optimizer})
    updates.watch(lambda: 1)
    optimizer.step()
    assert updates.take(1) == [None]
    weights[0].grad = torch.ones(3)
    updates._begin(lambda: 2, "optimizer", optimizer)
    assert [old.shape for _, old in updates._before["optimizer"][1]] == [(3,)]


def test_of_weights_that_are_spread_over_ranks_this_ranks_part_is_measured() -> None:
    class Spread:
        def to_local(self) -> torch.Tensor:
            return torch.nn.Parameter(torch.ones(2))

    spread: Any = Spread()
    local = _local(spread)
    assert torch.equal(local, torch.ones(2))
    assert not local.requires_grad


def test_hooks_are_there_while_the_guard_is_attached() -> None:
    training = Training()
    assert hooks(training.optimizer) == 2
    training.guard.detach()
    assert hooks(training.optimizer) == 0
    training.guard.attach(training.engine)
    assert hooks(training.optimizer) == 2
    assert hooks(Training(update_limit=None).optimizer) == 0


def test_it_is_measured_once_in_ten_iterations_whatever_the_number_of_steps() -> None:
    training = Training("sgd")
    training.steps = 4
    copies: list[int] = []
    updates: Any = training.guard._monitor.updates
    begin = updates._begin

    def counted(due: Any, name: str, optimizer: torch.optim.Optimizer) -> None:
        begin(due, name, optimizer)
        copies.append(len(updates._before.get(name, ())))

    updates.leave()
    updates._begin = counted
    updates.watch(training.guard._iteration_before_check)
    assert training.run(60) == []
    assert sum(1 for count in copies if count) == 6
    history = training.guard._monitor.state.history
    assert len(history[PREFIX + "optimizer"]) == 6


@pytest.mark.parametrize("limit", [5.0, None])
def test_a_size_costs_no_read_of_its_own(limit: float | None) -> None:
    training = Training("sgd", update_limit=limit)
    with host_reads() as reads:
        training.run(60)
    assert reads == ["tolist"] * 6


# --- judging ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("maker", MAKERS)
def test_a_learning_rate_thirty_times_as_high_is_found_and_one_twice_as_high_is_not(maker: str) -> None:
    training = Training(maker)
    training.rate = lambda iteration: 30.0 if iteration >= 200 else 1.0
    found = training.run(300)
    assert found[0][0] == 220
    assert "update of optimizer" in found[0][1]
    assert "at 3 checks in a row" in found[0][1]
    quiet = Training(maker)
    quiet.rate = lambda iteration: 2.0 if iteration >= 200 else 1.0
    assert quiet.run(400) == []
    loud = Training(maker, update_limit=None)
    loud.rate = training.rate
    assert loud.run(300) == []


def test_the_limit_is_an_argument() -> None:
    for limit, found in ((1.5, True), (2.5, False)):
        training = Training(update_limit=limit)
        training.rate = lambda iteration: 2.0 if iteration >= 200 else 1.0
        assert bool(training.run(300)) is found
    wrong: list[tuple[Any, str]] = [(1, "update_limit=1: expected a number above 1"), ("5", "update_limit='5'")]
    for given, message in wrong:
        with pytest.raises((TypeError, ValueError), match=message):
            Training(update_limit=given)


SCHEDULES: dict[str, Callable[[int], float]] = {
    "linear warmup": lambda iteration: min(iteration / 1500, 1.0),
    "warm restarts": lambda iteration: 0.5 * (1.0 + math.cos(math.pi * (iteration % 800) / 800)),
    "steps down": lambda iteration: 0.1 ** (iteration // 600),
}


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_usual_schedules_are_healthy(maker: str, schedule: str) -> None:
    training = Training(maker)
    training.rate = SCHEDULES[schedule]
    assert training.run(2500) == []


@pytest.mark.parametrize("maker", MAKERS)
def test_a_critic_that_had_no_gradient_for_long_may_go_on(maker: str) -> None:
    """As under hinge, while every score is beyond its margin."""
    training = Training(maker)
    training.gradient = lambda iteration: 0.0 if 300 <= iteration < 2000 else 1.0
    assert training.run(2300) == []


def test_one_large_update_alone_is_ignored() -> None:
    training = Training("sgd")
    training.gradient = lambda iteration: 12.0 if iteration == 250 else 1.0
    assert training.run(400) == []


def test_of_updates_the_largest_are_remembered() -> None:
    rules = DivergenceRules(window=3, warmup=3, patience=1)
    state, name = rules.init(), PREFIX + "optimizer"
    for size in (3.0, 1.0, 2.0, 0.5, 2.5, 99.0, 0.0):
        state, judgement = rules.update(state, gather({name: [size]}))
        assert (judgement.verdict is not None) is (size == 99.0)
    assert state.history == {name: (2.0, 2.5, 3.0)}
    assert rules.limits(state.history[name], update=True) == (0.0, 12.5)
    assert DivergenceRules(update_limit=None).limits(state.history[name], update=True) == (0.0, math.inf)


# --- state --------------------------------------------------------------------------------------------------------


def test_a_state_is_saved_with_the_size_that_waits_for_a_check() -> None:
    """By a handler that comes before the guard's, in the iteration before a check."""
    training = Training()
    training.guard.detach()
    states: list[Any] = []
    training.engine.add_event_handler(
        Events.ITERATION_COMPLETED(once=10), lambda: states.append(training.guard.state_dict())
    )
    training.guard.attach(training.engine)
    training.run(12)
    (state,) = states
    assert len(state["window"]["rows"]) == 10
    other = Training()
    other.guard.load_state_dict(state)
    other.engine.load_state_dict({"epoch_length": 12, "iteration": 10, "max_epochs": 1})
    other.engine.run(range(12))
    history = training.guard._monitor.state.history
    assert other.guard._monitor.state.history == history
    assert len(history[PREFIX + "optimizer"]) == 1


def test_a_state_with_sizes_that_this_guard_does_not_measure_is_refused() -> None:
    training = Training()
    training.run(9)
    state = training.guard.state_dict()
    state["window"]["masks"][0] |= 1 << 8
    with pytest.raises(StateError, match="can't have the mask"):
        training.guard.load_state_dict(state)
    state = training.guard.state_dict()
    state["rules"]["history"] = {"updates": [1.0]}
    with pytest.raises(StateError, match=r"history is of 'updates': expected one of .*, or 'update of ' and a name"):
        training.guard.load_state_dict(state)
