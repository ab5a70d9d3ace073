"""Controllers on real engines: what is written when, who owns it, what a resume continues."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint, DiskSaver
from ignite.metrics import RunningAverage

from adaptive_critic import (
    AccuracyGateController,
    AccuracyLadderController,
    CriticEvents,
    DivergenceGuard,
    FixedController,
    LossRatioPIDController,
    StepDecayController,
    StepOutputError,
    TwoThresholdController,
    WassersteinGap,
    WassersteinGapController,
    WGANReferenceController,
)
from adaptive_critic.controller import Controller
from tests.handlers.table import FEEDBACK, HANDLERS, OPEN_LOOP, feed, healthy, make, make_feedback, output, snapshot

every_handler = pytest.mark.parametrize("code", HANDLERS.values(), ids=HANDLERS.keys())
DATA = range(10)
STREAM = healthy(200)


class Trainer(Engine):
    """Runs a recorded stream: iteration k returns its k-th sample, with as many entries as critic updates were due."""

    state: Any  # with attributes that Ignite does not declare

    def __init__(self, form: str = "floats", param_name: str = "num_discriminator_steps") -> None:
        super().__init__(self._step)
        self.form = form
        self.param_name = param_name
        self.ran: list[int] = []
        self.interrupt_at: tuple[int, type[BaseException]] | None = None

    def _step(self, engine: Engine, batch: Any) -> Any:
        n = getattr(engine.state, self.param_name)
        assert type(n) is int
        iteration = engine.state.iteration
        if self.interrupt_at is not None and self.interrupt_at[0] == iteration:
            raise self.interrupt_at[1]("in the step")
        self.ran.append(n)
        return output(STREAM[iteration - 1], n, self.form) | {"num_samples": 2 * n}


def run(trainer: Engine, iterations: int) -> None:
    trainer.run(DATA, max_epochs=iterations // len(DATA))


def expected(code: str, iterations: int) -> list[int]:
    """Return what a loop without an engine runs with."""
    return feed(make(code), STREAM[:iterations])[0]


# --- values ---------------------------------------------------------------------------------------------------------


@every_handler
@pytest.mark.parametrize("form", ["floats", "tensor"])
def test_an_engine_and_a_loop_without_one_agree(code: str, form: str) -> None:
    trainer, controller = Trainer(form), make(code)
    controller.attach(trainer)
    run(trainer, 60)
    alone = make(code)
    assert trainer.ran == feed(alone, STREAM[:60], form)[0]
    assert trainer.state.num_discriminator_steps == alone.num_discriminator_steps
    samples_seen = f'"samples_seen": {2 * sum(trainer.ran)}'
    assert snapshot(controller) == snapshot(alone).replace('"samples_seen": 0', samples_seen)


@every_handler
def test_the_value_is_there_before_iteration_1(code: str) -> None:
    trainer, controller = Trainer(), make(code)
    controller.attach(trainer)
    assert trainer.state.num_discriminator_steps == make(code).num_discriminator_steps
    seen = []
    for event in (Events.STARTED, Events.EPOCH_STARTED, Events.ITERATION_STARTED(once=1)):
        trainer.add_event_handler(event, lambda engine: seen.append(engine.state.num_discriminator_steps))
    trainer.run(DATA, max_epochs=1, epoch_length=1)
    assert seen == [make(code).num_discriminator_steps] * 3


@every_handler
@pytest.mark.parametrize("event", [Events.ITERATION_STARTED, Events.GET_BATCH_COMPLETED, Events.ITERATION_COMPLETED])
def test_attached_in_the_middle_of_a_run(code: str, event: Events) -> None:
    """The next step reads its own iteration's value, and is the first to be observed."""
    trainer, controller = Trainer(), make(code)
    trainer.state.num_discriminator_steps = 7
    trainer.add_event_handler(event(once=4), lambda: controller.attach(trainer))
    with pytest.warns(UserWarning, match="num_discriminator_steps=7 is overwritten"):
        run(trainer, 30)
    before = 3 if event is Events.ITERATION_STARTED else 4  # a batch is got while the iteration before is current
    assert trainer.ran[:before] == [7] * before
    if code in OPEN_LOOP.values():
        assert trainer.ran[before:] == expected(code, 30)[before:]
    else:
        assert trainer.ran[before:] == feed(make(code), STREAM[before:30])[0]
    assert controller.generator_updates == 30 - before
    assert controller.critic_updates == sum(trainer.ran[before:])


def test_the_article() -> None:
    """25 critic updates for 25 iterations, then 10: counted in the inner loop."""
    counted: dict[int, int] = {}

    def step(engine: Any, batch: Any) -> None:
        for _ in range(engine.state.num_discriminator_steps):
            counted[engine.state.iteration] = counted.get(engine.state.iteration, 0) + 1

    trainer = Engine(step)
    StepDecayController(milestones={0: 25, 25: 10}).attach(trainer)
    trainer.run(range(20), max_epochs=2)
    assert counted == {k: 25 if k <= 25 else 10 for k in range(1, 41)}


def test_the_wgan_reference_schedule_in_the_inner_loop() -> None:
    ran: list[int] = []

    def step(engine: Any, batch: Any) -> None:
        ran.append(engine.state.num_discriminator_steps)

    trainer = Engine(step)
    WGANReferenceController().attach(trainer)
    trainer.run(range(100), max_epochs=11)
    boosted = [k for k, n in enumerate(ran, start=1) if n == 100]
    assert boosted == [*range(1, 26), 501, 1001]
    assert set(ran) == {5, 100}


