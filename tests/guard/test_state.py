"""The guard's state: a resumed run is the uninterrupted one; a checkpoint is data."""

from __future__ import annotations

import copy
import functools
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ignite.engine import Engine, Events

from adaptive_critic.guard import DivergenceGuard
from adaptive_critic.handlers import FixedController, StepDecayController
from adaptive_critic.state import StateError
from tests.guard.engines import broken, exploded, healthy, needs_max_iters, published, record_steps, through_file
from tests.guard.test_rollback import Training, same

ITERATIONS = 120
SAVED = (1, 8, 33, 36, 37, 50, 73, 76, 77, 84, 90, 100, 119)


def output_at(iteration: int) -> dict[str, Any]:
    """Healthy, then a bad value, then an explosion."""
    if iteration == 33:
        return broken(iteration)
    return exploded(iteration, 3) if 70 < iteration < 90 else healthy(iteration, 3)


class Run:
    """An engine with controller and guard, and what a checkpoint of them holds."""

    def __init__(self, mode: str = "terminate_epoch", checkpoint_first: bool = False) -> None:
        self.training = Training(dict.fromkeys(range(ITERATIONS + 1), output_at))
        self.engine = self.training.engine
        self.checkpoints: dict[int, Any] = {}
        self.checks: list[Any] = []
        self.guard = DivergenceGuard(
            mode,
            to_restore=self.training.objects() if mode == "rollback" else None,
            check_every=4,
            patience=2,
            warmup=5,
            cooldown=20,
            override_iterations=6,
            snapshot_every=5,
        )
        self.controller = StepDecayController(milestones={0: 5, 60: 4}, limits=(2, 6), on_divergence=self.guard)
        if checkpoint_first:
            self.engine.add_event_handler(Events.ITERATION_COMPLETED, self.save)
        self.controller.attach(self.engine)
        self.steps = record_steps(self.engine)
        if not checkpoint_first:
            self.engine.add_event_handler(Events.ITERATION_COMPLETED, self.save)

    def save(self) -> None:
        if self.engine.state.iteration not in SAVED:
            return
        states = {"engine": self.engine.state_dict(), "controller": self.controller.state_dict()}
        self.checkpoints[self.engine.state.iteration] = through_file(states | {"training": self.training.state()})

    def load(self, checkpoint: Any) -> None:
        self.engine.load_state_dict(checkpoint["engine"])
        self.controller.load_state_dict(checkpoint["controller"])
        model, optimizer = copy.deepcopy(checkpoint["training"])
        self.training.model.load_state_dict(model)
        self.training.optimizer.load_state_dict(optimizer)


@functools.cache
def whole_run(mode: str, checkpoint_first: bool = False) -> Run:
    """Return an uninterrupted run."""
    run = Run(mode, checkpoint_first)
    run.engine.run(range(30), max_iters=ITERATIONS)
    return run


@needs_max_iters
@pytest.mark.parametrize("mode", ["hold", "terminate_epoch", "rollback"])
@pytest.mark.parametrize("at", [1, 8, 33, 36, 37, 50, 73, 76, 77, 90, 119])
def test_a_resumed_run_equals_the_uninterrupted_one(mode: str, at: int) -> None:
    whole = whole_run(mode)
    assert [(r["iteration"], r["rule"]) for r in whole.guard.history] == [(36, "non_finite"), (76, "explosion")]
    resumed = Run(mode)
    resumed.load(whole.checkpoints[at])
    resumed.engine.run(range(30))
    assert resumed.engine.state.iteration == ITERATIONS
    assert resumed.steps == whole.steps[at:]
    assert resumed.guard.history == whole.guard.history
    assert same(resumed.guard.state_dict(), whole.guard.state_dict())
    assert same(resumed.training.state(), whole.training.state())


@needs_max_iters
@pytest.mark.parametrize("at", [8, 33, 50, 76, 84, 100])
def test_a_checkpoint_written_before_the_guard_saw_the_iteration_loses_nothing(at: int) -> None:
    # At 8, 76, 84 and 100 a check is due: it is made up for at the start of the resumed run.
    whole = whole_run("rollback", checkpoint_first=True)
    resumed = Run("rollback", checkpoint_first=True)
    resumed.load(whole.checkpoints[at])
    resumed.engine.run(range(30))
    assert resumed.steps == whole.steps[at:]
    assert resumed.guard.history == whole.guard.history
    assert same(resumed.training.state(), whole.training.state())


