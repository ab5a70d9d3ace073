"""Rolling back: what is restored, what is trusted, and when it ends."""

from __future__ import annotations

import copy
import math
import re
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ignite.engine import Engine, Events

from adaptive_critic.events import CriticEvents
from adaptive_critic.guard import DivergenceGuard
from adaptive_critic.guard.snapshots import Snapshots, SnapshotsState
from adaptive_critic.handlers import FixedController
from tests.guard.engines import broken, exploded, healthy, record_steps
from tests.streams import streams


class Training:
    """A model that moves at every step, by an optimizer with moments, and reports what it is told to."""

    def __init__(self, bad: dict[int, Any] | None = None) -> None:
        torch.manual_seed(0)
        self.model = torch.nn.Linear(2, 1)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.1)
        self.bad = bad or {}
        self.at: dict[int, Any] = {}
        self.engine = Engine(self.step)

    def step(self, engine: Engine, batch: Any) -> dict[str, Any]:
        iteration = engine.state.iteration
        self.optimizer.zero_grad()
        loss = self.model(torch.ones(2)).sum() + sum(p.square().sum() for p in self.model.parameters())
        output: dict[str, Any] = self.bad.get(iteration, healthy)(iteration)
        if output["g_loss"].isnan():
            loss = loss * math.nan
        loss.backward()
        self.optimizer.step()
        self.at[iteration] = self.state()
        return output

    def state(self) -> Any:
        return copy.deepcopy((self.model.state_dict(), self.optimizer.state_dict()))

    def objects(self) -> dict[str, Any]:
        return {"model": self.model, "optimizer": self.optimizer}


def same(left: Any, right: Any) -> bool:
    """Return whether two states are equal bit for bit, where NaN equals NaN."""
    if isinstance(left, torch.Tensor):
        return left.shape == right.shape and bool(((left == right) | (left.isnan() & right.isnan())).all())
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def test_models_and_optimizers_go_back_and_the_run_goes_on() -> None:
    training = Training({95: broken})
    guard = DivergenceGuard("rollback", to_restore=training.objects(), patience=2, snapshot_every=30)
    guard.attach(training.engine)
    after: list[Any] = []
    training.engine.add_event_handler(Events.ITERATION_COMPLETED(once=100), lambda _: after.append(training.state()))
    training.engine.run(range(200))
    # A candidate is taken at 10, and 30 iterations after each promoted one: 10, 40, 70; promoted at 30, 60, 90.
    assert [(r["iteration"], r["action"]) for r in guard.history] == [(100, "rollback")]
    assert same(after[0], training.at[70])
    assert training.engine.state.iteration == 200
    assert guard.state_dict()["interventions"] == 1
    assert all(parameter.isfinite().all() for parameter in training.model.parameters())


def test_restoring_twice_restores_the_same() -> None:
    # Optimizers keep the tensors that they load, and change them in place.
    training = Training({95: broken, 125: broken})
    guard = DivergenceGuard(
        "rollback", to_restore=training.objects(), patience=2, snapshot_every=1000, cooldown=10, max_interventions=5
    )
    guard.attach(training.engine)
    after: list[Any] = []

    @training.engine.on(Events.ITERATION_COMPLETED(event_filter=lambda _, i: i in (100, 130)))
    def keep() -> None:
        after.append(training.state())

    training.engine.run(range(200))
    assert [r["action"] for r in guard.history] == ["rollback", "rollback"]
    assert same(after[0], training.at[10])
    assert same(after[1], training.at[10])


@pytest.mark.parametrize("on_collapse", ["report", "act", "ignore"])
def test_a_state_is_not_trusted_while_an_explosion_builds_up(on_collapse: str) -> None:
    # Explosion from 101: suspicious at 110, 120, found at 130. A candidate of 90 or later must not be promoted.
    training = Training(dict.fromkeys(range(101, 131), exploded))
    guard = DivergenceGuard(
        "rollback", to_restore=training.objects(), snapshot_every=10, warmup=3, on_collapse=on_collapse
    )
    guard.attach(training.engine)
    training.engine.run(range(130))
    assert [(r["iteration"], r["rule"]) for r in guard.history] == [(130, "explosion")]
    assert same(training.state(), training.at[70])


