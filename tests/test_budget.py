"""StopAtBudget on real engines."""

from __future__ import annotations

import io
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ignite.engine import Engine, Events

from adaptive_critic.budget import Spent, StopAtBudget
from adaptive_critic.controller import Controller
from adaptive_critic.handlers import FixedController, StepDecayController
from adaptive_critic.state import StateError


def trainer_with(steps: int | None = None) -> Engine:
    trainer = Engine(lambda engine, batch: None)
    if steps is not None:
        state(trainer).num_discriminator_steps = steps
    return trainer


def state(trainer: Engine) -> Any:
    """Return engine.state, which takes any attribute; its type knows of none."""
    return trainer.state


def through_file(saved: Any) -> Any:
    buffer = io.BytesIO()
    torch.save(saved, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


@given(st.lists(st.integers(0, 7), min_size=1, max_size=30), st.integers(1, 60))
def test_ends_after_the_first_iteration_that_uses_the_budget_up(steps: list[int], budget: int) -> None:
    trainer = trainer_with(steps[0])
    handler = StopAtBudget(critic_updates=budget)
    handler.attach(trainer)

    @trainer.on(Events.ITERATION_COMPLETED)
    def set_next(engine: Engine) -> None:
        state(engine).num_discriminator_steps = steps[engine.state.iteration % len(steps)]

    trainer.run(range(len(steps)))
    ends = next((i for i in range(1, len(steps) + 1) if sum(steps[:i]) >= budget), len(steps))
    assert trainer.state.iteration == ends
    assert handler.spent[:2] == (sum(steps[:ends]), ends)


@pytest.mark.parametrize("attach_first", [True, False])
def test_counts_what_an_iteration_was_run_with_not_what_comes_next(attach_first: bool) -> None:
    trainer = trainer_with()
    handler = StopAtBudget(critic_updates=1000)
    controller = StepDecayController(milestones={0: 5, 3: 2})
    for item in (handler, controller) if attach_first else (controller, handler):
        item.attach(trainer)
    trainer.run(range(5))
    assert handler.spent.critic_updates == 3 * 5 + 2 * 2 == controller.critic_updates


def test_cost_is_weighted_and_published() -> None:
    trainer = trainer_with(4)
    handler = StopAtBudget(cost=100, critic_cost=3, generator_cost=2)
    handler.attach(trainer)
    assert state(trainer).cost_spent == 0.0
    costs: list[float] = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: costs.append(engine.state.cost_spent))
    trainer.run(range(1000))
    assert costs == [14.0 * k for k in range(1, 9)]
    assert handler.spent == Spent(32, 8, 112.0)


def test_the_budget_that_is_used_up_first_counts() -> None:
    for arguments, iterations in (({"critic_updates": 6, "cost": 1e6}, 3), ({"critic_updates": 600, "cost": 12}, 2)):
        trainer = trainer_with(2)
        StopAtBudget(**arguments).attach(trainer)
        assert trainer.run(range(1000)).iteration == iterations


def test_a_budget_of_cost_ends_a_run_without_critic_updates() -> None:
    trainer = trainer_with(0)
    StopAtBudget(cost=5).attach(trainer)
    assert trainer.run(range(1000)).iteration == 5


def test_completed_fires_and_a_second_run_ends_at_once_until_reset() -> None:
    trainer = trainer_with(2)
    handler = StopAtBudget(critic_updates=20)
    handler.attach(trainer)
    completed: list[int] = []
    trainer.add_event_handler(Events.COMPLETED, lambda engine: completed.append(engine.state.iteration))
    trainer.run(range(100), max_epochs=3)
    trainer.run(range(100), max_epochs=3)
    assert completed == [10, 10]
    handler.reset()
    assert state(trainer).cost_spent == 0.0
    trainer.run(range(100), max_epochs=3)
    assert completed == [10, 10, 20]


def test_a_fresh_run_has_the_whole_budget() -> None:
    trainer = trainer_with(2)
    handler = StopAtBudget(critic_updates=1000)
    handler.attach(trainer)
    trainer.run(range(10))
    trainer.run(range(10))
    assert handler.spent == Spent(20, 10, 60.0)


