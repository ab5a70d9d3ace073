"""How far optimizers move their weights: measured by hooks, judged by the rule of explosions."""

from __future__ import annotations

import dataclasses
import gc
import math
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events

from adaptive_critic.guard import DivergenceGuard
from adaptive_critic.guard.divergence import DivergenceRules
from adaptive_critic.guard.evidence import summarise
from adaptive_critic.guard.limits import LargeUpdate
from adaptive_critic.guard.updates import Updates, _local, _norm
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


class Due:
    """Says in which iteration to measure."""

    def __init__(self, iteration: int | None = None) -> None:
        self.iteration = iteration

    def ask(self, name: str) -> int | None:
        return self.iteration


def hooks(optimizer: Any) -> int:
    return len(optimizer._optimizer_step_pre_hooks) + len(optimizer._optimizer_step_post_hooks)


# --- measuring ----------------------------------------------------------------------------------------------------


def moved_by(optimizer: torch.optim.Optimizer, weights: list[torch.nn.Parameter]) -> float:
    before = torch.cat([weight.detach().flatten() for weight in weights])
    optimizer.step()
    moved = torch.cat([weight.detach().flatten() for weight in weights]) - before
    return float(moved.norm() / before.norm())


def test_the_size_is_the_distance_of_the_first_step_of_an_iteration_that_is_due() -> None:
    weights = [torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(2, dtype=torch.float64))]
    optimizer = torch.optim.SGD(weights, lr=1.0)
    single = torch.nn.Parameter(torch.full((1,), 4.0))
    idle = torch.optim.SGD([single], lr=1.0)
    updates = Updates({"idle": idle, "busy": optimizer})
    due = Due()
    updates.watch(due.ask)

    def step(gradient: float) -> float:
        for weight in weights:
            weight.grad = torch.full_like(weight, gradient)
        return moved_by(optimizer, weights)

    assert step(-1.0) == pytest.approx(1.0)  # to 2
    assert updates.take(0) == [None, None]
    due.iteration = 7
    first, _ = step(-4.0), step(-44.0)  # to 6, to 50
    none, size = updates.take(7)
    assert none is None
    assert size is not None
    assert float(size) == pytest.approx(first) == pytest.approx(2.0)
    assert updates.take(7) == [None, None]  # it is handed over once
    step(3.0)
    due.iteration = 8
    assert updates.take(8) == [None, None]  # that of an iteration that failed is not the next one's
    share = step(4.0)
    (_, size) = updates.take(8)
    assert size is not None
    assert float(size) == pytest.approx(share)
    single.grad = torch.ones(1)
    idle.step()
    (size, none) = updates.take(8)
    assert none is None
    assert size is not None
    assert (float(size), size.shape, size.dtype) == (0.25, (), torch.float64)
    updates.leave()
    assert hooks(optimizer) == hooks(idle) == 0
    step(5.0)
    assert updates.take(8) == [None, None]


def test_weights_on_several_devices_have_one_norm_on_the_first() -> None:
    assert _norm([torch.ones(3, device="meta"), torch.ones(2)]).device.type == "meta"


def test_weights_without_a_gradient_are_not_copied() -> None:
    weights = [torch.nn.Parameter(torch.zeros(3)), torch.nn.Parameter(torch.zeros(2))]
    optimizer = torch.optim.SGD(weights, lr=1.0)
    updates = Updates({"optimizer": optimizer})
    due = Due(1)
    updates.watch(due.ask)
    optimizer.step()
    assert updates.take(1) == [None]
    weights[0].grad = torch.ones(3)
    updates._begin(2, "optimizer", optimizer, closure=False)
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
    updates: Any = training.guard._updates
    begin = updates._begin

    def counted(iteration: int | None, name: str, optimizer: torch.optim.Optimizer, closure: bool) -> None:
        begin(iteration, name, optimizer, closure)
        copies.append(len(updates._before.get(name, ())))

    updates.leave()
    updates._begin = counted
    updates.watch(training.guard._iteration_to_measure)
    assert training.run(60) == []
    assert sum(1 for count in copies if count) == 6
    assert len(training.guard._rules_state.updates["optimizer"]) == 6


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
    assert found[0][0] == 230
    assert "update of optimizer" in found[0][1]
    assert "at 3 checks in a row" in found[0][1]
    quiet = Training(maker)
    quiet.rate = lambda iteration: 2.0 if iteration >= 200 else 1.0
    assert quiet.run(400) == []
    loud = Training(maker, update_limit=None)
    loud.rate = training.rate
    assert loud.run(300) == []


def test_the_limit_is_an_argument() -> None:
    for limit, found in ((1.5, True), (6.0, False)):
        training = Training("sgd", update_limit=limit)
        training.rate = lambda iteration: 30.0 if iteration >= 200 else 10.0
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


