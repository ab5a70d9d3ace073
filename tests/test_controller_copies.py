"""Copies and pickles of handlers: the state goes along; what is attached to an engine is refused."""

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


copies = pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, pickled])


def used(handler: Any) -> Any:
    """Return the handler after a run, detached from its engine."""
    trainer = Engine(step)
    if not isinstance(handler, Controller):
        WassersteinGapController().attach(trainer)
    handler.attach(trainer)
    trainer.run(range(20))
    handler.detach()
    return handler


@copies
@pytest.mark.parametrize("code", HANDLERS.values(), ids=HANDLERS.keys())
def test_a_copy_goes_on_by_itself(code: str, copied: Callable[[Any], Any]) -> None:
    controller = used(make(code, **({"lagged": True, "update_every": 3} if code in FEEDBACK.values() else {})))
    twin = copied(controller)
    assert (snapshot(twin), repr(twin)) == (snapshot(controller), repr(controller))
    before = snapshot(controller)
    feed(twin, STREAM[20:30])
    assert snapshot(controller) == before
    feed(controller, STREAM[20:30])
    assert snapshot(twin) == snapshot(controller)


ATTACHED = pytest.mark.parametrize(
    "make_handler",
    [WassersteinGapController, lambda: DivergenceGuard("terminate"), lambda: StopAtBudget(cost=1), ControllerHistory],
    ids=["controller", "guard", "budget", "history"],
)


@copies
@ATTACHED
def test_what_is_attached_is_not_copied(make_handler: Callable[[], Any], copied: Callable[[Any], Any]) -> None:
    handler, trainer = make_handler(), Engine(step)
    handler.attach(trainer)
    with pytest.raises(TypeError, match=r"is attached to an engine and can't be copied: detach\(\) it first, or"):
        copied(handler)
    if copied is copy.deepcopy:  # its copy's handlers would read and write the original
        with pytest.raises(TypeError, match="can't be copied"):
            copied(trainer)
    handler.detach()
    assert repr(copied(handler)) == repr(handler)


@copies
def test_a_guard_with_objects_to_restore_is_not_copied(copied: Callable[[Any], Any]) -> None:
    guard = DivergenceGuard("rollback", to_restore={"model": torch.nn.Linear(1, 1)})
    with pytest.raises(
        TypeError,
        match=r"to_restore={'model': model}\) can't .*, not the ones that are trained; make .* state_dict\(\)$",
    ):
        copied(guard)
