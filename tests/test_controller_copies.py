"""Copies and pickles of what is attached to an engine: the state goes along, the engine does not."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from ignite.engine import Engine

from adaptive_critic import ControllerHistory, DivergenceGuard, StopAtBudget, WassersteinGapController
from adaptive_critic.controller import Controller
from tests.guard.engines import published
from tests.handlers.table import FEEDBACK, HANDLERS, feed, healthy, make, output, snapshot

STREAM = healthy(60)


def pickled(handler: Any) -> Any:
    return pickle.loads(pickle.dumps(handler))


def step(engine: Engine, batch: Any) -> dict[str, Any]:
    return output(STREAM[engine.state.iteration - 1], published(engine).num_discriminator_steps, "tensor")


def attached(controller: Controller) -> Engine:
    trainer = Engine(step)
    controller.attach(trainer)
    trainer.run(range(20))
    return trainer


copies = pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, pickled])


@copies
@pytest.mark.parametrize("code", HANDLERS.values(), ids=HANDLERS.keys())
def test_a_copy_of_an_attached_controller_is_attached_to_nothing(code: str, copied: Callable[[Any], Any]) -> None:
    controller = make(code, **({"lagged": True, "update_every": 3} if code in FEEDBACK.values() else {}))
    trainer = attached(controller)
    twin = copied(controller)
    assert (snapshot(twin), repr(twin)) == (snapshot(controller), repr(controller))
    with pytest.raises(RuntimeError, match="is not attached"):
        twin.detach()
    other = Engine(step)
    twin.attach(other)
    if code in FEEDBACK.values():  # an open loop begins with the other engine's iteration
        assert published(other).num_discriminator_steps == published(trainer).num_discriminator_steps
    twin.detach()
    before = snapshot(controller)
    feed(twin, STREAM[20:30])
    assert snapshot(controller) == before
    trainer.run(range(20), max_epochs=2)
    assert controller.generator_updates == 40


@copies
def test_a_controller_is_copied_with_its_guard(copied: Callable[[Any], Any]) -> None:
    controller = WassersteinGapController(on_divergence="hold")
    attached(controller)
    twin = copied(controller)
    assert twin.guard is not None
    twin.attach(Engine(step))
    assert controller.guard is not None
    assert twin.guard is not controller.guard
    assert twin.guard.state_dict()["rules"] == controller.guard.state_dict()["rules"]


@copies
@pytest.mark.parametrize("make_handler", [lambda: StopAtBudget(critic_updates=70), ControllerHistory])
def test_a_copy_of_what_counts_or_records_is_attached_to_nothing(
    make_handler: Callable[[], Any], copied: Callable[[Any], Any]
) -> None:
    handler, trainer = make_handler(), Engine(step)
    WassersteinGapController().attach(trainer)
    handler.attach(trainer)
    trainer.run(range(20))
    twin = copied(handler)
    assert (repr(twin.state_dict()), repr(twin)) == (repr(handler.state_dict()), repr(handler))
    with pytest.raises(RuntimeError, match="is not attached"):
        twin.detach()
    trainer.run(range(20), max_epochs=2)
    assert repr(twin.state_dict()) != repr(handler.state_dict())


@pytest.mark.parametrize(
    "handler",
    [WassersteinGapController(), DivergenceGuard("terminate"), StopAtBudget(cost=1), ControllerHistory()],
    ids=["controller", "guard", "budget", "history"],
)
def test_an_engine_is_not_copied_with_what_is_attached(handler: Any) -> None:
    """Its copy's handlers would read and write the original: Ignite gives them a weak reference to their engine."""
    trainer = Engine(step)
    handler.attach(trainer)
    with pytest.raises(TypeError, match="can't be copied while .* is attached"):
        copy.deepcopy(trainer)
    handler.detach()
    assert copy.deepcopy(trainer) is not trainer


@copies
def test_a_guard_with_objects_to_restore_is_not_copied(copied: Callable[[Any], Any]) -> None:
    guard = DivergenceGuard("rollback", to_restore={"model": torch.nn.Linear(1, 1)})
    with pytest.raises(
        TypeError,
        match=r"to_restore={'model': model}\) can't .*, not the ones that are trained; make .* state_dict\(\)$",
    ):
        copied(guard)