def test_a_ratio_below_1_skips_the_critic_in_some_iterations() -> None:
    controller = WassersteinGapController(initial=0.4, limits=(0, 5), gain=1e-9)
    trainer = Trainer("tensor")
    controller.attach(trainer)
    run(trainer, 100)
    assert set(trainer.ran) == {0, 1}
    assert sum(trainer.ran) == pytest.approx(40, abs=0.51)
    # An iteration without critic updates gives nothing to observe, and the one after it does.
    assert controller.state_dict()["law"]["values"][-1] == sum(trainer.ran[1:])


@pytest.mark.parametrize("code", ["TwoThresholdController(0.5, 0.5, limits={})", "LossChangeRateController(limits={})"])
@pytest.mark.parametrize("limits", [(0, 5), None])
def test_a_rule_that_needs_the_critics_loss_never_stops_the_critic(code: str, limits: Any) -> None:
    """With no critic updates there is no loss to ask for one, and the critic would never be trained again."""
    controller = make(code.format(limits))
    few = [sample._replace(d_loss=0.1, g_loss=0.9 + 0.1 * (k % 2)) for k, sample in enumerate(healthy(20))]
    feed(controller, few)
    assert controller.num_discriminator_steps == 1
    many = [sample._replace(d_loss=float(1 + k % 2), g_loss=0.9) for k, sample in enumerate(healthy(20))]
    feed(controller, many)
    assert controller.num_discriminator_steps > 1


def test_a_closed_gate_opens_again() -> None:
    controller = AccuracyGateController()
    feed(controller, [sample._replace(g_fake_accuracy=0.9) for sample in healthy(3)])
    assert controller.num_discriminator_steps == 0
    feed(controller, [sample._replace(g_fake_accuracy=0.1) for sample in healthy(1)])
    assert controller.num_discriminator_steps == 1


@pytest.mark.parametrize("every", [1, 5])
def test_gains_are_per_iteration(every: int) -> None:
    """An integral reaches the same place in as many iterations, however many of them a decision covers."""
    controller = LossRatioPIDController(
        "hinge", setpoint=0.3, kp=0.0, ki=0.01, smoothing=0.0, initial=2, limits=(1, 100), update_every=every
    )
    feed(controller, [STREAM[0]._replace(d_loss=2.0)] * 100)  # an error of 0.3; the first decision is bumpless
    assert math.log(controller.ratio / 2) == pytest.approx(0.01 * 0.3 * (100 - every), rel=1e-6)


# --- attach, detach, ownership ----------------------------------------------------------------------------------------


@every_handler
def test_detach_leaves_the_value_and_frees_it(code: str) -> None:
    trainer, controller = Trainer(), make(code)
    controller.attach(trainer)
    run(trainer, 30)
    controller.detach()
    left = trainer.state.num_discriminator_steps
    assert left == controller.num_discriminator_steps
    before = snapshot(controller)
    trainer.run(DATA, max_epochs=6)
    assert snapshot(controller) == before
    assert trainer.ran[30:] == [left] * 30
    with pytest.raises(RuntimeError, match="is not attached"):
        controller.detach()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the attribute was ours: no warning about overwriting it
        FixedController(7).attach(trainer)
    assert trainer.state.num_discriminator_steps == 7


@every_handler
def test_double_attach_is_refused(code: str) -> None:
    trainer, controller = Trainer(), make(code)
    controller.attach(trainer)
    for engine in (trainer, Trainer()):
        with pytest.raises(RuntimeError, match=r"attached already; detach\(\) it first"):
            controller.attach(engine)
    run(trainer, 20)
    assert trainer.ran == expected(code, 20)


@every_handler
def test_a_second_controller_is_refused_and_changes_nothing(code: str) -> None:
    trainer, controller, second = Trainer(), make(code), FixedController(11)
    controller.attach(trainer)
    with pytest.raises(RuntimeError, match="num_discriminator_steps is already controlled by"):
        second.attach(trainer)
    run(trainer, 20)
    assert trainer.ran == expected(code, 20)
    second.attach(Trainer())  # it is not half attached


def test_two_controllers_under_two_names() -> None:
    trainer = Trainer()
    WassersteinGapController().attach(trainer)
    FixedController(3, param_name="encoder_steps").attach(trainer)
    run(trainer, 20)
    assert trainer.ran == expected("WassersteinGapController()", 20)
    assert trainer.state.encoder_steps == 3
    assert trainer.state.encoder_steps_critic_updates == 60
    assert trainer.state.critic_updates == sum(trainer.ran)


@every_handler
def test_param_name(code: str) -> None:
    trainer = Trainer(param_name="n_critic")
    make(code, param_name="n_critic").attach(trainer)
    run(trainer, 40)
    assert trainer.ran == expected(code, 40)
    assert not hasattr(trainer.state, "num_discriminator_steps")
    assert trainer.state.n_critic_generator_updates == 40


@pytest.mark.parametrize("engine", [None, "trainer", 5, object()])
def test_what_is_no_engine_is_refused(engine: Any) -> None:
    with pytest.raises(TypeError, match=f"expects an ignite.engine.Engine, got {type(engine).__name__}"):
        FixedController(5).attach(engine)


def test_an_attribute_of_someone_else_is_overwritten_with_a_warning() -> None:
    trainer = Trainer()
    trainer.state.num_discriminator_steps = 9
    with pytest.warns(UserWarning, match=r"num_discriminator_steps=9 is overwritten by FixedController\(5\)"):
        FixedController(5).attach(trainer)
    assert trainer.state.num_discriminator_steps == 5


@every_handler
def test_the_warning_points_to_the_line_that_attached(code: str) -> None:
    trainer = Trainer()
    trainer.state.num_discriminator_steps = 9
    with pytest.warns(UserWarning, match="is overwritten") as caught:
        make(code).attach(trainer)
    assert [warning.filename for warning in caught] == [__file__]