@pytest.mark.parametrize(("on_collapse", "restored"), [("act", 70), ("report", None)])
def test_a_state_is_not_trusted_while_a_collapse_builds_up_that_is_acted_on(
    on_collapse: str, restored: int | None
) -> None:
    """Flat from 101: at 110, 120, and found at 130."""

    def flat(iteration: int) -> dict[str, Any]:
        output = healthy(iteration)
        return output | {"d_real": output["d_fake"] + (-1.0) ** iteration}

    training = Training(dict.fromkeys(range(101, 131), flat))
    guard = DivergenceGuard("rollback", to_restore=training.objects(), snapshot_every=10, on_collapse=on_collapse)
    guard.attach(training.engine)
    training.engine.run(range(130))
    (record,) = guard.history
    assert (record["iteration"], record["rule"]) == (130, "collapse")
    assert guard.snapshots is not None
    assert guard.snapshots.state.promoted is not None
    if restored is None:
        assert record["action"] == "report"
        assert guard.snapshots.state.promoted.iteration > 70
    else:
        assert guard.snapshots.state.promoted.iteration == restored
        assert same(training.state(), training.at[restored])


def test_without_a_trusted_snapshot_the_run_ends_and_says_why() -> None:
    training = Training({5: broken})
    guard = DivergenceGuard("rollback", to_restore=training.objects())
    guard.attach(training.engine)
    assert training.engine.run(range(200)).iteration == 10
    assert guard.history[-1]["reason"] == (
        "g_loss not finite; there is no snapshot to roll back to yet, so the run is terminated"
    )


def test_a_divergence_that_comes_back_at_once_ends_in_the_last_good_model() -> None:
    training = Training(dict.fromkeys(range(65, 10_000), broken))
    guard = DivergenceGuard("rollback", to_restore=training.objects())
    guard.attach(training.engine)
    assert training.engine.run(range(10_000)).iteration == 80
    assert [(r["iteration"], r["action"]) for r in guard.history] == [(70, "rollback"), (80, "terminate")]
    assert guard.history[-1]["reason"] == (
        "g_loss not finite; this is within the cooldown of the last rollback, so the snapshot "
        "of iteration 10 is restored a last time and the run is terminated"
    )
    assert same(training.state(), training.at[10])


def test_a_divergence_that_comes_back_later_ends_in_the_last_good_model() -> None:
    training = Training(dict.fromkeys((65, 95, 125), broken))
    guard = DivergenceGuard("rollback", to_restore=training.objects(), cooldown=20, max_interventions=2)
    guard.attach(training.engine)
    assert training.engine.run(range(10_000)).iteration == 130
    assert [(r["iteration"], r["action"]) for r in guard.history] == [
        (70, "rollback"),
        (100, "rollback"),
        (130, "terminate"),
    ]
    assert guard.history[-1]["reason"] == (
        "g_loss not finite; 2 of 2 interventions were made, so the snapshot of iteration 10 is "
        "restored a last time and the run is terminated"
    )
    assert same(training.state(), training.at[10])


def test_the_controller_goes_to_its_lower_limit_afterwards() -> None:
    training = Training({65: broken})
    FixedController(5, limits=(2, 6)).attach(training.engine)
    DivergenceGuard("rollback", to_restore=training.objects(), override_iterations=20).attach(training.engine)
    steps = record_steps(training.engine)
    training.engine.run(range(150))
    assert steps == [5] * 70 + [2] * 20 + [5] * 60


def test_a_function_may_restore_by_itself() -> None:
    training, called = Training({65: broken}), list[int]()

    def act(engine: Engine, record: dict[str, Any]) -> None:
        assert guard.snapshots is not None
        called.append(guard.snapshots.restore())

    guard = DivergenceGuard(act, to_restore=training.objects())
    guard.attach(training.engine)
    training.engine.run(range(70))
    assert called == [10]
    assert [record["action"] for record in guard.history] == ["call"]
    assert same(training.state(), training.at[10])


def test_random_states_are_left_alone() -> None:
    training = Training({65: broken})
    DivergenceGuard("rollback", to_restore=training.objects()).attach(training.engine)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    training.engine.run(range(100))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_controller_can_go_back_with_its_own_guard() -> None:
    # The controller's state holds the guard's, which holds the snapshots, which hold the controller's state.
    training = Training({65: broken, 95: broken, 125: broken, 155: broken})
    objects = training.objects()
    guard = DivergenceGuard("rollback", to_restore=objects, cooldown=10, max_interventions=2)
    controller = FixedController(3, on_divergence=guard)
    assert guard.snapshots is not None
    # A user builds the controller from the guard, so the objects have to be completed afterwards.
    objects["controller"] = controller
    with_controller = DivergenceGuard("rollback", to_restore=objects, cooldown=10, max_interventions=2)
    controller.guard = with_controller
    controller.attach(training.engine)
    training.engine.run(range(300))
    assert [(r["iteration"], r["action"]) for r in with_controller.history] == [
        (70, "rollback"),
        (100, "rollback"),
        (130, "terminate"),
    ]
    assert with_controller.snapshots is not None
    promoted = with_controller.snapshots.state.promoted
    assert promoted is not None
    assert promoted.states["controller"]["guard"] == {}


