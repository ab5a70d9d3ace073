"""An iteration is gathered once, whoever asks first."""

from __future__ import annotations

from typing import Any

from ignite.engine import Engine, Events

from adaptive_critic.guard import DivergenceGuard
from tests.guard.engines import healthy, trainer_of


def test_each_iteration_is_gathered_once() -> None:
    trainer, guard, waiting = trainer_of(healthy), DivergenceGuard(check_every=3), list[int]()

    def ask(engine: Engine) -> None:
        waiting.append(len(guard.state_dict()["window"]["rows"]))

    trainer.add_event_handler(Events.STARTED, ask)  # nothing has happened yet
    trainer.add_event_handler(Events.ITERATION_COMPLETED, ask)
    guard.attach(trainer)
    for _ in range(2):
        trainer.add_event_handler(Events.ITERATION_COMPLETED, ask)
    trainer.run(range(4))
    # Before and after the guard's own turn, in which it checks, and forgets the outputs but not that it had them.
    assert waiting == [0, *[1, 1, 1], *[2, 2, 2], *[3, 0, 0], *[1, 1, 1]]


def test_the_output_is_transformed() -> None:
    def inner(output: Any) -> Any:
        return output["inner"]

    trainer = trainer_of(lambda iteration: {"inner": healthy(iteration)})
    guard = DivergenceGuard(output_transform=inner)
    guard.attach(trainer)
    trainer.run(range(1))
    assert len(guard._window) == 1
