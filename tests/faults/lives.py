"""Lives of a training: one in which something goes wrong, and the next, which goes on from what is on the disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from adaptive_critic import complete_recipe, resume_exactly
from adaptive_critic.resume import Resumed
from adaptive_critic.resume.trace import Moment, Recorder, Trace, first_difference
from adaptive_critic.resume.watch import entries
from tests.resume.own import OwnTraining, run

EVERY = 4
END = 14
RANDOM_STATES = {"cpu", "python", "numpy"}

Make = Callable[[], OwnTraining]


class Life:
    """A training from a fresh build, which is recorded, goes on from ``folder`` and saves there."""

    def __init__(self, folder: Path | None, make: Make = OwnTraining) -> None:
        self.training = make()
        self.trainer = self.training.trainer
        self.recorder = Recorder(self.trainer, complete_recipe(self.trainer, self.training.objects), END, ())
        self.resumed: Resumed | None = None
        if folder is not None:
            self.resumed = resume_exactly(self.trainer, folder, self.training.objects, every=EVERY)

    def live(self) -> Trace:
        """Run it to its end."""
        run(self.trainer)
        return self.recorder.trace


def undisturbed(make: Make = OwnTraining) -> Trace:
    """Return what a run is in which nothing goes wrong and nothing is saved."""
    return Life(None, make).live()


def check_controller_is_consistent(life: Life, expected: Trace) -> None:
    """The controller's state in memory is that of the undisturbed run between two iterations, not within one."""
    controller = life.training.controller
    found = dict(entries(controller.state_dict()))
    before_next = expected[Moment(controller.generator_updates + 1, "before")]
    assert found == {path: text for (name, path), text in before_next.items() if name == "controller"}


def check_next_life(folder: Path, expected: Trace, done: int, make: Make = OwnTraining) -> None:
    """The next life goes on after iteration ``done``, and is the undisturbed run bit for bit until the end."""
    life = Life(folder, make)
    assert life.resumed is not None
    assert life.resumed.iteration == done
    rest = {moment: entries for moment, entries in expected.items() if moment.iteration > done}
    assert first_difference(life.live(), rest, RANDOM_STATES) is None
    assert life.trainer.state.iteration == END