@pytest.mark.parametrize(
    ("to_restore", "error", "message"),
    [
        ([1], TypeError, r"to_restore=\[1\]: expected a dict from names to models, optimizers, ..., got list"),
        ({}, ValueError, "^to_restore={}: expected at least one model to restore$"),
        ({"net": torch.nn.Linear}, TypeError, r"^to_restore\['net'\] is the class Linear: expected an object of it$"),
        ({1: torch.nn.Linear(1, 1)}, TypeError, "to_restore has the key 1: expected names, got int$"),
        ({"model": 3}, TypeError, r"to_restore\['model'\] has no state_dict\(\): expected a model, .*, got int$"),
        ({"trainer": Engine(lambda engine, batch: None)}, TypeError, r"to_restore\['trainer'\] is an Engine"),
    ],
)
def test_what_can_be_restored(to_restore: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        DivergenceGuard("rollback", to_restore=to_restore)


def test_nothing_is_kept_at_first_and_after_it_is_forgotten() -> None:
    snapshots = Snapshots({"model": torch.nn.Linear(1, 1)}, 2, 1)
    empty = {"promoted": None, "candidate": None, "clean_checks": 0}
    assert snapshots.state_dict() == empty
    for iteration in (1, 2):
        snapshots.follow(iteration, clean=True)
    assert snapshots.state_dict()["clean_checks"] == 1
    snapshots.state = SnapshotsState()
    assert snapshots.state_dict() == empty


def test_an_object_without_load_state_dict() -> None:
    class Half:
        def state_dict(self) -> dict[str, Any]:
            return {}

    with pytest.raises(TypeError, match=r"to_restore\['half'\] has no load_state_dict\(\): .* got Half$"):
        DivergenceGuard("rollback", to_restore={"half": Half()})  # type: ignore[dict-item]  # that is the test


def test_what_it_does_without_arguments_is_what_the_page_says() -> None:
    """Every number written out does the same as none: four divergences, of which three are rolled back."""
    written = {
        "check_every": 10,
        "patience": 3,
        "cooldown": 200,
        "max_interventions": 3,
        "override_iterations": 100,
        "on_collapse": "report",
        "snapshot_every": 200,
        "save_snapshots": True,
    }

    def done(**arguments: Any) -> tuple[list[int], Any]:
        counter = Counter()

        def step(engine: Engine, batch: Any) -> dict[str, float]:
            iteration = engine.state.iteration
            counter.value += 1
            bad = iteration in (705, 1105, 1505, 1905)
            return {"d_real": 1.0 + 0.1 * math.sin(iteration), "d_fake": 0.0, "g_loss": math.nan if bad else 1.0}

        trainer = Engine(step)
        FixedController(5, limits=(2, 6)).attach(trainer)
        guard = DivergenceGuard("rollback", to_restore={"counter": counter}, **arguments)
        guard.attach(trainer)
        steps = record_steps(trainer)
        trainer.run(range(3000))
        return steps, guard.state_dict()

    steps, state = done()
    assert (steps, state) == done(**written)
    assert [(record["iteration"], record["action"]) for record in state["records"]] == [
        (710, "rollback"),
        (1110, "rollback"),
        (1510, "rollback"),
        (1910, "terminate"),
    ]
    assert steps == [5] * 710 + ([2] * 100 + [5] * 300) * 3
    assert state["cooldown_left"] == 200
    assert state["snapshots"]["promoted"]["iteration"] == 1810


# --- the bookkeeping, without an engine ---------------------------------------------------------------------------


class Counter:
    """An object whose state is a number."""

    def __init__(self) -> None:
        self.value = 0

    def state_dict(self) -> dict[str, int]:
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.value = state["value"]


@given(streams([st.booleans()], longest=60), st.integers(1, 4), st.integers(1, 5))
def test_only_what_was_followed_by_patience_clean_checks_is_promoted(
    drawn: list[tuple[bool]], patience: int, every: int
) -> None:
    checks = [clean for (clean,) in drawn]
    counter = Counter()
    snapshots = Snapshots({"counter": counter}, patience, every)
    for iteration, clean in enumerate(checks, start=1):
        counter.value = iteration
        snapshots.follow(iteration, clean)
        promoted = snapshots.state.promoted
        if promoted is not None:
            assert promoted.states == {"counter": {"value": promoted.iteration}}
            taken = promoted.iteration
            assert all(checks[taken - 1 : taken + patience])
            assert taken + patience <= iteration
    # And it is used as soon as it may be: the first run of patience + 1 clean checks promotes something.
    first = next((i for i in range(len(checks) - patience) if all(checks[i : i + patience + 1])), None)
    assert (snapshots.state.promoted is None) == (first is None)


def test_a_copy_of_other_parameter_groups_says_so() -> None:
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    snapshots = Snapshots({"optimizer": optimizer}, patience=1, every=1)
    for iteration in (3, 4):
        snapshots.follow(iteration, clean=True)
    assert snapshots.refusal() == ""
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))]})
    with pytest.raises(
        RuntimeError,
        match="^the snapshot of iteration 3 can't be restored: its 'optimizer' is of .* other parameter groups$",
    ):
        snapshots.restore()


