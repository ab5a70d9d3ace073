"""Other limits for a controller in the middle of its work."""

from __future__ import annotations

from typing import Any

import pytest
from ignite.engine import Engine, Events

from adaptive_critic import (
    AccuracyGateController,
    AccuracyLadderController,
    CriticEvents,
    LossRatioPIDController,
    StepDecayController,
    WassersteinGapController,
    distributed,
)
from adaptive_critic.controller import Controller
from adaptive_critic.laws import GapShareLaw
from tests.handlers.table import feed, healthy, make, snapshot

REFUSED = [
    ("FixedController(5)", (1, 3), r"^limits=\(1, 3\): Constant\(steps=5\) gives 5, outside of them$"),
    ("FixedController(5)", (6, 9), r"^limits=\(6, 9\): .* gives 5"),
    ("StepDecayController(milestones={0: 9, 5: 2})", (1, 5), r"^limits=\(1, 5\): .* gives 9"),
    ("StepDecayController(milestones={0: 9, 5: 2})", (3, 9), r"^limits=\(3, 9\): .* gives 2"),
    ("StepDecayController(9, gamma=0.5, step_size=3)", (1, 5), r"^limits=\(1, 5\): .* gives 9"),
    ("WGANReferenceController()", (1, 50), r"^limits=\(1, 50\): .* gives 100"),
    ("AccuracyGateController(steps=3)", (1, 3), r"^limits=\(1, 3\): a closed gate makes 0"),
    ("AccuracyGateController(steps=3)", (0, 2), r"^steps=3 is outside limits=\(0, 2\)"),
    ("AccuracyLadderController()", (3, 4), r"^limits=\(3, 4\): expected a rung of the ladder within"),
]