def test_a_foreign_write_is_warned_of_once_and_overwritten() -> None:
    trainer, controller = Trainer(), WassersteinGapController(initial=4)
    controller.attach(trainer)
    trainer.add_event_handler(
        Events.ITERATION_STARTED, lambda engine: setattr(engine.state, "num_discriminator_steps", 9)
    )
    seen: list[int] = []
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: seen.append(engine.state.num_discriminator_steps)
    )
    with pytest.warns(UserWarning, match="=9;.* wrote 4 and will overwrite it: only one") as caught:
        run(trainer, 20)
    assert len(caught) == 1
    assert 9 not in seen


def test_an_output_that_is_refused_after_a_foreign_write_names_the_write() -> None:
    def step(engine: Engine, batch: int) -> dict[str, Any]:
        number = getattr(engine.state, "num_discriminator_steps")  # noqa: B009  # mypy does not know it
        return {"d_real": [1.0] * number, "d_fake": [0.0] * number, "g_fake": 0.0}

    for written, said in (
        (0, r"shape \(n,\).*; something else had written engine.state.num_discriminator_steps=0$"),
        (4, ""),
    ):
        trainer, controller = Engine(step), WassersteinGapController(initial=4)
        controller.attach(trainer)
        trainer.add_event_handler(
            Events.ITERATION_STARTED(once=3),
            lambda engine, number=written: setattr(engine.state, "num_discriminator_steps", number),
        )
        if said:
            with pytest.warns(UserWarning, match="wrote 4"), pytest.raises(StepOutputError, match=said):
                trainer.run(range(5))
        else:
            trainer.run(range(5))


def test_critic_updates_are_those_that_were_asked_for() -> None:
    """Whether a step read what a second writer wrote can't be known, and its d_real may be the scores of a batch."""

    def step(engine: Engine, batch: int) -> dict[str, Any]:
        return {"d_real": [1.0] * 9}

    trainer, controller = Engine(step), FixedController(4)
    controller.attach(trainer)
    trainer.add_event_handler(
        Events.ITERATION_STARTED, lambda engine: setattr(engine.state, "num_discriminator_steps", 9)
    )
    with pytest.warns(UserWarning, match="something else wrote"):
        trainer.run(range(10))
    assert (controller.critic_updates, controller.generator_updates) == (40, 10)


def test_attaching_in_the_middle_of_a_run() -> None:
    trainer = Trainer()
    trainer.state.num_discriminator_steps = 2
    run(trainer, 20)
    milestones = StepDecayController(milestones={0: 25, 20: 10, 25: 7})
    with pytest.warns(UserWarning, match="overwritten"):
        milestones.attach(trainer)
    assert trainer.state.num_discriminator_steps == 10
    trainer.run(DATA, max_epochs=4)
    assert trainer.ran[20:] == [10] * 5 + [7] * 15
    assert milestones.generator_updates == 20


@pytest.mark.parametrize("way", ["attach", "detach and attach"])
def test_attaching_rounds_nothing_away(way: str) -> None:
    """The sum of n stays within a half of the sum of ratios, wherever the controller was attached."""
    trainer = Trainer()
    trainer.state.num_discriminator_steps = 2
    run(trainer, 20)
    controller = WassersteinGapController(initial=2.5, limits=(1, 10), gain=1e-12)
    if way == "attach":
        with pytest.warns(UserWarning, match="overwritten"):
            controller.attach(trainer)
    else:
        feed(controller, STREAM[:3])
        with pytest.warns(UserWarning, match="overwritten"):
            controller.attach(trainer)
        for _ in range(3):
            controller.detach()
            controller.attach(trainer)
    trainer.run(DATA, max_epochs=4)
    assert abs(controller.critic_updates - 2.5 * controller.generator_updates) <= 0.5 + 1e-6


# --- events and published attributes --------------------------------------------------------------------------------


def test_an_event_is_fired_only_on_a_change_with_the_value_written() -> None:
    trainer, controller = Trainer(), StepDecayController(milestones={0: 5, 4: 3, 7: 3, 12: 8})
    controller.attach(trainer)
    fired: list[tuple[int, int]] = []

    @trainer.on(CriticEvents.STEPS_CHANGED)
    def _(engine: Any) -> None:
        fired.append((engine.state.iteration, engine.state.num_discriminator_steps))

    run(trainer, 20)
    assert fired == [(4, 3), (12, 8)]


@every_handler
def test_published_attributes(code: str) -> None:
    trainer, controller = Trainer("tensor"), make(code)
    controller.attach(trainer)

    def check(engine: Any) -> None:
        state = engine.state
        assert state.num_discriminator_steps == controller.num_discriminator_steps
        assert state.critic_ratio == controller.ratio
        assert repr(state.critic_signal) == repr(controller.signal)
        assert state.critic_updates == controller.critic_updates == sum(trainer.ran)
        assert state.generator_updates == controller.generator_updates == state.iteration
        assert state.samples_seen == controller.samples_seen == 2 * sum(trainer.ran)

    check(trainer)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, check)
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=7), lambda: controller.override(4, 2))
    run(trainer, 30)
    assert math.isfinite(trainer.state.critic_signal) == (code in FEEDBACK.values())


# --- override and hold ------------------------------------------------------------------------------------------------


@every_handler
@pytest.mark.parametrize("when", ["before", "after", "started"])
def test_override_from_a_handler(code: str, when: str) -> None:
    """The iterations after the one in which it was called run with it, wherever it was called."""
    trainer, controller = Trainer(), make(code)
    event = Events.ITERATION_STARTED if when == "started" else Events.ITERATION_COMPLETED

    def handler() -> None:
        controller.override(3, 1)

    if when == "before":
        trainer.add_event_handler(event(once=12), handler)
    controller.attach(trainer)
    if when != "before":
        trainer.add_event_handler(event(once=12), handler)
    run(trainer, 30)
    assert trainer.ran[:12] == expected(code, 12)
    assert trainer.ran[12:15] == [1, 1, 1]
    if code in OPEN_LOOP.values():
        assert trainer.ran[15:] == expected(code, 30)[15:]
    else:
        assert trainer.ran[15:20] != [1] * 5 or controller.ratio < 1.5


