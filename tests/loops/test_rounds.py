"""Rounds: any loop gets the numbers of an Engine's step, with counts of the updates that it has made."""

from __future__ import annotations

import copy
import io
import math
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint
from ignite.metrics import RunningAverage

from adaptive_critic import (
    ControllerHistory,
    CriticEffortController,
    DivergenceGuard,
    FixedController,
    LossRatioPIDController,
    Rounds,
    StateError,
    StepDecayController,
    StepOutputError,
    StopAtBudget,
    WassersteinGapController,
)
from tests.handlers.table import HANDLERS, Sample, healthy, make, output, snapshot
from tests.loops.toys import Toy, assert_counts_are_true

every_handler = pytest.mark.parametrize("code", HANDLERS.values(), ids=HANDLERS.keys())
SAMPLES = healthy(60)


def state_of(engine: Engine) -> Any:
    """Return engine.state, which takes any attribute; its type knows of none."""
    return engine.state


def through_file(state: Any) -> Any:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


def report(rounds: Rounds, sample: Sample, form: str = "tuple") -> int:
    """Report a whole round, one update after the other; return its number of critic updates."""
    n = rounds.steps
    entries = output(sample, n, form)
    critic = {key: entries.pop(key) for key in ("d_real", "d_fake", "d_loss") if key in entries}
    for i in range(n):
        assert rounds.critic_due
        assert rounds.critic(**{key: values[i] for key, values in critic.items()}) == (i == n - 1)
    assert rounds.generator_due
    rounds.generator(**entries)
    return n


def as_an_engine(code: str) -> tuple[list[int], str]:
    """Return n of each iteration and the final state as an Engine's step gets them."""
    ran: list[int] = []

    def step(engine: Engine, sample: Sample) -> dict[str, Any]:
        ran.append(state_of(engine).num_discriminator_steps)
        return output(sample, ran[-1], "tuple")

    trainer, controller = Engine(step), make(code)
    controller.attach(trainer)
    trainer.run(SAMPLES)
    return ran, snapshot(controller)


@every_handler
def test_a_round_is_an_iteration_of_an_engine_bit_for_bit(code: str) -> None:
    rounds = Rounds(make(code))
    ran = [report(rounds, sample) for sample in SAMPLES]
    assert (ran, snapshot(rounds.controller)) == as_an_engine(code)
    assert (rounds.critic_updates, rounds.generator_updates) == (sum(ran), len(SAMPLES))


@every_handler
@pytest.mark.parametrize("updates", [0, 1, 7, 41])
def test_a_resume_after_any_update_goes_on_bit_for_bit(code: str, updates: int) -> None:
    def train(rounds: Rounds, until: int) -> Rounds:
        while rounds.critic_updates + rounds.generator_updates < until:
            entries = output(SAMPLES[rounds.generator_updates], max(rounds.steps, 1), "tuple")
            i = rounds.state_dict()["round"]["critic_updates"]
            if rounds.critic_due:
                rounds.critic(**{key: entries[key][i] for key in ("d_real", "d_fake", "d_loss")})
            else:
                rounds.generator(**{key: entries[key] for key in ("g_loss", "g_fake", "g_fake_accuracy")})
        return rounds

    whole, first, second = (Rounds(make(code)) for _ in range(3))
    second.load_state_dict(through_file(train(first, updates).state_dict()))
    assert repr(second.state_dict()) == repr(first.state_dict())
    assert repr(train(second, 60).state_dict()) == repr(train(whole, 60).state_dict())


def test_the_scores_keep_their_positions_and_may_be_anything_that_is_a_number() -> None:
    seen: list[Any] = []
    rounds = Rounds(FixedController(3, output_transform=seen.append))
    buffer = torch.zeros((), requires_grad=True)
    values: list[Any] = [1.0, np.float32(2.0), 3]
    for value in values:
        with torch.no_grad():
            buffer.fill_(float(value))
        rounds.critic(d_real=value, d_fake=buffer, num_samples=8, **({"d_loss": 0.5} if value == 1.0 else {}))
    rounds.generator(g_fake=torch.tensor(4.0), num_samples=1)
    (entries,) = seen
    assert entries["d_real"] == [1.0, 2.0, 3.0]
    assert [float(score) for score in entries["d_fake"]] == [1.0, 2.0, 3.0], "the loop's buffer was written again"
    assert not any(score.requires_grad for score in entries["d_fake"]), "a graph would be kept until the round ends"
    assert (entries["d_loss"], float(entries["g_fake"]), entries["num_samples"]) == ([0.5], 4.0, 25)
    assert "g_loss" not in entries