@needs_max_iters
def test_a_divergence_found_at_the_start_of_a_run_ends_no_epoch() -> None:
    # Ignite refuses terminate_epoch() there; the interrupted epoch is over anyway.
    whole = whole_run("terminate_epoch", checkpoint_first=True)
    resumed = Run("terminate_epoch", checkpoint_first=True)
    resumed.load(whole.checkpoints[36])
    resumed.engine.run(range(30))
    assert resumed.steps == whole.steps[36:]
    assert resumed.guard.history == whole.guard.history


def test_load_before_and_after_attach() -> None:
    whole = Run("hold")
    whole.engine.run(range(60))
    state = through_file(whole.guard.state_dict())
    for attach_first in (True, False):
        engine = Engine(lambda engine, batch: healthy(engine.state.iteration))
        guard = DivergenceGuard("hold", check_every=4, patience=2)
        if attach_first:
            guard.attach(engine)
        guard.load_state_dict(state)
        if not attach_first:
            guard.attach(engine)
        assert published(engine).divergence["iteration"] == 36
        engine.run(range(2))
        assert guard.interventions == 1
        engine.run(range(2))  # a run from the start, with nothing loaded since
        assert guard.interventions == 0


@pytest.mark.parametrize(("iterations", "epochs"), [(5, 1), (5, 2)])
def test_a_checkpoint_at_the_start_of_another_run_holds_no_iteration_twice(iterations: int, epochs: int) -> None:
    """Ignite keeps the output of the last run's last iteration; a run that starts afresh begins with nothing."""
    engine = Engine(lambda engine, batch: healthy(engine.state.iteration))
    guard = DivergenceGuard("hold", check_every=100)
    guard.attach(engine)
    waiting: list[int] = []
    engine.add_event_handler(Events.EPOCH_STARTED, lambda: waiting.append(len(guard.state_dict()["window"]["rows"])))
    engine.run(range(iterations), max_epochs=1)
    engine.run(range(iterations), max_epochs=epochs)
    assert waiting == [0, 0 if epochs == 1 else iterations]


def test_a_collapse_that_was_only_reported_is_published_by_no_later_start() -> None:
    def flat(iteration: int) -> dict[str, Any]:
        output = healthy(iteration)
        return output if iteration <= 50 else output | {"d_real": output["d_fake"] + (-1.0) ** iteration}

    engine = Engine(lambda engine, batch: flat(engine.state.iteration))
    guard = DivergenceGuard("hold")
    guard.attach(engine)
    engine.run(range(90))
    assert [record["rule"] for record in guard.history] == ["collapse"]
    guard.load_state_dict(through_file(guard.state_dict()))
    assert [record["rule"] for record in guard.history] == ["collapse"]
    assert published(engine).divergence is None


def test_snapshots_can_be_left_out_of_a_checkpoint() -> None:
    training = Training({65: broken})
    small = DivergenceGuard("rollback", to_restore=training.objects(), save_snapshots=False)
    small.attach(training.engine)
    training.engine.run(range(50))
    assert small.snapshots is not None
    assert small.snapshots.state.promoted is not None
    state = through_file(small.state_dict())
    assert "snapshots" not in state
    small.load_state_dict(state)
    assert small.snapshots.state.promoted is None


def test_both_snapshots_are_in_a_checkpoint() -> None:
    training = Training()
    guard = DivergenceGuard("rollback", to_restore=training.objects(), patience=2, snapshot_every=10)
    guard.attach(training.engine)
    training.engine.run(range(50))
    state = through_file(guard.state_dict())["snapshots"]
    # Taken at 10 and promoted two checks later, when the next one is taken: at 30, and at 50.
    assert (state["promoted"]["iteration"], state["candidate"]["iteration"], state["clean_checks"]) == (30, 50, 0)
    for kind in ("promoted", "candidate"):
        model, optimizer = training.at[state[kind]["iteration"]]
        assert same(state[kind]["states"], {"model": model, "optimizer": optimizer})
    other = DivergenceGuard("rollback", to_restore=training.objects(), patience=2, snapshot_every=10)
    other.load_state_dict(through_file(guard.state_dict()))
    assert same(other.state_dict()["snapshots"], state)


def test_a_snapshot_of_an_untrained_model_is_one() -> None:
    state = changed(("snapshots", "promoted", "iteration"), 0)
    guard = guard_of_objects()
    guard.load_state_dict(state)
    assert guard.state_dict()["snapshots"]["promoted"]["iteration"] == 0


def test_a_state_with_snapshots_loads_into_a_guard_that_needs_none() -> None:
    training = Training()
    guard = DivergenceGuard("rollback", to_restore=training.objects())
    guard.attach(training.engine)
    training.engine.run(range(50))
    other = DivergenceGuard("terminate")
    other.load_state_dict(guard.state_dict())
    assert other.state_dict()["rules"] == guard.state_dict()["rules"]