@pytest.mark.parametrize("save_first", [True, False])
@pytest.mark.parametrize("load_first", [True, False])
def test_a_resumed_run_ends_where_the_uninterrupted_one_does(save_first: bool, load_first: bool) -> None:
    def build() -> tuple[Engine, StepDecayController, StopAtBudget, list[Any]]:
        trainer, handler, saved = trainer_with(), StopAtBudget(critic_updates=40), []
        controller = StepDecayController(milestones={0: 5, 3: 2})

        def save(engine: Engine) -> None:
            states = (engine.state_dict(), controller.state_dict(), handler.state_dict())
            saved.append(through_file(states))

        if save_first:
            trainer.add_event_handler(Events.ITERATION_COMPLETED, save)
        controller.attach(trainer)
        if not load_first:
            handler.attach(trainer)
        if not save_first:
            trainer.add_event_handler(Events.ITERATION_COMPLETED, save)
        return trainer, controller, handler, saved

    trainer, _, handler, checkpoints = build()
    if load_first:
        handler.attach(trainer)
    trainer.run(range(100))
    assert trainer.state.iteration == 16
    # With load_first the handler is attached last, after the checkpoint in any case.
    for checkpoint in checkpoints:
        resumed, controller, again, _ = build()
        engine_state, controller_state, budget_state = checkpoint
        resumed.load_state_dict(engine_state)
        controller.load_state_dict(controller_state)
        again.load_state_dict(budget_state)
        if load_first:
            again.attach(resumed)
        resumed.run(range(100))
        assert (resumed.state.iteration, again.spent) == (16, handler.spent)


def test_an_iteration_that_fails_is_not_counted() -> None:
    def step(engine: Engine, batch: Any) -> None:
        if engine.state.iteration == 3:
            raise RuntimeError("out of memory")

    trainer = Engine(step)
    FixedController(2).attach(trainer)
    handler = StopAtBudget(critic_updates=100)
    handler.attach(trainer)
    with pytest.raises(RuntimeError, match="out of memory"):
        trainer.run(range(10))
    assert handler.spent[:2] == (4, 2)


def test_another_attribute() -> None:
    trainer = trainer_with(9)
    state(trainer).updates = 3
    StopAtBudget(critic_updates=6, param_name="updates").attach(trainer)
    assert trainer.run(range(100)).iteration == 2


def test_detach() -> None:
    trainer = trainer_with(2)
    handler = StopAtBudget(critic_updates=4)
    with pytest.raises(RuntimeError, match="is not attached"):
        handler.detach()
    handler.attach(trainer)
    with pytest.raises(RuntimeError, match=r"StopAtBudget\(critic_updates=4\) is attached already"):
        handler.attach(trainer)
    handler.detach()
    assert trainer.run(range(10)).iteration == 10
    assert handler.spent == Spent(0, 0, 0.0)


@pytest.mark.parametrize("value", [None, 2.0, "3", -1, True])
def test_the_attribute_must_be_a_count(value: Any) -> None:
    trainer = trainer_with(value)
    StopAtBudget(cost=10).attach(trainer)
    with pytest.raises(ValueError, match=r"engine\.state\.num_discriminator_steps=.*expects an int of at least 0"):
        trainer.run(range(3))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ValueError, "has no budget: expected critic_updates=, cost= or both"),
        ({"critic_updates": 0}, ValueError, "critic_updates=0: expected an int of at least 1"),
        ({"critic_updates": -5}, ValueError, "critic_updates=-5"),
        ({"critic_updates": 1e4}, TypeError, "critic_updates=10000.0"),
        ({"cost": 0}, ValueError, "cost=0: expected a number above 0"),
        ({"cost": math.inf}, ValueError, "cost=inf"),
        ({"cost": "10"}, TypeError, "cost='10'"),
        ({"cost": 1, "critic_cost": -1}, ValueError, "critic_cost=-1"),
        ({"cost": 1, "generator_cost": math.nan}, ValueError, "generator_cost=nan"),
        ({"cost": 1, "critic_cost": 0, "generator_cost": 0}, ValueError, "at least one must be above 0"),
        ({"cost": 1, "param_name": 3}, TypeError, "param_name=3"),
        ({"cost": 1, "param_name": ("a", 3)}, TypeError, "param_name=3"),
        ({"cost": 1, "param_name": ()}, ValueError, r"param_name=\(\): expected one name, or several"),
        ({"cost": 1, "param_name": ("a", "a")}, ValueError, "several that differ"),
        (
            {"cost": 1, "critic_cost": (1, 2), "param_name": ("a", "b", "c")},
            ValueError,
            "one for each of .'a', 'b', 'c'",
        ),
        ({"cost": 1, "critic_cost": (1, -2), "param_name": ("a", "b")}, ValueError, "critic_cost=-2"),
    ],
)
def test_arguments(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        StopAtBudget(**arguments)


def test_an_iteration_whose_beginning_was_on_another_engine_is_not_counted() -> None:
    """What an iteration that failed was to make must not count as another engine's."""
    handler = StopAtBudget(critic_updates=100)
    failing = Engine(lambda engine, batch: 1 / 0)
    state(failing).num_discriminator_steps = 7
    handler.attach(failing)
    with pytest.raises(ZeroDivisionError):
        failing.run(range(3))
    handler.detach()
    other = Engine(lambda engine, batch: handler.attach(engine) if engine.state.iteration == 1 else None)
    state(other).num_discriminator_steps = 2
    other.run(range(3))
    assert handler.spent == Spent(4, 2, 12.0)


def test_attach_expects_an_engine() -> None:
    with pytest.raises(TypeError, match=r"expects an ignite\.engine\.Engine, got int"):
        StopAtBudget(cost=1).attach(3)  # type: ignore[arg-type]  # that is the test


def test_repr_builds_the_same() -> None:
    handler = StopAtBudget(cost=10, critic_cost=1.5, param_name="n")
    assert repr(eval(repr(handler))) == repr(handler)
    assert repr(handler) == "StopAtBudget(cost=10, critic_cost=1.5, param_name='n')"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (None, "got NoneType"),
        ({"version": 1, "handler": "DivergenceGuard"}, "a state of 'DivergenceGuard'"),
        ({"version": 2, "handler": "StopAtBudget"}, "upgrade adaptive_critic"),
        ({"version": 1, "handler": "StopAtBudget", "critic_updates": 3}, "has no 'generator_updates'"),
        (
            {"version": 1, "handler": "StopAtBudget", "critic_updates": 3, "generator_updates": -1},
            "'generator_updates'",
        ),
        ({"version": 1, "handler": "StopAtBudget", "critic_updates": 1.5, "generator_updates": 1}, "'critic_updates'"),
    ],
)
def test_a_bad_state_is_refused_and_changes_nothing(bad: Any, message: str) -> None:
    handler = StopAtBudget(cost=10)
    handler.load_state_dict({"version": 1, "handler": "StopAtBudget", "critic_updates": 3, "generator_updates": 2})
    with pytest.raises(StateError, match=message):
        handler.load_state_dict(bad)
    assert handler.spent == Spent(3, 2, 9.5)