@every_handler
@pytest.mark.parametrize("when", ["before attach", "after attach", "started", "after a run"])
def test_an_override_before_a_run_is_for_that_run(code: str, when: str) -> None:
    trainer, controller = Trainer(), make(code)
    if when == "before attach":
        controller.override(3, 7)
    if when == "started":
        trainer.add_event_handler(Events.STARTED, lambda: controller.override(3, 7))
    controller.attach(trainer)
    if when == "after a run":
        controller.override(3, 9)
        run(trainer, 30)
        trainer.ran.clear()
        controller.override(1, 1)  # the later one counts
    if when.startswith("after"):
        controller.override(3, 7)
    run(trainer, 30)
    alone = make(code)
    alone.override(3, 7)
    assert trainer.ran == feed(alone, STREAM[:30])[0]
    assert trainer.ran[:3] == [7] * 3
    trainer.ran.clear()
    if when != "started":
        run(trainer, 30)
        assert trainer.ran == expected(code, 30), "it was for one run"


@pytest.mark.parametrize("event", [Events.ITERATION_COMPLETED(once=30), Events.EPOCH_COMPLETED])
def test_an_override_in_a_run_is_not_for_the_next_one(event: Any) -> None:
    trainer, controller = Trainer(), make(FEEDBACK["gap"])
    controller.attach(trainer)
    trainer.add_event_handler(event, lambda: controller.override(3, 7))
    run(trainer, 30)
    trainer.ran.clear()
    run(trainer, 30)
    assert trainer.ran[: len(DATA)] == expected(FEEDBACK["gap"], len(DATA))


def test_the_law_pauses_under_an_override() -> None:
    controller = make_feedback(FEEDBACK["gap"])
    feed(controller, STREAM[:20])
    law, ratio = controller.state_dict()["law"]["values"], controller.ratio
    controller.override(5, 3)
    feed(controller, STREAM[20:25])
    assert controller.state_dict()["law"]["values"] == law
    assert controller.ratio == ratio
    feed(controller, STREAM[25:30])
    assert controller.state_dict()["law"]["values"] != law


def test_override_defaults_to_the_lower_limit() -> None:
    for controller, lower in [
        (WassersteinGapController(limits=(2, 20)), 2),
        (LossRatioPIDController(limits=(0, 8)), 1),  # 0 for many iterations in a row would stop the critic
        (FixedController(5), 1),
    ]:
        controller.override(2)
        assert controller.num_discriminator_steps == lower


def test_a_hold_within_a_fraction_of_an_update_does_not_stop_the_critic() -> None:
    controller = FixedController(0.25)
    assert controller.num_discriminator_steps == 0
    controller.hold(5)
    assert feed(controller, STREAM[:7])[0][:5] == [1] * 5


def test_hold_keeps_n() -> None:
    controller = make("StepDecayController(milestones={0: 9, 3: 4})")
    controller.hold(5)
    assert feed(controller, STREAM[:8])[0] == [9] * 5 + [4] * 3


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0,), ValueError, "iterations=0: expected an int of at least 1"),
        ((2.0,), TypeError, "iterations=2.0"),
        ((True,), TypeError, "iterations=True"),
        ((3, -1), ValueError, "steps=-1: expected an int of at least 0"),
        ((3, 1.5), TypeError, "steps=1.5"),
    ],
)
def test_a_bad_override_is_refused(arguments: tuple[Any, ...], error: type[Exception], message: str) -> None:
    controller = make(FEEDBACK["gap"])
    with pytest.raises(error, match=message):
        controller.override(*arguments)
    assert snapshot(controller) == snapshot(make(FEEDBACK["gap"]))
    assert feed(controller, STREAM[:30]) == feed(make(FEEDBACK["gap"]), STREAM[:30])


def test_overrides_leave_no_drift_behind() -> None:
    """What an override replaces before it was run is given back to the rounding."""
    controller = WassersteinGapController(initial=2.4, limits=(1, 10), gain=1e-12)
    total, count, overridden = 0.0, 0, True
    for sample in healthy(1_000):
        # What was rounded up, every time: the errors would add up. Not twice in a row, or the law never gets its turn.
        if controller.num_discriminator_steps == 3 and not overridden:
            controller.override(1, 9)
        overridden = controller.state_dict()["override"][1] > 0
        n = controller.num_discriminator_steps
        controller.observe(output(sample, n))
        if not overridden:
            total, count = total + n, count + 1
    assert count > 100
    assert abs(total - 2.4 * count) <= 1.0


# --- fresh runs and resumes -------------------------------------------------------------------------------------------


@every_handler
def test_a_second_fresh_run_starts_afresh(code: str) -> None:
    trainer, controller = Trainer(), make(code)
    controller.attach(trainer)
    run(trainer, 40)
    first = snapshot(controller)
    run(trainer, 40)
    assert trainer.ran[40:] == trainer.ran[:40]
    assert snapshot(controller) == first


@every_handler
def test_a_run_with_more_epochs_goes_on(code: str) -> None:
    trainer, controller = Trainer(), make(code)
    controller.attach(trainer)
    run(trainer, 20)
    trainer.run(DATA, max_epochs=6)
    assert trainer.ran == expected(code, 60)


@every_handler
def test_terminated_and_run_again(code: str) -> None:
    trainer, controller = Trainer(), make(code)
    controller.attach(trainer)
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=20), lambda engine: engine.terminate())
    run(trainer, 60)
    assert len(trainer.ran) == 20
    trainer.run(DATA, max_epochs=6)
    assert trainer.ran == expected(code, 60)


