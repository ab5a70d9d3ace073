"""Copies and pickles of controllers and guards: the state goes along, the engine does not."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from ignite.engine import Engine

from adaptive_critic import DivergenceGuard, WassersteinGapController
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


def test_an_engine_that_is_copied_takes_its_controller_along() -> None:
    controller = WassersteinGapController(warmup=2, gain=0.2, on_divergence="hold")
    trainer = attached(controller)
    twin = copy.deepcopy(trainer)
    trainer.run(range(20), max_epochs=2)
    twin.run(range(20), max_epochs=2)
    assert published(twin).num_discriminator_steps == published(trainer).num_discriminator_steps
    assert published(twin).critic_updates == published(trainer).critic_updates
    controller.override(3, 17)
    assert published(trainer).num_discriminator_steps == 17
    assert published(twin).num_discriminator_steps != 17
    with pytest.raises(RuntimeError, match="already controlled by WassersteinGapController"):
        WassersteinGapController().attach(twin)


@copies
def test_a_guard_with_objects_to_restore_is_not_copied(copied: Callable[[Any], Any]) -> None:
    guard = DivergenceGuard("rollback", to_restore={"model": torch.nn.Linear(1, 1)})
    with pytest.raises(TypeError, match=r"to_restore={'model': model}\) can't be copied or pickled: .* state_dict\(\)"):
        copied(guard)
