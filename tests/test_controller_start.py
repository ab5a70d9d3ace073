"""What a controller does when a run begins: what ranks compare, an override of one iteration, the change's event."""

from __future__ import annotations

from typing import Any

import pytest
from ignite.engine import Engine, Events

from adaptive_critic import CriticEvents, FixedController, StateError, WassersteinGapController, distributed
from tests.guard.engines import published
from tests.handlers.table import FEEDBACK, feed, healthy, make_feedback

STREAM = healthy(20)


def engine_of(ran: list[int]) -> Engine:
    def step(engine: Any, _: Any) -> None:
        ran.append(engine.state.num_discriminator_steps)

    return Engine(step)


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What one of two ranks would compare with the other, by the name of the comparison."""
    found: dict[str, list[str]] = {"all_equal": [], "same_start": []}
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    for name, descriptions in found.items():
        monkeypatch.setattr(distributed, name, descriptions.append)
    return found


def start(controller: WassersteinGapController) -> None:
    """Let a run begin, and no iteration of it."""
    engine = Engine(lambda engine, _: None)
    controller.attach(engine)
    engine.fire_event(Events.STARTED)
    controller.detach()


def test_ranks_compare_their_arguments_and_their_start(compared: dict[str, list[str]]) -> None:
    controller = WassersteinGapController(initial=4)
    start(controller)
    assert compared["all_equal"] == [repr(controller)]
    (description,) = compared["same_start"]
    assert description.startswith("WassersteinGapController at iteration 0, n=4, ratio 4, state ")


def test_a_rank_alone_compares_nothing(compared: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "world_size", lambda: 1)
    start(WassersteinGapController())
    assert compared["same_start"] == []


def test_states_of_the_law_are_compared_and_sums_on_their_way_are_not(compared: dict[str, list[str]]) -> None:
    """A rank's own sums wait for the next collective: they differ between ranks, and may."""
    controller = make_feedback(FEEDBACK["gap"], update_every=7)
    assert isinstance(controller, WassersteinGapController)
    feed(controller, STREAM[:15])
    states = [controller.state_dict() for _ in range(3)]
    other_sums = make_feedback(FEEDBACK["gap"], update_every=7)
    feed(other_sums, STREAM[:14])
    states[1]["law"]["moments"] = other_sums.state_dict()["law"]["moments"]
    assert states[1] != states[0]
    states[2]["law"]["values"] = [value * 0.5 for value in states[2]["law"]["values"][:-1]] + [14]
    for state in states:
        controller.load_state_dict(state)
        start(controller)
    first, same, different = compared["same_start"]
    assert first == same
    assert first != different


def test_an_override_of_one_iteration_is_for_the_first_of_a_run() -> None:
    ran: list[int] = []
    engine, controller = engine_of(ran), FixedController(5)
    controller.override(1, 7)
    controller.attach(engine)
    engine.run(range(3))
    assert ran == [7, 5, 5]


def test_a_step_that_returns_nothing_has_seen_no_samples() -> None:
    engine, controller = engine_of([]), FixedController(5)
    controller.attach(engine)
    engine.run(range(3))
    assert (controller.samples_seen, controller.critic_updates) == (0, 15)


def test_an_override_fires_the_event_if_it_changes_the_number() -> None:
    engine, controller = engine_of([]), FixedController(5)
    controller.attach(engine)
    fired: list[int] = []
    engine.add_event_handler(CriticEvents.STEPS_CHANGED, lambda: fired.append(controller.num_discriminator_steps))
    engine.add_event_handler(Events.EPOCH_STARTED, lambda: controller.override(2, 5))
    engine.add_event_handler(Events.EPOCH_STARTED, lambda: controller.override(2, 6))
    engine.add_event_handler(Events.EPOCH_STARTED, lambda: controller.override(2, 6))
    engine.run(range(5))
    assert fired == [6, 5]


def test_a_guards_state_and_a_controller_without_guard_ignore_each_other() -> None:
    guarded, alone = FixedController(5, on_divergence="hold"), FixedController(5)
    alone.load_state_dict(guarded.state_dict())
    guarded.load_state_dict(alone.state_dict())
    state: Any = guarded.state_dict() | {"guard": {}}
    with pytest.raises(StateError, match="'handler'"):
        guarded.load_state_dict(state)
    alone.load_state_dict(state)


@pytest.mark.parametrize("order", ["load, attach", "attach, load", "attach, engine, load"])
def test_the_order_of_attaching_and_loading_does_not_matter(order: str) -> None:
    ran: list[int] = []
    trainer = Engine(lambda engine, batch: ran.append(published(engine).num_discriminator_steps))
    first = FixedController(5)
    first.attach(Engine(lambda engine, batch: None))
    controller = FixedController(5)
    of_engine = {"iteration": 10, "epoch_length": 10, "max_epochs": 2}
    for what in order.split(", "):
        if what == "attach":
            controller.attach(trainer)
        if what == "load":
            controller.load_state_dict(first.state_dict())
        if what == "engine" or (what == "load" and "engine" not in order):
            trainer.load_state_dict(of_engine)
    controller.override(3, 17)
    assert published(trainer).num_discriminator_steps == 17
    trainer.run(range(10), max_epochs=2)
    assert ran == [17] * 3 + [5] * 7


def test_limits_that_are_assigned_before_a_resumed_run_are_published_at_once() -> None:
    controller, trainer = WassersteinGapController(initial=10), Engine(lambda engine, batch: None)
    controller.attach(trainer)
    trainer.load_state_dict({"iteration": 10, "epoch_length": 10, "max_epochs": 2})
    controller.limits = (1, 4)
    assert published(trainer).num_discriminator_steps == 4


def test_start_after_holds_the_start_and_observes_nothing() -> None:
    """A critic that is trained before the adversarial loss begins gives a gap of noise, which would raise n."""
    silent = {"d_real": [0.01], "d_fake": [0.0], "g_fake": -0.01, "g_loss": 0.0}
    controller, hasty = WassersteinGapController(initial=1, start_after=100), WassersteinGapController(initial=1)
    for _ in range(100):
        for one in (controller, hasty):
            n = one.num_discriminator_steps
            one.observe(silent | {"d_real": [0.01] * n, "d_fake": [0.0] * n})
    assert hasty.num_discriminator_steps > 5
    assert (controller.critic_updates, controller.num_discriminator_steps, controller.bad_observations) == (100, 1, 0)
    twin = WassersteinGapController(initial=1, start_after=100)
    twin.load_state_dict(controller.state_dict())
    for _ in range(50):
        for one in (controller, twin):
            n = one.num_discriminator_steps
            one.observe({"d_real": [1.0] * n, "d_fake": [0.5] * n, "g_fake": 0.25})
    assert twin.state_dict() == controller.state_dict()
    assert controller.num_discriminator_steps > 1
    with pytest.raises(ValueError, match="^start_after=-1: expected an int of at least 0"):
        WassersteinGapController(start_after=-1)