def test_of_updates_the_largest_and_the_latest_are_remembered() -> None:
    rules = DivergenceRules(window=3, warmup=3, patience=2)
    state, name = rules.init(), "optimizer"
    for size in (8.0, 0.1, 4.0, 3.0, 1.0, 2.0, 0.5, 2.5, 99.0, 0.0, math.nan, math.inf):
        state, judgement = rules.update(state, summarise({}, {name: [size]}))
        assert judgement.verdict is None
    assert state.updates == {name: (8.0, 0.1, 4.0, 2.0, 3.0, 2.5)}
    assert LargeUpdate(5.0, warmup=3).limit(state.updates[name]) == 12.5
    assert LargeUpdate(1.0, warmup=3).limit(state.updates[name]) == 2.5
    assert LargeUpdate(5.0, warmup=3).limit((8.0, 0.1, 4.0, 2.0, 2.5, 3.0)) == 15.0  # as they grow, the latest counts
    assert LargeUpdate(5.0, warmup=3).limit((8.0, 0.1, 4.0, 0.001, 9.0, 0.0015)) == 0.01  # never less than 1 %
    assert LargeUpdate(math.inf, warmup=3).limit(state.updates[name]) == math.inf


@pytest.mark.parametrize(("suspicious", "limit"), [(0, 12.5), (1, 2.5)])
def test_a_large_update_lasts_while_the_next_ones_are_larger_than_usual(suspicious: int, limit: float) -> None:
    rule = DivergenceRules(window=3, warmup=3).outside_limits
    state = DivergenceRules().init()._replace(updates={"d": (8.0, 0.1, 4.0, 2.0, 3.0, 2.5)}, suspicious=suspicious)
    for size, found in ((limit, None), (limit * 1.01, {"update of d": limit * 1.01, "update of d_limit": limit})):
        _, verdict = rule.update(state, summarise({}, {"d": [size]}))
        assert (verdict and verdict.values) == found
    _, verdict = dataclasses.replace(rule, update_limit=math.inf).update(state, summarise({}, {"d": [99.0]}))
    assert verdict is None


def test_updates_that_grow_by_four_times_from_check_to_check_are_healthy() -> None:
    """As plain gradient descent from small weights does."""
    rules, name = DivergenceRules(warmup=3), "optimizer"
    state = rules.init()
    for check in range(12):
        state, judgement = rules.update(state, summarise({}, {name: [1e-5 * 4.0**check]}))
        assert judgement.verdict is None


def test_an_update_within_its_limits_is_no_spike() -> None:
    rules, name = DivergenceRules(warmup=1, spike_limit=1.0), "optimizer"
    state = rules.init()
    for _ in range(9):
        state, judgement = rules.update(state, summarise({}, {name: [0.02]}))
        assert judgement.clean


def test_large_first_steps_hide_no_later_rise() -> None:
    """As those of RMSprop are, whose average of squares begins at 0."""
    rules, name = DivergenceRules(), "optimizer"
    state, found = rules.init(), []
    for size in [0.039, 0.0134, 0.009, 0.006, 0.004] + [0.0025] * 20 + [0.057, 0.045, 0.088]:
        state, judgement = rules.update(state, summarise({}, {name: [size]}))
        found.append(judgement.verdict is not None)
    assert found == [False] * 27 + [True]


def test_a_state_of_a_longer_window_keeps_the_largest_updates() -> None:
    options: dict[str, Any] = {"save_snapshots": False}
    training, other = Training(**options), Training(window=5, **options)
    training.run(200)
    other.guard.load_state_dict(training.guard.state_dict())
    history = training.guard._rules_state.updates["optimizer"]
    first, others, latest = history[:5], history[5:-1], history[-1]
    assert len(others) == 14
    assert other.guard._rules_state.updates["optimizer"] == (*first, *others[-4:], latest)


def test_what_was_found_is_usual_from_then_on() -> None:
    rules, name = DivergenceRules(warmup=3, patience=2), "optimizer"
    state, found = rules.init(), []
    for size in [0.01] * 8 + [0.5] * 20 + [9.0] * 2:
        state, judgement = rules.update(state, summarise({}, {name: [size]}))
        found.append(judgement.verdict is not None)
    assert [index for index, one in enumerate(found) if one] == [9, 29]