def test_a_controller_saves_its_guard() -> None:
    engine = Engine(lambda engine, batch: broken(engine.state.iteration))
    controller = FixedController(3, on_divergence="hold")
    controller.attach(engine)
    engine.run(range(15))
    other = FixedController(3, on_divergence="hold")
    other.load_state_dict(through_file(controller.state_dict()))
    assert other.guard is not None
    assert other.guard.interventions == 1
    controller.detach()
    assert engine.run(range(15)).iteration == 15
    assert controller.guard is not None
    assert controller.guard.interventions == 1


def test_patience_and_window_may_be_shorter_after_a_load() -> None:
    whole = Run("hold")
    whole.engine.run(range(76))
    guard = DivergenceGuard("hold", patience=1, window=3, warmup=2)
    guard.load_state_dict(whole.guard.state_dict())
    rules = guard.state_dict()["rules"]
    assert (rules["suspicious"], rules["significant"], rules["flat"]) == (0, 1, 0)
    assert {len(levels) for levels in rules["history"].values()} == {3}


# --- hostile input ------------------------------------------------------------------------------------------------


def good_state() -> dict[str, Any]:
    whole = Run("rollback")
    whole.engine.run(range(39))
    return through_file(whole.guard.state_dict())  # type: ignore[no-any-return]  # a dict, as it was saved


GOOD = good_state()


OBJECTS = Training().objects()


def guard_of_objects() -> DivergenceGuard:
    return DivergenceGuard("rollback", to_restore=OBJECTS, check_every=4, patience=2, warmup=5)


def changed(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    state = copy.deepcopy(GOOD)
    target: Any = state
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    return state


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (None, r"expected the dict that DivergenceGuard.state_dict\(\) returned, got NoneType"),
        ({}, "has no 'handler'"),
        (changed(("handler",), "StopAtBudget"), "'StopAtBudget', it can't be loaded into DivergenceGuard"),
        (changed(("version",), 2), "upgrade adaptive_critic"),
        (changed(("interventions",), -1), "'interventions'"),
        (changed(("cooldown_left",), 1.5), "'cooldown_left'"),
        (changed(("rules",), []), "'rules'"),
        (changed(("rules", "history"), {"d_gap": []}), "history is of 'd_gap': expected one of 'gap', 'spread', 'd_l"),
        (changed(("rules", "history", "gap"), [math.nan]), "expected finite numbers of at least 0"),
        (changed(("rules", "history", "gap"), [-1.0]), "expected finite numbers of at least 0"),
        (changed(("rules", "suspicious"), "0"), "'suspicious'"),
        (changed(("window", "masks"), [1]), "'masks'"),
        (changed(("window", "rows"), 3), "'rows'"),
        (changed(("window", "rows", 0), [[1.0]]), r"\[1.0\] is a list"),
        (changed(("window", "rows", 0), []), r"the row \(\) of the window can't have the mask \d+$"),
        (changed(("window", "masks", 0), 1 << 20), "can't have the mask 1048576"),
        (
            changed(("window", "updates"), ["update of g"] * 2),
            r"'updates'\]=\['update of g', .*: expected names of updates",
        ),
        (changed(("window", "updates"), [3]), "'updates'.*: expected names of updates"),
        (changed(("records",), {}), "'records'"),
        (changed(("records", 0), 3), "a record must be a dict, got 3"),
        (changed(("records", 0, "rule"), 3), r"record\['rule'\]=3: expected a str"),
        (changed(("records", 0, "values"), {"gap": "a"}), "'a' is a str"),
        (changed(("snapshots",), 3), "'snapshots'"),
        (changed(("snapshots", "promoted"), 3), r"^state\['promoted'\]=3: expected a dict$"),
        (
            changed(("snapshots", "candidate"), {"iteration": 3}),
            r"^the state has no 'states'; it has \['iteration'\]$",
        ),
        (changed(("snapshots", "promoted", "iteration"), -3), r"'iteration'\]=-3: expected an int of at least 0"),
        (changed(("snapshots", "promoted", "iteration"), True), r"'iteration'\]=True: expected an int of at least 0"),
        (changed(("snapshots", "promoted", "iteration"), 3.0), r"'iteration'\]=3.0: expected an int of at least 0"),
        (
            changed(("snapshots", "promoted", "states"), {"net": {}}),
            r"holds \['net'\], to_restore has \['model', 'optimizer'\]; pass the same objects, or delete the entry "
            "'snapshots' of the state to go on without$",
        ),
        (
            changed(("snapshots", "promoted", "states"), [1]),
            r"^state\['states'\]=\[1\]: expected a dict$",
        ),
        (changed(("snapshots", "promoted", "states", "model"), 3), r"^state\['model'\]=3: expected a dict$"),
        (
            changed(("snapshots", "promoted", "states", "model", "weight"), torch.zeros(7)),
            r"'model' is of another network: look at 'weight', of shape \(.*\) and not \(7,\)$",
        ),
        (
            changed(("snapshots", "promoted", "states", "model", "weight"), "x"),
            r"'model' is of another network: look at 'weight', of shape \(.*\) and not str$",
        ),
        (changed(("snapshots", "promoted", "states", "model"), {}), "look at 'weight', which it lacks$"),
        (
            changed(("snapshots", "promoted", "states", "model", "more"), torch.zeros(1)),
            "look at 'more', which the network has not$",
        ),
        (
            changed(("snapshots", "promoted", "states", "optimizer", "param_groups", 0), torch.tensor(0.0)),
            "'optimizer' is of an optimizer with other parameter groups",
        ),
        (
            changed(("snapshots", "promoted", "states", "optimizer", "state"), "x"),
            "'optimizer' is of an optimizer with other parameter groups",
        ),
        (changed(("snapshots", "clean_checks"), None), "'clean_checks'"),
    ],
)
def test_a_bad_state_is_refused_and_changes_nothing(state: Any, message: str) -> None:
    guard = guard_of_objects()
    guard.load_state_dict(GOOD)
    before = through_file(guard.state_dict())
    with pytest.raises(StateError, match=message):
        guard.load_state_dict(state)
    assert same(guard.state_dict(), before)