@pytest.mark.parametrize(("code", "limits", "message"), REFUSED, ids=lambda value: str(value))
def test_what_the_constructor_refuses_an_assignment_refuses_too(code: str, limits: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(code, limits=limits)
    controller = make(code)
    feed(controller, healthy(3))
    before = controller.limits, snapshot(controller)
    with pytest.raises(ValueError, match=message):
        controller.limits = limits
    assert (controller.limits, snapshot(controller)) == before


@pytest.mark.parametrize(
    ("code", "limits"),
    [
        ("FixedController(5)", (5, 5)),
        ("StepDecayController(9, gamma=0.5, step_size=3)", (3, 9)),
        ("SchedulerAdapter(StepStateScheduler(param_name='n', initial_value=9.0, gamma=0.7, step_size=4))", (1, 3)),
        ("AccuracyGateController(steps=3)", (0, 3)),
        ("AccuracyLadderController()", (3, 5)),
    ],
)
def test_what_the_constructor_takes_an_assignment_takes_too(code: str, limits: Any) -> None:
    make(code, limits=limits)
    controller = make(code)
    controller.limits = limits
    assert controller.limits == limits


def test_a_gate_without_limits_has_its_own() -> None:
    controller = AccuracyGateController(steps=3, limits=(0, 9))
    controller.limits = None
    assert controller.limits == (0, 3) == AccuracyGateController(steps=3).limits


# --- they hold at once ----------------------------------------------------------------------------------------------


class Lost(Exception):
    """A user's error."""


class Run:
    """A run of steps whose critic is strong, with n and the ratio that each iteration was begun with."""

    def __init__(self, controller: Controller) -> None:
        self.controller, self.trainer = controller, Engine(self.step)
        self.n: list[int] = []
        self.ratio: list[float] = []
        self.changes: list[tuple[int, int]] = []
        controller.attach(self.trainer)
        self.trainer.add_event_handler(Events.ITERATION_STARTED, self.begin)
        self.trainer.add_event_handler(CriticEvents.STEPS_CHANGED, self.change)

    def begin(self, engine: Engine) -> None:
        self.n.append(vars(engine.state)["num_discriminator_steps"])
        self.ratio.append(vars(engine.state)["critic_ratio"])

    def change(self, engine: Engine) -> None:
        self.changes.append((engine.state.iteration, vars(engine.state)["num_discriminator_steps"]))

    def step(self, engine: Engine, batch: Any) -> dict[str, Any]:
        n = vars(engine.state)["num_discriminator_steps"]
        return {"d_real": [1.0] * n, "d_fake": [0.1] * n, "g_fake": 0.1 - 0.05, "d_loss": [1.0] * n, "g_loss": 1.0}

    def at(self, event: Any, limits: Any) -> None:
        self.trainer.add_event_handler(event, lambda: setattr(self.controller, "limits", limits))


def slow(**more: Any) -> WassersteinGapController:
    """Return a controller that decides after 20 iterations."""
    return WassersteinGapController(initial=8, update_every=20, **more)


def test_before_a_run_they_hold_in_its_first_iteration() -> None:
    run = Run(slow())
    run.controller.limits = (1, 2)
    state = vars(run.trainer.state)
    assert (state["num_discriminator_steps"], state["critic_ratio"], run.controller.ratio) == (2, 2.0, 2.0)
    assert run.changes == [(0, 2)]
    run.trainer.run(range(20))
    assert (run.n, run.ratio) == ([2] * 20, [2.0] * 20)


def test_reset_and_a_new_run_begin_within_them() -> None:
    run = Run(slow())
    run.controller.limits = (1, 2)
    run.controller.reset()
    assert (run.controller.num_discriminator_steps, run.controller.ratio) == (2, 2.0)
    for _ in range(2):
        run.trainer.run(range(3))
    assert run.n == [2] * 6
    run.controller.limits = (1, 20)
    run.controller.reset()
    assert run.controller.num_discriminator_steps == 8, "the start that was given, where it lies within them"


def test_the_state_begins_where_they_hold_the_ratio() -> None:
    """As if that had been given as the start: no integral has to be worked off first."""
    controller, twin = LossRatioPIDController("hinge", initial=8), LossRatioPIDController("hinge", initial=2)
    controller.limits = twin.limits = (1, 2)
    controller.reset()
    twin.reset()
    assert snapshot(controller) == snapshot(twin)
    ladder = AccuracyLadderController(grace=1)
    ladder.limits = (3, 10)  # the lowest rung within is 5
    ladder.reset()
    assert [ladder.observe({"g_fake_accuracy": 0.1}) for _ in range(3)] == [5, 10, 10]
    assert ladder.state_dict()["law"]["values"][1] == 4


def test_between_two_iterations_they_hold_in_the_next_one() -> None:
    run = Run(slow())
    run.at(Events.ITERATION_COMPLETED(once=3), (1, 2))
    run.trainer.run(range(6))
    assert (run.n, run.ratio) == ([8, 8, 8, 2, 2, 2], [8.0] * 3 + [2.0] * 3)
    assert run.changes == [(3, 2)]
    assert run.controller.critic_updates == 3 * 8 + 3 * 2


@pytest.mark.parametrize("event", ["started", "step", "completed, before the controller"])
def test_an_iteration_that_is_running_keeps_its_number(event: str) -> None:
    controller = slow()
    run = Run(controller)
    if event == "started":
        run.at(Events.ITERATION_STARTED(once=3), (1, 2))
    elif event == "step":
        run.at(Events.GET_BATCH_COMPLETED(once=3), (1, 2))
    else:
        controller.detach()
        run.at(Events.ITERATION_COMPLETED(once=3), (1, 2))
        controller.attach(run.trainer)
    run.trainer.run(range(6))
    assert (run.n, run.ratio) == ([8, 8, 8, 2, 2, 2], [8.0] * 3 + [2.0] * 3)
    assert run.changes == [(3, 2)]
    assert controller.critic_updates == 3 * 8 + 3 * 2


def test_an_iteration_that_failed_is_followed_by_one_within_them() -> None:
    run = Run(slow())

    def fail(engine: Engine) -> None:
        run.controller.limits = (1, 2)
        raise Lost

    run.trainer.add_event_handler(Events.GET_BATCH_COMPLETED(once=3), fail)
    with pytest.raises(Lost):
        run.trainer.run(range(6))
    run.trainer.fire_event(Events.STARTED)  # as of a run that goes on from there
    state = vars(run.trainer.state)
    assert (state["iteration"], state["num_discriminator_steps"], state["critic_ratio"]) == (3, 2, 2.0)


@pytest.mark.parametrize("within", [True, False])
def test_an_override_keeps_its_number(within: bool) -> None:
    run = Run(slow())
    run.controller.override(4, steps=9)
    run.at((Events.ITERATION_STARTED if within else Events.ITERATION_COMPLETED)(once=2), (1, 2))
    run.trainer.run(range(6))
    assert run.n == [9] * 4 + [2] * 2
    assert run.ratio == [8.0] * 2 + [2.0] * 4


def test_an_open_loop_is_clamped_too() -> None:
    run = Run(StepDecayController(8, gamma=0.5, step_size=2))
    run.at(Events.ITERATION_COMPLETED(once=4), (3, 8))
    run.trainer.run(range(6))
    assert run.n == [8, 8, 4, 4, 3, 3]
    run.controller.limits = (5, 8)
    assert vars(run.trainer.state)["num_discriminator_steps"] == 5
    run.controller.override(1, steps=1)
    run.controller.limits = (6, 8)
    assert run.controller.num_discriminator_steps == 1


@pytest.mark.parametrize("event", [Events.ITERATION_STARTED, Events.ITERATION_COMPLETED, Events.GET_BATCH_COMPLETED])
@pytest.mark.parametrize("make_controller", [WassersteinGapController, LossRatioPIDController])
def test_the_sum_of_n_keeps_to_the_sum_of_ratios(make_controller: Any, event: Any) -> None:
    run = Run(make_controller(limits=(1, 10), initial=2.4, update_every=3))
    choices = ((1, 10), (1, 4), (2, 3), (0, 2), (5, 9), None)
    count = 0

    def change(engine: Engine) -> None:
        nonlocal count
        count += 1
        run.controller.limits = choices[count * 7 % 11 % len(choices)]

    run.trainer.add_event_handler(event(every=2), change)
    run.trainer.run(range(300))
    excess, widest = 0.0, 0.0
    for n, ratio in zip(run.n, run.ratio, strict=True):
        excess += n - ratio
        widest = max(widest, abs(excess))
    assert len({round(ratio, 6) for ratio in run.ratio}) > 5
    assert widest <= 0.5 + 1e-9


def test_ranks_compare_what_was_assigned_when_they_attach(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of a run there is no start at which it would be compared."""
    compared: list[str] = []
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(distributed, "all_equal", compared.append)
    controllers = [WassersteinGapController() for _ in range(4)]
    controllers[1].limits = (1, 2)
    controllers[2].law = GapShareLaw(gain=0.5)
    controllers[3].limits = (1, 20)  # what it had
    for controller in controllers:
        controller.attach(Engine(lambda engine, batch: None))
    assert compared[0] == compared[3] == "WassersteinGapController()"
    assert compared[1].endswith("limits=(1, 2)")
    assert "gain=0.5" in compared[2]