def test_nothing_needs_to_be_reported_to_an_open_loop() -> None:
    rounds = Rounds(StepDecayController(milestones={0: 2, 2: 1}))
    ran = ""
    for _ in range(6):
        ran += "d"
        if rounds.critic():
            ran += "g"
            rounds.generator()
    assert ran == "ddgddgdgdg"


class TestTheLoop:
    def test_a_ratio_below_1_lets_the_critic_rest(self) -> None:
        toy = Toy()
        rounds = Rounds(WassersteinGapController(initial=0.5, limits=(0, 1), warmup=1000))
        for real in toy.loader(20):
            if rounds.critic_due:
                d_real, d_fake, d_loss = toy.critic_update(real)
                rounds.critic(d_real=d_real, d_fake=d_fake, d_loss=d_loss)
            if rounds.generator_due:
                g_loss, g_fake = toy.generator_update()
                rounds.generator(g_loss=g_loss, g_fake=g_fake)
        assert toy.updates.before_each_generator_update == [1, 0] * 10 or toy.updates.critic == 10
        assert_counts_are_true(rounds, toy.updates)

    def test_a_loop_that_begins_with_the_generator(self) -> None:
        """The leading update belongs to no round; each later one is paired with the critic updates before it."""
        seen: list[Any] = []
        rounds = Rounds(StepDecayController(milestones={0: 3, 1: 2}, output_transform=seen.append))
        for i in range(4):
            rounds.generator(g_fake=float(i))
            while rounds.critic_due:
                rounds.critic(d_fake=10.0 * i)
        assert seen == [
            {"d_fake": [0.0, 0.0, 0.0], "g_fake": 1.0},
            {"d_fake": [10.0, 10.0], "g_fake": 2.0},
            {"d_fake": [20.0, 20.0], "g_fake": 3.0},
        ]
        assert (rounds.generator_updates, rounds.controller.generator_updates) == (4, 3)
        assert (rounds.critic_updates, rounds.controller.critic_updates) == (9, 7)

    def test_a_loop_that_makes_too_few_or_too_many_is_told_what_to_change(self) -> None:
        rounds = Rounds(FixedController(2))
        rounds.critic()
        with pytest.raises(
            RuntimeError, match=r"1 of the round's 2 critic updates reported. Make .*an AttributeActuator"
        ):
            rounds.generator()
        rounds.critic()
        with pytest.raises(RuntimeError, match=r"critic update 3 of a round of 2. The generator is due: .*critic_due"):
            rounds.critic()
        rounds.generator()
        assert (rounds.critic_updates, rounds.generator_updates) == (2, 1)

    def test_a_loop_that_forgets_the_critic_is_told(self) -> None:
        rounds = Rounds(FixedController(2))
        rounds.generator()
        with pytest.raises(RuntimeError, match="0 of the round's 2 critic updates reported"):
            rounds.generator()

    def test_the_modulo_that_people_write_is_refused(self) -> None:
        """With a number that changes, ``i % n == 0`` gives most rounds another one."""
        rounds = Rounds(StepDecayController(milestones={0: 5, 2: 3}))

        def train() -> None:
            for i in range(100):
                rounds.critic()
                if i % rounds.steps == 0:
                    rounds.generator()

        with pytest.raises(RuntimeError, match="if rounds.generator_due"):
            train()

    @pytest.mark.parametrize("update", ["critic", "generator"])
    def test_a_loop_that_asks_and_never_reports_is_told_once(
        self, update: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        rounds = Rounds(FixedController(1))
        for _ in range(3):
            if update == "generator":
                rounds.critic()
            for _ in range(1000):
                assert (rounds.critic_due, rounds.generator_due) == (update == "critic", update == "generator")
            if update == "critic":
                rounds.critic()
            rounds.generator()
        (message,) = [record.getMessage() for record in caplog.records]
        assert message.startswith(f"the {update}'s update has been due for 200 questions in a row")
        assert message.endswith(f"call rounds.{update}(...) after each {update} update")

    def test_questions_between_reports_are_no_fault(self, caplog: pytest.LogCaptureFixture) -> None:
        rounds = Rounds(FixedController(2))
        for _ in range(60):  # 32 micro-batches for each optimizer step, and two questions for each of them
            for _ in range(32):
                due = rounds.critic_due, rounds.generator_due
            assert due == (True, False)
            if rounds.critic():
                rounds.generator()
        assert not caplog.records

    @pytest.mark.parametrize("per_iteration", [1, 3])
    def test_inside_an_engine_whose_iteration_is_a_batch(self, per_iteration: int) -> None:
        """An Engine that counted its iterations stopped after a fifth of the budget."""
        toy, rounds = Toy(), Rounds(FixedController(5))
        budget = StopAtBudget(critic_updates=500)
        budget.attach(rounds.engine)

        def step(engine: Engine, real: torch.Tensor) -> None:
            for _ in range(per_iteration):
                d_real, d_fake, d_loss = toy.critic_update(real)
                if rounds.critic(d_real=d_real, d_fake=d_fake, d_loss=d_loss):
                    g_loss, g_fake = toy.generator_update()
                    rounds.generator(g_loss=g_loss, g_fake=g_fake)
                if rounds.should_stop:
                    engine.terminate()
                    return

        Engine(step).run(toy.loader(1000), epoch_length=1000)
        assert (toy.updates.critic, toy.updates.generator) == (500, 100)
        assert budget.spent[:2] == (500, 100)
        assert_counts_are_true(rounds, toy.updates)


class TestHandlers:
    def test_what_attaches_to_a_trainer_attaches_here(self) -> None:
        rounds = Rounds(StepDecayController(milestones={0: 3, 4: 1}))
        history = ControllerHistory()
        history.attach(rounds.engine)
        RunningAverage(output_transform=lambda entries: entries["d_loss"][-1], alpha=0.5).attach(rounds.engine, "loss")
        fired: list[str] = []
        for event in (Events.STARTED, Events.ITERATION_STARTED, Events.ITERATION_COMPLETED, Events.COMPLETED):
            rounds.engine.add_event_handler(event, fired.append, event.name)
        for sample in SAMPLES[:6]:
            report(rounds, sample)
        assert [(point.first, point.critic_updates) for point in history.points] == [
            *((first, 3) for first in range(1, 5)),
            *((first, 1) for first in range(5, 7)),
        ]
        assert fired == ["STARTED", *["ITERATION_STARTED", "ITERATION_COMPLETED"] * 6]
        losses = [sample.d_loss for sample in SAMPLES[:6]]
        average = losses[0]
        for loss in losses[1:]:
            average = 0.5 * average + 0.5 * loss
        assert state_of(rounds.engine).metrics["loss"] == pytest.approx(average)
        assert state_of(rounds.engine).critic_updates == rounds.critic_updates == 14

    def test_a_guard_ends_the_training(self) -> None:
        rounds = Rounds(FixedController(1, on_divergence="terminate"))
        fired: list[Any] = []
        for event in (Events.TERMINATE, Events.COMPLETED):
            rounds.engine.add_event_handler(event, fired.append, event)
        for _ in range(100):
            rounds.critic(d_loss=math.nan)
            rounds.generator(g_loss=1.0)
            if rounds.should_stop:
                break
        assert rounds.generator_updates == 10, "the guard looks every 10 iterations"
        assert fired == [Events.TERMINATE, Events.COMPLETED]
        assert state_of(rounds.engine).divergence["reason"] == "d_loss not finite"
        with pytest.raises(
            RuntimeError, match=r"rounds.critic\(\): the training was ended after 10 rounds.*should_stop"
        ):
            rounds.critic()
        with pytest.raises(RuntimeError, match=r"rounds.generator\(\): the training was ended"):
            rounds.generator()

    def test_a_guard_holds_the_number_and_rolls_back(self) -> None:
        toy = Toy()
        guard = DivergenceGuard(
            "rollback",
            to_restore={"generator": toy.generator, "critic": toy.critic},
            check_every=2,
            patience=1,
            snapshot_every=2,
            override_iterations=3,
        )
        rounds = Rounds(FixedController(3, limits=(1, 3), on_divergence=guard))
        ran = []
        for i in range(20):
            ran.append(rounds.steps)
            while rounds.critic_due:
                d_real, d_fake, d_loss = toy.critic_update(next(toy.loader(1)))
                rounds.critic(d_real=d_real, d_fake=d_fake, d_loss=d_loss)
            if i == 11:
                with torch.no_grad():
                    next(toy.critic.parameters()).fill_(math.nan)
            g_loss, g_fake = toy.generator_update()
            rounds.generator(g_loss=g_loss, g_fake=g_fake)
        assert guard.interventions == 1
        assert ran == [3] * 12 + [1] * 3 + [3] * 5
        assert all(value.isfinite().all() for value in toy.critic.parameters())

    @pytest.mark.parametrize("n", [1, 3])
    def test_the_guard_measures_the_updates_of_these_rounds(self, n: int) -> None:
        """The first critic update of a round is made before the round is reported."""
        toy = Toy()
        guard = DivergenceGuard("rollback", to_restore={"optimizer_d": toy.optimizer_d}, check_every=1, patience=1)
        rounds = Rounds(FixedController(n, on_divergence=guard))
        for i in range(30):
            toy.optimizer_d.param_groups[0]["lr"] = 0.02 if i < 25 else 200.0
            while rounds.critic_due:
                d_real, d_fake, _ = toy.critic_update(next(toy.loader(1)))
                rounds.critic(d_real=d_real * 0.0, d_fake=d_fake * 0.0)
            rounds.generator(g_fake=0.0)
            if rounds.should_stop:
                break
        assert "optimizer_d" in guard.history[-1]["reason"]

    def test_a_checkpoint_at_the_end_of_a_round_resumes(self) -> None:
        """Attached to rounds.engine, it saves what rounds was after the round, whatever the controller has seen."""
        rounds, saved = Rounds(WassersteinGapController(warmup=2, gain=0.2)), []
        save = Checkpoint(
            {"rounds": rounds}, lambda checkpoint, *_: saved.append(copy.deepcopy(checkpoint)), n_saved=None
        )
        rounds.engine.add_event_handler(Events.ITERATION_COMPLETED(every=7), save)
        for sample in SAMPLES[:30]:
            report(rounds, sample)
        resumed = Rounds(WassersteinGapController(warmup=2, gain=0.2))
        resumed.load_state_dict(saved[1])
        assert resumed.generator_updates == resumed.engine.state.iteration == 14
        for sample in SAMPLES[14:30]:
            report(resumed, sample)
        assert resumed.state_dict() == rounds.state_dict()

    def test_a_budget_that_is_used_up_already_ends_a_resumed_training_at_once(self) -> None:
        spent, rounds = StopAtBudget(critic_updates=3), Rounds(FixedController(3))
        spent.attach(rounds.engine)
        report(rounds, SAMPLES[0])
        assert rounds.should_stop
        again, resumed = StopAtBudget(critic_updates=3), Rounds(FixedController(3))
        again.attach(resumed.engine)
        again.load_state_dict(spent.state_dict())
        resumed.load_state_dict(rounds.state_dict())
        resumed.critic()
        assert resumed.should_stop
        assert resumed.critic_updates == 4, "it was made"
        assert state_of(resumed.engine).critic_updates == 3

    def test_a_training_that_ends_as_it_starts_has_no_round(self) -> None:
        """Resumed where the generator is due, by a handler that ends it: its update was made, nothing is decided."""
        rounds, resumed = Rounds(FixedController(1)), Rounds(FixedController(1))
        rounds.critic()
        resumed.load_state_dict(rounds.state_dict())
        fired: list[Any] = []
        for event in (Events.ITERATION_STARTED, Events.TERMINATE, Events.COMPLETED):
            resumed.engine.add_event_handler(event, fired.append, event)
        resumed.engine.add_event_handler(Events.STARTED, resumed.engine.terminate, skip_completed=True)
        resumed.generator()
        assert fired == [Events.TERMINATE]
        assert (resumed.generator_updates, resumed.controller.generator_updates) == (1, 0)
        assert resumed.should_stop

    def test_a_controller_of_the_rate_multiplies_it_in_these_rounds(self) -> None:
        toy = Toy()
        controller = CriticEffortController(toy.optimizer_d, warmup=1, gain=0.3, limits=(1, 4), setpoint=0.005)
        rounds, expected = Rounds(controller), []
        used: list[float] = []
        toy.optimizer_d.register_step_pre_hook(lambda optimizer, *_: used.append(optimizer.param_groups[0]["lr"]))
        for real in toy.loader(60):
            if rounds.critic_due:
                expected.append(0.02 * controller.rate)
                d_real, d_fake, _ = toy.critic_update(real)
                rounds.critic(d_real=d_real, d_fake=d_fake)
            if rounds.generator_due:
                rounds.generator(g_fake=toy.generator_update()[1])
        assert used == pytest.approx(expected)
        assert len(set(used)) > 3
        assert toy.optimizer_d.param_groups[0]["lr"] == 0.02
        assert_counts_are_true(rounds, toy.updates)

    def test_an_override_between_two_rounds_is_for_the_next(self) -> None:
        rounds = Rounds(FixedController(2))
        report(rounds, SAMPLES[0])
        rounds.controller.override(1, 4)
        assert [report(rounds, sample) for sample in SAMPLES[1:3]] == [4, 2]
        rounds.critic()
        rounds.controller.override(1, 5)
        assert rounds.steps == 2, "a round keeps the number that it was begun with"
        rounds.critic()
        rounds.generator()
        assert [report(rounds, sample) for sample in SAMPLES[3:5]] == [5, 2]


class TestErrors:
    def test_of_the_constructor(self) -> None:
        with pytest.raises(TypeError, match="controller=3: expected a controller, got int"):
            Rounds(3)  # type: ignore[arg-type]  # what is tested
        controller = FixedController(2)
        Rounds(controller)
        with pytest.raises(RuntimeError, match="attached already"):
            Rounds(controller)

    @pytest.mark.parametrize(
        ("value", "complaint"),
        [
            (torch.zeros(64), r"d_loss=: expected a 0-d tensor or a float, got a tensor of shape \(64,\).*its mean"),
            (torch.zeros((), dtype=torch.complex64), r"d_loss=: expected a 0-d tensor"),
            ([1.0], r"d_loss=\[1.0\]: expected a 0-d tensor or a float, got list"),
            (True, "d_loss=True: expected a 0-d tensor or a float, got bool"),
        ],
    )
    def test_of_values_that_are_no_scalars(self, value: Any, complaint: str) -> None:
        """A loss per sample once had its last sample taken for the last update."""
        rounds = Rounds(LossRatioPIDController("hinge"))
        with pytest.raises(StepOutputError, match=complaint):
            rounds.critic(d_loss=value)
        assert (rounds.critic_updates, rounds.state_dict()["round"]["critic_updates"]) == (0, 0)
        rounds = Rounds(FixedController(1))
        with pytest.raises(StepOutputError, match=complaint.replace("d_loss", "g_loss")):
            rounds.generator(g_loss=value)

    def test_of_values_with_gaps(self) -> None:
        rounds = Rounds(FixedController(3))
        rounds.critic(d_loss=1.0)
        rounds.critic()
        with pytest.raises(
            StepOutputError, match="d_loss=: critic update 2 of this round had no 'd_loss' and this one"
        ):
            rounds.critic(d_loss=1.0)
        with pytest.raises(TypeError, match="d_rael"):
            rounds.critic(d_rael=1.0)  # type: ignore[call-arg]  # what is tested
        with pytest.raises(ValueError, match="num_samples=-1"):
            rounds.critic(num_samples=-1)

    def test_what_the_controller_needs_and_does_not_get(self) -> None:
        rounds = Rounds(WassersteinGapController(initial=1, limits=(1, 5)))
        rounds.critic(d_real=1.0)
        with pytest.raises(StepOutputError, match="no 'd_fake'; it has"):
            rounds.generator(g_fake=0.0)

    def test_an_engine_that_is_no_loop(self) -> None:
        rounds = Rounds(FixedController(1))
        with pytest.raises(RuntimeError, match="rounds.engine can't be run"):
            rounds.engine.run([0])
        with pytest.raises(RuntimeError, match="has no epoch that rounds.engine could end"):
            rounds.engine.terminate_epoch()

    @pytest.mark.parametrize(
        ("change", "complaint"),
        [
            ({"handler": "StopAtBudget"}, "a state of 'StopAtBudget'"),
            ({"version": 2}, "format version 2"),
            ({"iteration": -1}, r"state\['iteration'\]=-1"),
            ({"critic_updates": 1.5}, r"state\['critic_updates'\]=1.5"),
            (
                {"round": {"critic_updates": 1, "num_samples": 0, "entries": {"d_rael": [1.0]}}},
                "'d_rael': expected some",
            ),
            ({"round": {"critic_updates": 0, "num_samples": 0, "entries": {"d_real": [1.0]}}}, "at most 0 numbers"),
            (
                {"round": {"critic_updates": 1, "num_samples": 0, "entries": {"d_real": ["x"]}}},
                "d_real='x': expected a",
            ),
            ({"round": {"critic_updates": 1, "num_samples": 0}}, "no 'entries'"),
            ({"controller": {}}, "no 'handler'"),
        ],
    )
    def test_a_state_that_is_none_changes_nothing(self, change: dict[str, Any], complaint: str) -> None:
        rounds, other = Rounds(FixedController(3)), Rounds(FixedController(3))
        rounds.critic(d_real=1.0)
        before = other.state_dict()
        with pytest.raises(StateError, match=complaint):
            other.load_state_dict({**rounds.state_dict(), **change})
        assert other.state_dict() == before

    def test_a_load_after_the_first_update(self) -> None:
        rounds = Rounds(FixedController(3))
        state = rounds.state_dict()
        rounds.critic()
        with pytest.raises(RuntimeError, match="updates were reported already"):
            rounds.load_state_dict(state)


def test_a_guard_that_ends_epochs_is_refused_before_the_run() -> None:
    with pytest.raises(ValueError, match="'terminate_epoch': a loop of your own has no epoch"):
        Rounds(FixedController(2, on_divergence="terminate_epoch"))