@every_handler
def test_interrupted_and_run_again(code: str) -> None:
    trainer, controller = Trainer(), make(code)
    controller.attach(trainer)
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=15), lambda engine: engine.interrupt())
    trainer.run(DATA, max_epochs=6)
    assert len(trainer.ran) == 15
    trainer.run(DATA, max_epochs=6)
    assert trainer.ran == expected(code, 60)


@every_handler
@pytest.mark.parametrize("order", ["load, attach", "attach, load"])
def test_a_state_survives_the_start_of_a_run(code: str, order: str) -> None:
    first, controller = Trainer(), make(code)
    controller.attach(first)
    run(first, 30)
    state, engine_state = controller.state_dict(), first.state_dict()
    trainer, resumed = Trainer(), make(code)
    if order == "load, attach":
        resumed.load_state_dict(state)
        resumed.attach(trainer)
    else:
        resumed.attach(trainer)
        resumed.load_state_dict(state)
    trainer.load_state_dict(engine_state)
    trainer.run(DATA, max_epochs=6)
    assert first.ran + trainer.ran == expected(code, 60)
    run(trainer, 60)  # a third run, from scratch: the load was before the last one
    assert trainer.ran[30:] == expected(code, 60)


@pytest.mark.parametrize("code", FEEDBACK.values(), ids=FEEDBACK.keys())
def test_a_loaded_state_is_kept_by_an_engine_that_starts_at_0(code: str) -> None:
    """The controller goes on where it was, in a run that counts its iterations anew."""
    controller, twin = make(code), make(code)
    feed(controller, STREAM[:30])
    twin.load_state_dict(controller.state_dict())
    resumed, trainer = make(code), Trainer()
    resumed.attach(trainer)
    resumed.load_state_dict(controller.state_dict())
    run(trainer, 20)
    assert trainer.ran == feed(twin, STREAM[:20])[0]
    assert resumed.generator_updates == 50


@every_handler
def test_a_load_in_the_middle_of_a_run_does_not_outlive_it(code: str) -> None:
    """A rollback loads; the next run from scratch is from scratch all the same."""
    trainer, controller = Trainer(), make(code)
    controller.attach(trainer)
    saved: list[Any] = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=5), lambda: saved.append(controller.state_dict()))
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=8), lambda: controller.load_state_dict(saved[0]))
    run(trainer, 40)
    run(trainer, 40)
    assert trainer.ran[40:48] == expected(code, 8)


@every_handler
def test_a_schedule_is_resumed_at_the_right_index(code: str) -> None:
    """Also where only the engine's state was saved."""
    if code not in OPEN_LOOP.values():
        return
    trainer = Trainer()
    trainer.load_state_dict({"epoch_length": 10, "iteration": 10, "max_epochs": 4})
    make(code).attach(trainer)
    trainer.run(DATA)
    assert trainer.ran == expected(code, 40)[10:]


@pytest.mark.parametrize("where", ["before", "after", "event"])
@every_handler
def test_resume_from_a_checkpoint(code: str, where: str, tmp_path: Path) -> None:
    """Checkpoint attached before the controller, after it, or on the controller's own event."""

    def build() -> tuple[Trainer, Controller, Checkpoint]:
        trainer, controller = Trainer("tensor"), make(code)
        saver = DiskSaver(str(tmp_path), require_empty=False)
        checkpoint = Checkpoint({"trainer": trainer, "controller": controller}, saver)
        if where == "before":
            trainer.add_event_handler(Events.ITERATION_COMPLETED(every=13), checkpoint)
        controller.attach(trainer)
        if where == "after":
            trainer.add_event_handler(Events.ITERATION_COMPLETED(every=13), checkpoint)
        if where == "event":
            trainer.add_event_handler(CriticEvents.STEPS_CHANGED, checkpoint)
        return trainer, controller, checkpoint

    trainer, _, checkpoint = build()
    trainer.interrupt_at = (31, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        trainer.run(DATA, max_epochs=6)
    if checkpoint.last_checkpoint is None:
        assert where == "event"
        assert len(set(trainer.ran)) == 1
        return
    found = torch.load(tmp_path / checkpoint.last_checkpoint, weights_only=True)
    resumed, controller, _ = build()
    Checkpoint.load_objects({"trainer": resumed, "controller": controller}, found)
    start = resumed.state.iteration
    resumed.run(DATA, max_epochs=6)
    assert trainer.ran[:start] + resumed.ran == expected(code, 60)
    assert controller.generator_updates == 60


@pytest.mark.parametrize("first", ["FixedController", "Switching"])
def test_a_checkpoint_between_two_controllers_has_both_at_the_same_iteration(first: str) -> None:
    """The first one's event is the engine's last event when the checkpoint is made."""
    trainer = Trainer()
    milestones = {0: 3} if first == "FixedController" else {k: 1 + k % 5 for k in range(60)}
    StepDecayController(milestones=milestones, param_name="other").attach(trainer)
    controller = WassersteinGapController()
    saved: list[dict[str, Any]] = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: saved.append(controller.state_dict()))
    controller.attach(trainer)
    run(trainer, 20)
    assert [state["generator_updates"] for state in saved] == list(range(1, 21))