@pytest.mark.parametrize("key", sorted(GOOD))
def test_a_missing_entry_is_refused_but_for_snapshots(key: str) -> None:
    state = {name: value for name, value in GOOD.items() if name != key}
    guard = guard_of_objects()
    if key == "snapshots":
        guard.load_state_dict(state)
    else:
        with pytest.raises(StateError, match=key):
            guard.load_state_dict(state)


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400)
nested = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths to all entries except those within saved models."""
    found = [path] if path else []
    if path[-1:] == ("states",):
        return found
    if isinstance(value, dict):
        return found + [p for key, inner in value.items() for p in paths(inner, (*path, key))]
    if isinstance(value, list):
        return found + [p for key, inner in enumerate(value) for p in paths(inner, (*path, key))]
    return found


def without(path: tuple[Any, ...]) -> dict[str, Any]:
    state = copy.deepcopy(GOOD)
    target: Any = state
    for key in path[:-1]:
        target = target[key]
    del target[path[-1]]
    return state


# Levels that were never measured have no history, a record says what its rule had to go by: those may be fewer.
VARYING = ("history", "values")
# States of 0.1.0 have no counts of checks without a step.
LATER = ("idle", "longest_idle")
ENTRIES = [
    path
    for path in paths(GOOD)
    if len(path) > 1 and isinstance(path[-1], str) and path[-2] not in VARYING and path[-1] not in LATER
]


@pytest.mark.parametrize("path", ENTRIES, ids=lambda path: ".".join(map(str, path)))
def test_a_missing_entry_within_an_entry_is_refused(path: tuple[Any, ...]) -> None:
    guard = guard_of_objects()
    before = guard.state_dict()
    with pytest.raises(StateError):
        guard.load_state_dict(without(path))
    assert same(guard.state_dict(), before)


@given(st.data())
def test_any_data_is_loaded_or_refused(data: st.DataObject) -> None:
    state: Any
    if data.draw(st.booleans()):
        state = data.draw(nested)
    else:
        state = changed(data.draw(st.sampled_from(paths(GOOD))), data.draw(nested))
    guard = guard_of_objects()
    before = guard.state_dict()
    try:
        guard.load_state_dict(state)
    except StateError:
        assert same(guard.state_dict(), before)
        return
    engine = Engine(lambda engine, batch: healthy(engine.state.iteration))
    guard.attach(engine)
    engine.run(range(30))
    through_file(guard.state_dict())


def test_a_row_of_the_state_is_as_the_output_was() -> None:
    engine = Engine(lambda engine, batch: healthy(0))
    guard = DivergenceGuard()
    guard.attach(engine)
    engine.run(range(1))
    assert guard.state_dict()["window"] == {
        "updates": [],
        "masks": [0b110011],
        "rows": [[1.0, -1.0, 1.0, -1.0, -2.0, -2.0]],
    }
    assert torch.tensor(guard.state_dict()["window"]["rows"]).shape == (1, 6)
