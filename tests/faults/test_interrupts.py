"""Ctrl-C, and exceptions in a user's handlers, at any event: the next life goes on exactly."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint

import adaptive_critic
from adaptive_critic import CriticEvents
from adaptive_critic.resume.trace import Trace
from tests.faults.lives import EVERY, Life, check_controller_is_consistent, check_next_life, undisturbed

# Ignite 0.5.3 brought it.
SAVED_CHECKPOINT: Any = getattr(Checkpoint, "SAVED_CHECKPOINT", None)
PACKAGE = str(Path(adaptive_critic.__file__).parent)


@pytest.fixture(scope="module")
def expected() -> Trace:
    return undisturbed()


class MyError(Exception):
    """What a user's handler raises."""


def raise_at(trainer: Engine, event: Any, iteration: int, error: type[BaseException]) -> None:
    def handler(engine: Engine) -> None:
        if engine.state.iteration >= iteration:
            raise error

    trainer.add_event_handler(event, handler)


# event -> iteration at or after which it is hit, iteration that the next life goes on after
EVENTS: dict[Any, tuple[int, int]] = {
    Events.STARTED: (0, 0),
    Events.EPOCH_STARTED: (5, 4),
    Events.GET_BATCH_STARTED: (9, 8),
    Events.GET_BATCH_COMPLETED: (9, 8),
    Events.ITERATION_STARTED: (8, 4),
    Events.ITERATION_COMPLETED: (7, 4),
    Events.EPOCH_COMPLETED: (10, 8),
    CriticEvents.STEPS_CHANGED: (6, 4),
    SAVED_CHECKPOINT: (8, 8),
}


@pytest.mark.parametrize(
    ("error", "late"),
    [(KeyboardInterrupt, False), (KeyboardInterrupt, True), (MyError, False)],
    ids=["Ctrl-C before our handlers", "Ctrl-C after our handlers", "an error before our handlers"],
)
@pytest.mark.parametrize("event", EVENTS, ids=lambda event: getattr(event, "name", "SAVED_CHECKPOINT"))
def test_interrupted_at_any_event(
    event: Any, error: type[BaseException], late: bool, expected: Trace, tmp_path: Path
) -> None:
    if event is None:
        pytest.skip("this Ignite has no Checkpoint.SAVED_CHECKPOINT")
    iteration, done = EVENTS[event]
    life = Life(tmp_path)
    if event is SAVED_CHECKPOINT:
        life.trainer.register_events(event)
    raise_at(life.trainer, event, iteration, error)
    if not late:
        handlers = life.trainer._event_handlers[event]
        handlers.insert(0, handlers.pop())
    with pytest.raises(error):
        life.live()
    check_controller_is_consistent(life, expected)
    check_next_life(tmp_path, expected, done)


def test_interrupted_when_the_run_is_complete(tmp_path: Path) -> None:
    life = Life(tmp_path)
    raise_at(life.trainer, Events.COMPLETED, 0, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        life.live()
    again = Life(tmp_path)
    assert again.resumed is not None
    assert again.resumed.iteration == 12


def interrupted_at(call: int) -> Callable[..., None]:
    """Return a hook that is interrupted at its n-th call."""
    calls = [0]

    def hook(*_: Any) -> None:
        calls[0] += 1
        if calls[0] == call:
            raise KeyboardInterrupt

    return hook


@pytest.mark.parametrize("name", ["optimizer_d", "optimizer_g"])
def test_interrupted_within_a_step(name: str, expected: Trace, tmp_path: Path) -> None:
    life = Life(tmp_path)
    life.training.objects[name].register_step_pre_hook(interrupted_at(20 if name == "optimizer_d" else 7))
    with pytest.raises(KeyboardInterrupt):
        life.live()
    assert 4 < life.trainer.state.iteration < 9
    check_controller_is_consistent(life, expected)
    check_next_life(tmp_path, expected, EVERY)


class Interruption:
    """Raises KeyboardInterrupt at the n-th line of this package that runs from some iteration on, as a signal may."""

    def __init__(self, trainer: Engine, iteration: int, line: int) -> None:
        self.trainer, self.iteration, self.left = trainer, iteration, line
        self.where = ""

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line" and self.trainer.state.iteration >= self.iteration and self.left > 0:
            self.left -= 1
            if self.left == 0:
                self.where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
                raise KeyboardInterrupt
        return self


@pytest.mark.parametrize("line", random.Random(4).sample(range(1, 900), 8))
def test_interrupted_at_any_line_of_the_package(line: int, expected: Trace, tmp_path: Path) -> None:
    life = Life(tmp_path)
    life.recorder.trace = {}
    interruption = Interruption(life.trainer, 7, line)
    before = sys.gettrace()
    sys.settrace(interruption)
    try:
        with pytest.raises(KeyboardInterrupt):
            life.live()
    finally:
        sys.settrace(before)
    assert interruption.where
    saved = [int(path.stem.rpartition("_")[2]) for path in tmp_path.glob("*.pt")]
    check_next_life(tmp_path, expected, max(saved))
    assert max(saved) in (4, 8)