HEALTHY: dict[str, Callable[[int], float]] = {
    "nothing at first": lambda iteration: 0.0 if iteration < 100 else 1.0,
    "a tenth at first": lambda iteration: 0.1 if iteration < 100 else 1.0,
    "cubic warmup": lambda iteration: min(iteration / 400, 1.0) ** 3,
    "exponential warmup": lambda iteration: 1e-3 ** max(1 - iteration / 300, 0.0),
    "short full rate, restarts": lambda iteration: 1.0 if iteration % 200 < 50 else 0.1,
    "decay, restarts": lambda iteration: 0.98 ** (iteration % 200),
}


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("rate", HEALTHY)
def test_rates_that_were_false_alarms_are_healthy(maker: str, rate: str) -> None:
    training = Training(maker)
    training.rate = HEALTHY[rate]
    assert training.run(1200) == []


def test_an_optimizer_that_steps_seldom_or_by_a_closure_is_measured() -> None:
    weight = torch.nn.Parameter(torch.ones(4))
    optimizer = torch.optim.SGD([weight], lr=0.5)

    def gradients() -> float:
        weight.grad = torch.ones(4)
        return 0.0

    def step(engine: Engine, batch: Any) -> dict[str, Any]:
        if engine.state.iteration % 10 == 3:
            optimizer.zero_grad()
            optimizer.step(gradients)
        return healthy(engine.state.iteration)

    guard, trainer = DivergenceGuard("rollback", to_restore={"optimizer": optimizer}), Engine(step)
    guard.attach(trainer)
    trainer.run(range(30))
    assert guard._rules_state.updates["optimizer"] == pytest.approx((0.5, 1.0))  # 1 to 0.5 to 0 to -0.5


def test_a_wrapper_that_is_an_optimizer_by_its_class_only_is_restored_and_not_measured() -> None:
    class Wrapper(torch.optim.Optimizer):
        def __init__(self) -> None:
            self.optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))])

        def __getattr__(self, name: str) -> Any:
            if name in ("optimizer", "_optimizer_step_pre_hooks", "_optimizer_step_post_hooks"):
                raise AttributeError(name)
            return getattr(self.optimizer, name)

    guard, trainer = DivergenceGuard("rollback", to_restore={"o": Wrapper()}), Engine(lambda engine, batch: healthy(1))
    guard.attach(trainer)
    trainer.run(range(20))
    assert guard._updates.names == ()


def test_an_optimizer_keeps_no_guard_alive() -> None:
    optimizer = MAKERS["sgd"]([torch.nn.Parameter(torch.ones(1))])

    def abandoned() -> weakref.ref[DivergenceGuard]:
        guard, engine = DivergenceGuard("rollback", to_restore={"o": optimizer}), Engine(lambda engine, batch: None)
        guard.attach(engine)
        return weakref.ref(guard)

    for _ in range(3):
        seen = abandoned()
        assert hooks(optimizer) == 2  # an abandoned guard's are there until the next guard comes
        gc.collect()
        assert seen() is None
    optimizer.step()


def test_a_guard_that_is_collected_within_a_step_disturbs_it_in_nothing() -> None:
    """Garbage is collected at any time, also while an optimizer goes through its hooks, which must not change then."""
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = MAKERS["sgd"]([weight])
    guards = [DivergenceGuard("rollback", to_restore={"o": optimizer})]
    guards[0].attach(Engine(lambda engine, batch: None))

    def collect(*_: Any) -> None:
        guards.clear()
        gc.collect()

    optimizer.register_step_pre_hook(collect)
    optimizer.register_step_pre_hook(lambda *_: None)
    weight.grad = torch.ones(1)
    optimizer.step()
    assert guards == []
    assert weight.item() < 1.0


def test_a_copy_of_other_parameter_groups_is_not_restored_by_half() -> None:
    training = Training()
    model = torch.nn.Linear(1, 1)
    training.guard.detach()
    loss = torch.tensor(0.0)
    training.engine.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: engine.state.output.update(g_loss=loss)
    )
    training.guard = DivergenceGuard("rollback", to_restore={"model": model, "optimizer": training.optimizer})
    training.guard.attach(training.engine)
    training.engine.run(range(60))
    assert training.guard.snapshots is not None
    assert training.guard.snapshots.refusal() == ""
    state = training.guard.state_dict()
    training.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))]})
    with torch.no_grad():
        model.weight.fill_(7.0)
    loss.fill_(math.nan)
    training.engine.run(range(60), max_epochs=2)
    (record,) = training.guard.history
    assert (record["action"], record["iteration"]) == ("terminate", 70)
    assert "the snapshot of iteration 10 can't be restored: its 'optimizer' is of an optimizer" in record["reason"]
    assert model.weight.item() == 7.0
    with pytest.raises(StateError, match="the promoted snapshot's 'optimizer' is of an optimizer with other parameter"):
        training.guard.load_state_dict(state)


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
    assert other.guard._rules_state == training.guard._rules_state
    assert len(training.guard._rules_state.updates["optimizer"]) == 1


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