EVENTS = [
    Events.STARTED,
    Events.EPOCH_STARTED,
    Events.GET_BATCH_STARTED,
    Events.GET_BATCH_COMPLETED,
    Events.ITERATION_STARTED,
    Events.ITERATION_COMPLETED,
    Events.EPOCH_COMPLETED,
]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("event", EVENTS, ids=[event.name for event in EVENTS])
@pytest.mark.parametrize("code", [FEEDBACK["gap"], FEEDBACK["PID, hinge"], OPEN_LOOP["milestones"]])
def test_an_interrupt_in_any_event_leaves_the_last_consistent_state(
    code: str, event: Events, error: type[BaseException]
) -> None:
    """What is saved after it resumes, with the engine's count of what the controller saw, as if nothing had been."""
    trainer, controller = Trainer(), make(code)
    controller.attach(trainer)
    at = {Events.EPOCH_STARTED: 3, Events.EPOCH_COMPLETED: 3}.get(event, 23)

    def interrupt() -> None:
        raise error("here")

    trainer.add_event_handler(event if event is Events.STARTED else event(once=at), interrupt)
    with pytest.raises(error):
        run(trainer, 60)
    state = controller.state_dict()
    assert state == controller.state_dict()  # saving twice is saving once
    seen = state["generator_updates"]
    resumed, again = Trainer(), make(code)
    again.attach(resumed)
    again.load_state_dict(state)
    resumed.load_state_dict({"epoch_length": 10, "iteration": seen, "max_epochs": 6})
    resumed.run(DATA)
    assert trainer.ran[:seen] + resumed.ran == expected(code, 60)


def test_the_same_engine_runs_on_after_an_exception_in_the_step() -> None:
    trainer, controller = Trainer(), make(FEEDBACK["gap"])
    controller.attach(trainer)
    trainer.interrupt_at = (25, RuntimeError)
    with pytest.raises(RuntimeError, match="in the step"):
        run(trainer, 60)
    trainer.interrupt_at = None
    trainer.run(DATA, max_epochs=6)
    if len(trainer.ran) == 24:  # Ignite 0.5.5 only winds up the interrupted run at the first call
        trainer.run(DATA, max_epochs=6)
    assert controller.generator_updates == len(trainer.ran)
    assert trainer.ran[:24] == expected(FEEDBACK["gap"], 24)
    assert trainer.state.iteration == len(trainer.ran) + 1 > 25  # the failed iteration counts for the engine


@every_handler
def test_reset_within_a_run(code: str) -> None:
    """Afterwards it goes on as a new one, and observes nothing twice."""
    trainer, controller = Trainer(), make(code)
    controller.attach(trainer)
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=20), lambda: controller.reset())
    saved: list[dict[str, Any]] = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=20), lambda: saved.append(controller.state_dict()))
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=25), lambda: controller.override(2, 1))
    run(trainer, 30)
    assert saved[0] == make(code).state_dict()
    assert controller.generator_updates == 10
    assert trainer.ran[25:27] == [1, 1]
    assert trainer.ran[20] == make(code).num_discriminator_steps


def test_a_run_in_an_epoch_loop_of_its_own() -> None:
    """A validation engine with handlers of its own within the trainer's run disturbs nothing."""
    trainer, controller = Trainer(), make(FEEDBACK["gap"])
    controller.attach(trainer)
    evaluator = Engine(lambda engine, batch: None)
    trainer.add_event_handler(Events.ITERATION_COMPLETED(every=5), lambda: evaluator.run(range(3)))
    run(trainer, 40)
    assert trainer.ran == expected(FEEDBACK["gap"], 40)


# --- running metrics ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metrics_first", [True, False])
def test_running_averages_by_name(metrics_first: bool) -> None:
    """A metric that is attached after the controller is held for one iteration and then one iteration late."""
    trainer = Trainer()
    controller = LossRatioPIDController("hinge", d_loss="critic", g_loss="generator", initial=3)

    def attach_metrics() -> None:
        RunningAverage(output_transform=lambda out: out["d_loss"][-1]).attach(trainer, "critic")
        RunningAverage(output_transform=lambda out: out["g_loss"]).attach(trainer, "generator")

    if metrics_first:
        attach_metrics()
    controller.attach(trainer)
    if not metrics_first:
        attach_metrics()
    run(trainer, 50)

    twin = LossRatioPIDController("hinge", initial=3)
    d_average = g_average = None
    expected_n = []
    for sample in STREAM[: 50 if metrics_first else 49]:
        d_average = sample.d_loss if d_average is None else 0.98 * d_average + (1 - 0.98) * sample.d_loss
        g_average = sample.g_loss if g_average is None else 0.98 * g_average + (1 - 0.98) * sample.g_loss
        expected_n.append(twin.num_discriminator_steps)
        twin.observe({"d_loss": d_average, "g_loss": g_average})
    assert controller.ratio == pytest.approx(twin.ratio)
    assert controller.ratio != 3


def test_a_metric_that_no_one_attached() -> None:
    trainer = Trainer()
    WassersteinGap("before").attach(trainer, "gap before")
    LossRatioPIDController("hinge", d_loss="critic").attach(trainer)
    with pytest.raises(StepOutputError, match=r"no 'critic'; it has \['gap before'\]"):
        run(trainer, 20)
    assert trainer.state.iteration == 2


def test_a_late_metric_is_held_again_after_a_restart() -> None:
    """Another engine, the same controller: its metric is one iteration late there, too."""
    controller = LossRatioPIDController("hinge", d_loss="critic", limits=(1, 10))
    for _ in range(2):
        trainer = Trainer()
        controller.attach(trainer)
        RunningAverage(output_transform=lambda out: out["d_loss"][-1]).attach(trainer, "critic")
        trainer.load_state_dict({"epoch_length": 10, "iteration": 10, "max_epochs": 2})
        trainer.run(DATA)
        controller.detach()