def test_two_budgets_on_one_trainer_keep_their_costs_apart() -> None:
    trainer = Engine(lambda engine, batch: None)
    for name, steps in (("num_discriminator_steps", 2), ("score_steps", 5)):
        setattr(trainer.state, name, steps)
        StopAtBudget(cost=1e9, critic_cost=1.0, generator_cost=0.0, param_name=name).attach(trainer)
    trainer.run(range(3))
    assert state(trainer).cost_spent == 3 * 2
    assert state(trainer).score_steps_cost_spent == 3 * 5


def two_critics(**budget: Any) -> tuple[Engine, StopAtBudget, list[Controller]]:
    """Return a trainer of two critics with a controller each, 3 and 1 updates at first, then 2 and 1."""
    trainer, handler = trainer_with(), StopAtBudget(param_name=("image_steps", "patch_steps"), **budget)
    image = StepDecayController(milestones={0: 3, 2: 2}, param_name="image_steps")
    controllers: list[Controller] = [image, FixedController(1, param_name="patch_steps")]
    for each in (handler, *controllers):
        each.attach(trainer)
    return trainer, handler, controllers


def test_one_budget_over_two_critics() -> None:
    trainer, handler, controllers = two_critics(critic_updates=13)
    trainer.run(range(100))
    assert [controller.critic_updates for controller in controllers] == [3 + 3 + 2 + 2, 4]
    assert handler.spent[:2] == (14, 4)


def test_two_critics_cost_what_each_costs() -> None:
    trainer, handler, _ = two_critics(cost=40, critic_cost=(2.5, 0.5))
    trainer.run(range(100))
    assert trainer.state.iteration == 6
    assert handler.spent == Spent(3 + 3 + 4 * 2 + 6, 6, 2.5 * 14 + 0.5 * 6 + 6)
    assert state(trainer).cost_spent == 44.0


def test_a_resumed_budget_over_two_critics_costs_the_same() -> None:
    trainer, handler, _ = two_critics(cost=1e9, critic_cost=(2.5, 0.5))
    trainer.run(range(4))
    saved = through_file(handler.state_dict())
    _, other, _ = two_critics(cost=1e9, critic_cost=(2.5, 0.5))
    other.load_state_dict(saved)
    assert other.spent == handler.spent
    with pytest.raises(StateError, match="'critic_updates'"):
        StopAtBudget(cost=1).load_state_dict(saved)
    with pytest.raises(StateError, match="expected 3 ints, got 2"):
        StopAtBudget(cost=1, param_name=("a", "b", "c")).load_state_dict(saved)


def test_a_bare_number_is_no_budget() -> None:
    """5000 what? Critic updates and cost differ by their cost."""
    with pytest.raises(
        TypeError, match=r"^StopAtBudget\(5000\): give this value by name, such as critic_updates=5000; "
    ):
        StopAtBudget(5000)  # type: ignore[call-arg]  # the error is the point