def test_an_optimizer_may_have_no_more_than_its_groups_in_its_state() -> None:
    class Wrapper(torch.optim.SGD):
        def state_dict(self) -> dict[str, Any]:
            return {"param_groups": super().state_dict()["param_groups"]}

    snapshots = Snapshots({"optimizer": Wrapper(torch.nn.Linear(1, 1).parameters(), 0.1)}, patience=1, every=1)
    for iteration in (3, 4):
        snapshots.follow(iteration, clean=True)
    assert snapshots.refusal() == ""


def test_there_is_nothing_to_restore_at_first() -> None:
    snapshots = Snapshots({"counter": Counter()}, 1, 1)
    assert snapshots.refusal() == "there is no snapshot to roll back to yet"
    with pytest.raises(RuntimeError, match="^there is no snapshot to roll back to yet$"):
        snapshots.restore()


# --- what changed since the snapshot ------------------------------------------------------------------------------


class Fussy(Counter):
    """An object that refuses the states of an earlier self half way."""

    key = "value"

    def state_dict(self) -> dict[str, int]:
        return {self.key: self.value}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.value = -1
        self.value = state[self.key]


def gains_a_buffer(training: Training, fussy: Fussy) -> None:
    training.model.register_buffer("extra", torch.ones(1))


def loses_a_buffer(training: Training, fussy: Fussy) -> None:
    del training.model._buffers["ones"]


def has_a_larger_buffer(training: Training, fussy: Fussy) -> None:
    training.model.ones = torch.ones(5)


def has_a_larger_weight(training: Training, fussy: Fussy) -> None:
    training.model.spare = torch.nn.Parameter(torch.ones(2))


def gains_a_group(training: Training, fussy: Fussy) -> None:
    training.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))]})


def writes_another_format(training: Training, fussy: Fussy) -> None:
    fussy.key = "count"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (gains_a_buffer, "its 'model' is of another network: look at 'extra', which it lacks"),
        (loses_a_buffer, "its 'model' is of another network: look at 'ones', which the network has not"),
        (
            has_a_larger_buffer,
            r"its 'model' can't be loaded: RuntimeError: Error\(s\) in loading state_dict .*size mismatch for ones",
        ),
        (has_a_larger_weight, r"its 'model' is of another network: look at 'spare', of shape \(2,\) and not \(1,\)"),
        (gains_a_group, "its 'optimizer' is of an optimizer with other parameter groups"),
        (writes_another_format, "its 'fussy' can't be loaded: KeyError: 'count'"),
    ],
)
@pytest.mark.parametrize("order", [("model", "optimizer", "fussy"), ("fussy", "optimizer", "model")])
def test_a_snapshot_that_no_longer_fits_touches_nothing_and_the_run_ends(
    change: Any, reason: str, order: tuple[str, ...]
) -> None:
    training, fussy = Training({95: broken}), Fussy()
    training.model.register_buffer("ones", torch.ones(3))
    training.model.register_parameter("spare", torch.nn.Parameter(torch.ones(1)))
    objects: dict[str, Any] = {**training.objects(), "fussy": fussy}
    guard = DivergenceGuard("rollback", to_restore={name: objects[name] for name in order}, snapshot_every=1000)
    guard.attach(training.engine)
    training.engine.add_event_handler(Events.ITERATION_STARTED(once=95), lambda _: change(training, fussy))
    before: list[Any] = []
    training.engine.add_event_handler(Events.ITERATION_STARTED(once=100), lambda _: setattr(fussy, "value", 7))
    training.engine.add_event_handler(CriticEvents.DIVERGED, lambda _: before.append(training.state()))
    assert training.engine.run(range(200)).iteration == 100
    (record,) = guard.history
    assert record["action"] == "terminate"
    expected = (
        f"^g_loss not finite; the snapshot of iteration 10 can't be restored: ({reason}).*, so the run is terminated$"
    )
    assert re.match(expected, record["reason"], re.DOTALL), record["reason"]
    assert same(training.state(), before[0])
    assert fussy.value == 7
    assert "snapshots" in guard.state_dict()
