"""check_resume: a complete recipe passes, and whatever is left out of one is named."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from torch import nn

from adaptive_critic import ResumeDifference, check_resume, complete_recipe, distributed
from adaptive_critic.random_state import RandomState
from tests.resume.own import EPOCH, OwnTraining, run


def drawn_by_numpy() -> float:
    return float(np.random.random_sample())  # noqa: NPY002  # the global generator is meant


def without(*names: str) -> Callable[[], tuple[Engine, dict[str, Any]]]:
    def build() -> tuple[Engine, dict[str, Any]]:
        training = OwnTraining()
        kept = {name: item for name, item in training.objects.items() if name not in names}
        if "trainer" in names or "random_state" in names:
            kept.pop("latents", None)  # which Checkpoint alone does not take
            return training.trainer, kept
        return training.trainer, complete_recipe(training.trainer, kept)

    return build


def test_a_complete_recipe_passes_in_the_middle_of_an_epoch_and_at_its_end() -> None:
    check_resume(without(), run, iterations=14, saved_at=(7, 2 * EPOCH))


@pytest.mark.parametrize(
    ("left_out", "named", "entry"),
    [
        ("generator", "generator", r"0\.weight"),
        ("critic", "critic", r"0\.weight"),
        ("average", "average", "n_averaged"),
        ("optimizer_g", "optimizer_g", r"state\.0\.step"),
        ("optimizer_d", "optimizer_d", r"state\.0\.step"),
        ("scheduler_g", "scheduler_g", "last_epoch"),
        ("scheduler_d", "scheduler_d", "last_epoch"),
        ("latents", "latents", "generator"),
        ("batches", "batches", "passes"),
        ("controller", "WassersteinGapController", "critic_updates"),
        ("budget", "StopAtBudget", "critic_updates"),
        ("history", "ControllerHistory", "points.*"),
    ],
)
def test_what_was_left_out_is_named_before_the_first_step(left_out: str, named: str, entry: str) -> None:
    with pytest.raises(ResumeDifference) as caught:
        check_resume(without(left_out), run, iterations=9, saved_at=[7])
    difference = caught.value
    assert (difference.saved_at, difference.step, difference.iteration) == (7, "before", 8)
    assert difference.name == named
    assert re.fullmatch(entry, difference.entry), difference.entry
    assert f"The recipe does not restore {named}" in str(difference)


def test_a_forgotten_trainer_is_named_by_its_iteration() -> None:
    with pytest.raises(ResumeDifference, match=r"engine\.state, iteration is 1, uninterrupted 8") as caught:
        check_resume(without("trainer"), run, iterations=9, saved_at=[7])
    assert caught.value.name == "engine.state"


@pytest.mark.parametrize("source", ["cpu", "python", "numpy"])
def test_a_forgotten_random_state_is_named_if_the_run_uses_it(source: str) -> None:
    draw: dict[str, Callable[[], Any]] = {
        "cpu": lambda: torch.rand(()),
        "python": lambda: random.random(),
        "numpy": drawn_by_numpy,
    }

    def build(complete: bool) -> tuple[Engine, dict[str, Any]]:
        trainer = Engine(lambda engine, batch: draw[source]())
        return trainer, complete_recipe(trainer, {}) if complete else {"trainer": trainer}

    check_resume(lambda: build(True), run, iterations=9)
    with pytest.raises(ResumeDifference) as caught:
        check_resume(lambda: build(False), run, iterations=9, saved_at=[7])
    assert caught.value.name == "the global random state"
    assert caught.value.entry.partition(".")[0] == source
    assert caught.value.step == "before"


def test_random_states_that_a_run_does_not_use_need_not_be_saved() -> None:
    def build() -> tuple[Engine, dict[str, Any]]:
        trainer = Engine(lambda engine, batch: None)
        return trainer, {"trainer": trainer}

    check_resume(build, run, iterations=9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"saved_at": []}, r"saved_at=\[\]: expected at least one iteration"),
        ({"saved_at": 7}, "saved_at=7: expected a list of iterations, got int"),
        ({"ignore": "history"}, "ignore='history': expected a list of names, got str"),
        ({"ignore": 3}, "ignore=3: expected a list of names, got int"),
    ],
)
def test_arguments_with_which_nothing_would_be_compared(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        check_resume(without(), run, iterations=9, **arguments)


def test_iterations_may_come_from_a_generator() -> None:
    with pytest.raises(ResumeDifference):
        check_resume(without("trainer"), run, iterations=9, saved_at=(at for at in [7]))


def test_something_without_a_state_dict_shows_in_n_or_in_the_output() -> None:
    def build(published: bool) -> tuple[Engine, dict[str, Any]]:
        made = [1]  # the state that no checkpoint can see

        def step(engine: Engine, batch: Any) -> int:
            made[0] = made[0] * 3 % 17
            if published:
                vars(engine.state)["num_discriminator_steps"] = made[0]
            return made[0]

        trainer = Engine(step)
        return trainer, {"trainer": trainer}

    with pytest.raises(ResumeDifference) as caught:
        check_resume(lambda: build(True), run, iterations=9, saved_at=[3])
    assert (caught.value.name, caught.value.entry) == ("engine.state", "num_discriminator_steps")
    with pytest.raises(ResumeDifference) as caught:
        check_resume(lambda: build(False), run, iterations=9, saved_at=[3])
    assert (caught.value.name, caught.value.step, caught.value.iteration) == ("output", "after", 4)


def test_batches_that_the_engine_draws_itself_are_named() -> None:
    def build() -> tuple[Engine, dict[str, Any]]:
        trainer = Engine(lambda engine, batch: batch.sum())
        return trainer, complete_recipe(trainer, {})

    with pytest.raises(ResumeDifference, match=r"engine\.state, batch is float32 \(1,\) 0\.0, uninterrupted .* 2\.0"):
        check_resume(build, lambda trainer: trainer.run(torch.split(torch.arange(5.0), 1), max_epochs=9), saved_at=[7])


def test_a_resumed_run_that_ends_early_is_named() -> None:
    def build() -> tuple[Engine, dict[str, Any]]:
        trainer = Engine(lambda engine, batch: None)
        return trainer, {"trainer": trainer}

    def run_once(trainer: Engine) -> None:
        if trainer.state.iteration:
            trainer.add_event_handler(Events.ITERATION_COMPLETED(once=6), trainer.terminate)
        run(trainer)

    with pytest.raises(ResumeDifference, match=r"iteration 7: engine\.state, iteration is the end of the run, unint"):
        check_resume(build, run_once, iterations=9, saved_at=[4])


def test_what_happens_where_an_epoch_is_terminated_belongs_to_its_last_iteration() -> None:
    def build() -> tuple[Engine, dict[str, Any]]:
        optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
        trainer = Engine(lambda engine, batch: optimizer.param_groups[0]["lr"])

        def lower(engine: Engine, iter_counter: int) -> None:
            optimizer.param_groups[0]["lr"] /= 2

        end_early = Events.ITERATION_COMPLETED(once=7)
        trainer.add_event_handler(end_early, lambda engine: engine.terminate_epoch(skip_epoch_completed=True))
        trainer.add_event_handler(Events.TERMINATE_SINGLE_EPOCH, lower)
        return trainer, complete_recipe(trainer, {"optimizer": optimizer})

    check_resume(build, run, iterations=9, saved_at=[6, 7])


@pytest.mark.parametrize("event", [Events.EPOCH_STARTED, Events.EPOCH_COMPLETED])
def test_a_schedule_that_ticks_again_in_the_middle_of_a_resumed_epoch_is_named(event: Events) -> None:
    """Ignite fires EPOCH_STARTED when it goes on."""

    def build() -> tuple[Engine, dict[str, Any]]:
        optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
        trainer = Engine(lambda engine, batch: optimizer.step())
        trainer.add_event_handler(
            event, lambda: optimizer.param_groups[0].update(lr=optimizer.param_groups[0]["lr"] / 2)
        )
        return trainer, complete_recipe(trainer, {"optimizer": optimizer})

    check_resume(build, run, iterations=14, saved_at=[2 * EPOCH])
    if event == Events.EPOCH_COMPLETED:
        check_resume(build, run, iterations=14, saved_at=[7])
    else:
        with pytest.raises(ResumeDifference, match=r"optimizer, param_groups\.0\.lr is 0\.125, uninterrupted 0\.25"):
            check_resume(build, run, iterations=14, saved_at=[7])


def test_a_moment_from_which_ignite_cannot_go_on_is_refused() -> None:
    def run_of_unknown_length(trainer: Engine) -> None:
        trainer.run(map(int, range(50)))

    with pytest.raises(ValueError, match=r"saved_at=7: Ignite can't go on .*; give run the number .* epoch_length="):
        check_resume(without(), run_of_unknown_length, iterations=9, saved_at=[7])


def test_a_state_that_does_not_load_as_data_is_named() -> None:
    def build() -> tuple[Engine, dict[str, Any]]:
        trainer = Engine(lambda engine, batch: None)
        return trainer, {"trainer": trainer, "scores": HasAClass()}

    with pytest.raises(ValueError, match=r"the state of 'scores', a HasAClass, holds fractions\.Fraction: "):
        check_resume(build, run, iterations=3, saved_at=[1])


def test_an_object_whose_state_dict_raises_is_none_with_a_state() -> None:
    """Wrappers have the method whatever they wrap; it need not be in the recipe."""

    class Wrapper:
        def state_dict(self) -> Any:
            raise AttributeError("what it wraps has none")

        def load_state_dict(self, state: Any) -> None:
            raise AssertionError

    def build() -> tuple[Engine, dict[str, Any]]:
        wrapper = Wrapper()
        trainer = Engine(lambda engine, batch: id(wrapper) * 0)
        return trainer, {"trainer": trainer}

    check_resume(build, run, iterations=3, saved_at=[1])


class HasAClass:
    def state_dict(self) -> dict[str, Any]:
        return {"share": Fraction(1, 2)}

    def load_state_dict(self, state: Any) -> None:
        raise AssertionError


def test_a_distributed_run_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    with pytest.raises(RuntimeError, match="check_resume is for one process, this run has 2"):
        check_resume(without(), run)


def test_what_may_differ_can_be_left_out_of_the_comparison() -> None:
    check_resume(without("history"), run, iterations=9, saved_at=[7], ignore=["ControllerHistory"])
    with pytest.raises(ResumeDifference):
        check_resume(without("history"), run, iterations=9, saved_at=[7], ignore=["history"])


def test_objects_are_found_in_global_names_arguments_and_attributes() -> None:
    class Holder:
        def __init__(self) -> None:
            self.inner = {"weights": nn.Linear(1, 1)}

        def __call__(self, engine: Engine, batch: Any, *more: Any) -> None:
            return None

    class Global:
        def __call__(self, engine: Engine) -> None:
            with torch.no_grad():
                in_global_name.weight += 1

    def build(recipe: str) -> tuple[Engine, dict[str, Any]]:
        holder, handed = Holder(), nn.Linear(1, 1)
        trainer = Engine(holder)
        trainer.add_event_handler(Events.STARTED, lambda engine, network: None, handed)
        items = {"weights": holder.inner["weights"], "handed": handed}
        del items[recipe]
        return trainer, {"trainer": trainer, **items}

    for name, found in (("weights", "weights"), ("handed", "Linear")):
        with pytest.raises(ResumeDifference) as caught:
            check_resume(lambda name=name: build(name), run, iterations=3, saved_at=[1])
        assert (caught.value.name, caught.value.entry) == (found, "weight")


in_global_name = nn.Linear(1, 1)


def test_a_network_that_is_not_made_afresh_is_an_error_of_the_build() -> None:
    optimizer = torch.optim.SGD(in_global_name.parameters(), lr=0.1)

    def step(engine: Engine, batch: Any) -> None:
        optimizer.zero_grad()
        in_global_name(torch.ones(1, 1)).sum().backward()
        optimizer.step()

    def build() -> tuple[Engine, dict[str, Any]]:
        trainer = Engine(step)
        return trainer, {"trainer": trainer, "model": in_global_name}

    with pytest.raises(ValueError, match=r"not interrupted differ, before the step of iteration 1: model, weight is "):
        check_resume(build, run, iterations=3, saved_at=[1])


def test_the_callers_random_states_are_left_alone() -> None:
    state = RandomState(torch.device("cpu"))
    saved = state.state_dict()
    expected = torch.rand(1).item(), random.random(), drawn_by_numpy()
    state.load_state_dict(saved)
    check_resume(without(), run, iterations=4, saved_at=[2])
    assert (torch.rand(1).item(), random.random(), drawn_by_numpy()) == expected


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"build": None}, TypeError, "build=None: expected a function"),
        ({"run": 3}, TypeError, "run=3: expected a function"),
        ({"build": lambda: (None, {})}, TypeError, "returned a NoneType first: expected the trainer"),
        ({"build": lambda: 3}, TypeError, r"build\(\) returned 3: expected the trainer and the recipe"),
        ({"build": lambda: (1, 2, 3)}, TypeError, r"build\(\) returned \(1, 2, 3\): expected"),
        ({"saved_at": "12"}, TypeError, "saved_at='12': expected a list of iterations, got str"),
        ({"saved_at": 3}, TypeError, "saved_at=3: expected a list of iterations, got int"),
        ({"ignore": [3]}, TypeError, "ignore has 3: expected names, got int"),
        ({"iterations": 1}, ValueError, "iterations=1: expected an int of at least 2"),
        ({"saved_at": [20]}, ValueError, "saved_at=20: expected less than iterations=20"),
        ({"saved_at": [0]}, ValueError, "saved_at=0: expected an int of at least 1"),
        ({"run": lambda trainer: trainer.run(range(3))}, ValueError, "ended after 3 iterations, expected at least 20"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        check_resume(**({"build": without(), "run": run} | arguments))
