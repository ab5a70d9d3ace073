from __future__ import annotations

import pytest
from ignite.engine import Engine

from adaptive_critic import CriticEvents, FixedController
from adaptive_critic.events import claim, owner_of, register_events, release


def engine() -> Engine:
    return Engine(lambda engine, batch: None)


def test_events_are_registered_once_and_for_one_engine() -> None:
    one, other = engine(), engine()
    register_events(one)
    register_events(one)
    for event in CriticEvents:
        # Engine.has_registered_events came with Ignite 0.5.3.
        assert one._allowed_events.count(event) == 1
        assert event not in other._allowed_events
    with pytest.raises(ValueError, match="not a valid event"):
        other.add_event_handler(CriticEvents.STEPS_CHANGED, print)


def test_an_attribute_has_one_owner_per_engine_and_name() -> None:
    one, other, first, second = engine(), engine(), FixedController(1), FixedController(2)
    assert owner_of(one, "n") is None
    assert claim(one, "n", first) is False
    assert owner_of(one, "n") is first
    with pytest.raises(RuntimeError, match=r"state\.n is already controlled by FixedController\(1\)"):
        claim(one, "n", second)
    assert owner_of(one, "n") is first
    assert claim(one, "m", second) is False
    assert claim(other, "n", second) is False
    release(one, "n")
    assert owner_of(one, "n") is None
    assert claim(one, "n", second) is True, "a controller owned it before"


def test_handlers_of_the_events_run() -> None:
    trainer = engine()
    controller = FixedController(3)
    controller.attach(trainer)
    called: list[int] = []
    trainer.add_event_handler(CriticEvents.STEPS_CHANGED, lambda: called.append(controller.num_discriminator_steps))
    controller.override(1, 3)
    assert called == []
    controller.override(1, 7)
    assert called == [7]