def test_gaps_before_and_after_by_name_drive_the_gap_controller() -> None:
    options: dict[str, Any] = {"warmup": 3, "gain": 0.1, "limits": (1, 20)}
    trainer = Trainer("tensor")
    WassersteinGap("before", alpha=0.0).attach(trainer, "before")
    WassersteinGap("after", alpha=0.0).attach(trainer, "after")
    controller = WassersteinGapController(gap_before="before", gap_after="after", **options)
    controller.attach(trainer)
    run(trainer, 60)
    # Without averaging in the metrics the rule is the one that reads the step's output.
    twin = WassersteinGapController(**options)
    feed(twin, STREAM[:60], "tensor")
    assert controller.ratio == pytest.approx(twin.ratio, rel=1e-5)
    assert controller.ratio != WassersteinGapController(**options).ratio
    assert controller.bad_observations == 1  # at iteration 1 there is no gap after the updates yet


# --- bad outputs ------------------------------------------------------------------------------------------------------


class _Slots:
    def __iter__(self) -> Iterator[int]:
        return iter(())


GOOD = output(STREAM[0], 3)


@pytest.mark.parametrize(
    ("code", "bad", "message"),
    [
        ("WassersteinGapController()", None, "'g_fake', got None; does the training step return its output"),
        ("WassersteinGapController()", "loss", r"got 'loss' \(str\)"),
        ("WassersteinGapController()", 0.5, r"got 0.5 \(float\)"),
        ("WassersteinGapController()", _Slots(), "must return a dict"),
        ("WassersteinGapController()", {"loss": 1.0}, r"no 'd_real', 'd_fake' and 'g_fake'; it has \['loss'\]"),
        ("WassersteinGapController()", {"g_fake": 0.0, "d_fake": [1.0]}, r"no 'd_real'; it has \['d_fake', 'g_fake'\]"),
        ("WassersteinGapController()", GOOD | {"d_real": 0.5}, r"'d_real' must hold one entry .*values\.append\(value"),
        ("WassersteinGapController()", GOOD | {"d_real": torch.tensor(0.5)}, "'d_real' must hold one entry"),
        ("WassersteinGapController()", GOOD | {"d_real": torch.zeros(3, 1)}, r"'d_real'.*shape \(3, 1\)"),
        ("WassersteinGapController()", GOOD | {"d_fake": []}, "'d_fake'.*of length 0"),
        ("WassersteinGapController()", GOOD | {"d_fake": "abc"}, "'d_fake'.*'abc'"),
        ("WassersteinGapController()", GOOD | {"d_fake": [torch.zeros(1)]}, r"'d_fake\[0\]'.*shape \(1,\)"),
        ("WassersteinGapController()", GOOD | {"d_fake": [None]}, r"'d_fake\[0\]'.*None"),
        ("WassersteinGapController()", GOOD | {"g_fake": torch.zeros(1)}, r"'g_fake'.*shape \(1,\)"),
        ("WassersteinGapController()", GOOD | {"g_fake": True}, "'g_fake'.*True"),
        ("WassersteinGapController()", GOOD | {"num_samples": 2.5}, "'num_samples' must be .* at least 0, got 2.5"),
        ("LossRatioPIDController('hinge')", {"g_loss": 1.0}, r"no 'd_loss'; it has \['g_loss'\]"),
        ("LossRatioPIDController('hinge')", GOOD | {"d_loss": torch.zeros(2, 2)}, r"'d_loss'.*\(2, 2\)"),
        ("LossRatioPIDController('hinge')", GOOD | {"g_loss": [1.0]}, "'g_loss'.*list of length 1"),
        ("AccuracyGateController()", {"d_loss": [1.0]}, r"no 'g_fake_accuracy'; it has \['d_loss'\]"),
        ("TwoThresholdController(1, 1)", None, "got None"),
        ("LossChangeRateController()", {}, r"it has \[\]"),
    ],
)  # fmt: skip
def test_a_bad_output_is_an_error_at_the_first_iteration(code: str, bad: Any, message: str) -> None:
    trainer, controller = Engine(lambda engine, batch: bad), make_feedback(code)
    controller.attach(trainer)
    before = controller.state_dict()
    with pytest.raises(StepOutputError, match=f"(?s){message}"):
        trainer.run(DATA)
    assert trainer.state.iteration == 1
    assert controller.state_dict()["law"]["values"] == before["law"]["values"]


def test_a_scalar_loss_counts_as_the_last_one() -> None:
    one, other = TwoThresholdController(0.5, 0.5), TwoThresholdController(0.5, 0.5)
    for sample in STREAM[:20]:
        one.observe({"d_loss": sample.d_loss, "g_loss": sample.g_loss})
        other.observe({"d_loss": torch.tensor(sample.d_loss), "g_loss": torch.tensor(sample.g_loss)})
        assert one.num_discriminator_steps == other.num_discriminator_steps
    assert one.num_discriminator_steps != 1


def test_output_transform_adapts_other_outputs() -> None:
    controller = WassersteinGapController(output_transform=lambda out: out[1])
    trainer = Engine(lambda engine, batch: (0, output(STREAM[engine.state.iteration - 1], 4)))
    controller.attach(trainer)
    trainer.run(range(30))
    twin = WassersteinGapController()
    for sample in STREAM[:30]:
        twin.observe(output(sample, 4))
    assert controller.ratio == twin.ratio


def test_g_loss_stands_in_for_g_fake() -> None:
    one, other = make(FEEDBACK["gap"]), make(FEEDBACK["gap"])
    for sample in STREAM[:30]:
        full = output(sample, 4)
        one.observe(full)
        del full["g_fake"]
        other.observe(full | {"g_loss": -sample.g_fake})
    assert one.ratio == other.ratio != make(FEEDBACK["gap"]).ratio


def test_observe_is_refused_while_attached() -> None:
    controller = WassersteinGapController()
    controller.attach(Trainer())
    with pytest.raises(RuntimeError, match="attached to an engine"):
        controller.observe(GOOD)


@pytest.mark.parametrize("on_divergence", ["hold", "terminate", DivergenceGuard("terminate_epoch"), print])
def test_a_loop_without_an_engine_has_no_guard(on_divergence: Any) -> None:
    """It would be silent about a NaN that it was asked to end the run for."""
    controller = FixedController(3, on_divergence=on_divergence)
    with pytest.raises(RuntimeError, match=r"has a guard, .*: .* Rounds\(controller\), .* leave on_divergence= out"):
        controller.observe({"d_loss": math.nan})
    assert controller.generator_updates == 0


def test_a_guard_that_watches_another_engine_leaves_the_controller_unattached() -> None:
    guard = DivergenceGuard("hold")
    guard.attach(Engine(lambda engine, batch: None))
    trainer: Any = Engine(lambda engine, batch: None)
    controller = FixedController(3, on_divergence=guard)
    with pytest.raises(RuntimeError, match="attached already"):
        controller.attach(trainer)
    FixedController(2).attach(trainer)  # nothing is left behind that owns the attribute or writes it
    trainer.run([0])
    assert trainer.state.num_discriminator_steps == 2


def test_a_step_that_does_not_read_the_number_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    trainer = Engine(lambda engine, batch: {"d_real": [1.0] * 5, "d_fake": [0.0] * 5, "g_fake": 0.0})
    WassersteinGapController(initial=3).attach(trainer)
    trainer.run(range(30))
    (record,) = caplog.records
    assert record.getMessage() == (
        "'d_real' has length 5, but n = 3 was asked for: does the loop read the number that the controller writes, "
        "or, in a loop of your own, the one that observe() returns?"
    )


@pytest.mark.parametrize(
    ("controller", "asked"),
    [
        (FixedController(5), 5),
        (StepDecayController(milestones={0: 1, 300: 2}), 2),
        (AccuracyLadderController(), 2),  # its first move is after 200 iterations
        (WassersteinGapController(initial=1, update_every=250), 20),
    ],
    ids=repr,
)
def test_a_step_that_makes_one_update_is_told_as_soon_as_another_number_is_asked_for(
    controller: Controller, asked: int, caplog: pytest.LogCaptureFixture
) -> None:
    scores = {"d_real": [0.1], "d_fake": [0.0], "d_loss": [0.9], "g_loss": 0.7, "g_fake": -0.1, "g_fake_accuracy": 0.5}
    trainer = Engine(lambda engine, batch: scores)
    controller.attach(trainer)
    trainer.run(range(600))
    messages = [message for message in caplog.messages if "was asked for" in message]
    assert len(messages) == 1
    assert messages[0].startswith("'d_real' has length 1, but n = ")
    assert asked == 20 or f"n = {asked} " in messages[0]


def test_a_step_may_return_anything_where_metrics_are_read(caplog: pytest.LogCaptureFixture) -> None:
    trainer = Engine(lambda engine, batch: {"d_loss": [0.5] * 7})
    trainer.state.metrics = {}
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: engine.state.metrics.update(d=0.5)
    )  # before the controller's own
    LossRatioPIDController("hinge", d_loss="d").attach(trainer)
    trainer.run(range(30))
    assert [message for message in caplog.messages if "was asked for" in message] == []


def test_a_schedule_that_begins_again_though_a_state_was_loaded_is_told(caplog: pytest.LogCaptureFixture) -> None:
    def run(state: dict[str, Any] | None, iteration: int = 0) -> dict[str, Any]:
        trainer = Engine(lambda engine, batch: None)
        controller = StepDecayController(milestones={0: 25, 25: 10})
        controller.attach(trainer)
        if state is not None:
            controller.load_state_dict(state)
        trainer.load_state_dict({"iteration": iteration, "max_epochs": 10, "epoch_length": 30})
        trainer.run(range(30), max_epochs=10 if iteration else 1)
        return controller.state_dict()

    state = run(None)
    run(state, iteration=30)
    assert caplog.messages == []
    run(state)
    (message,) = caplog.messages
    assert message.startswith("the schedule begins again with n = 25, and the loaded state has 30 iterations, after")


def test_scores_of_the_first_update_alone_are_no_fault_beside_all_losses(caplog: pytest.LogCaptureFixture) -> None:
    """As in distillation, where a score needs an evaluation of the teacher."""

    def step(engine: Engine, batch: int) -> dict[str, Any]:
        state: Any = engine.state
        return {"d_real": [1.0], "d_fake": [0.0], "d_loss": [0.5] * state.num_discriminator_steps, "g_fake": 0.0}

    trainer = Engine(step)
    WassersteinGapController(initial=3).attach(trainer)
    trainer.run(range(30))
    assert not caplog.records


def test_a_step_that_reads_the_number_is_not_told_anything(caplog: pytest.LogCaptureFixture) -> None:
    def step(engine: Engine, batch: int) -> dict[str, Any]:
        state: Any = engine.state
        return {
            "d_real": [1.0] * state.num_discriminator_steps,
            "d_fake": [0.0] * state.num_discriminator_steps,
            "g_fake": 0.0,
        }

    trainer = Engine(step)
    WassersteinGapController().attach(trainer)
    trainer.run(range(30))
    assert not caplog.records


@pytest.mark.parametrize("name", ["epoch", "iteration", "max_epochs", "output", "metrics", "critic_ratio"])
def test_attributes_that_mean_something_else_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"param_name='{name}'"):
        FixedController(3, param_name=name)


def test_a_controller_whose_guard_was_detached_by_itself_can_be_detached() -> None:
    trainer, controller = Trainer(), FixedController(5, on_divergence="hold")
    controller.attach(trainer)
    assert controller.guard is not None
    controller.guard.detach()
    controller.detach()
    FixedController(3).attach(trainer)
    assert trainer.state.num_discriminator_steps == 3
