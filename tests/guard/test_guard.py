"""DivergenceGuard on real engines: what it finds and what it does."""

from __future__ import annotations

import dataclasses
import inspect
import logging
import math
import operator
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint

import adaptive_critic
from adaptive_critic.controller import Controller
from adaptive_critic.events import CriticEvents
from adaptive_critic.guard import DivergenceGuard, DivergenceRules
from adaptive_critic.guard.divergence import RuleNumbers
from adaptive_critic.handlers import FixedController, StepDecayController, WassersteinGapController
from tests.guard.engines import broken, exploded, healthy, needs_max_iters, published, record_steps, trainer_of


def attached(guard: DivergenceGuard, trainer: Engine) -> DivergenceGuard:
    guard.attach(trainer)
    return guard


# --- finding ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["hold", "terminate_epoch", "terminate"])
def test_a_healthy_run_is_left_alone(mode: str) -> None:
    trainer = trainer_of(healthy)
    FixedController(3).attach(trainer)
    guard = attached(DivergenceGuard(mode), trainer)
    steps = record_steps(trainer)
    assert published(trainer).divergence is None
    trainer.run(range(100), max_epochs=5)
    assert trainer.state.iteration == 500
    assert steps == [3] * 500
    assert (guard.interventions, guard.history) == (0, [])
    assert (published(trainer).divergence, published(trainer).guard_interventions) == (None, 0)


def test_the_record_is_there_when_the_event_fires_and_before_anything_is_done(caplog: pytest.LogCaptureFixture) -> None:
    trainer = trainer_of(lambda i: broken(i, 3) if i >= 15 else healthy(i, 3))
    controller = FixedController(3, limits=(2, 4))
    controller.attach(trainer)
    guard = attached(DivergenceGuard("terminate_epoch", check_every=10), trainer)
    fired: list[tuple[int, Any, int]] = []

    @trainer.on(CriticEvents.DIVERGED)
    def keep(engine: Engine) -> None:
        fired.append((engine.state.iteration, published(engine).divergence, published(engine).num_discriminator_steps))

    with caplog.at_level(logging.INFO, logger="adaptive_critic"):
        trainer.run(range(25))
    expected = {
        "iteration": 20,
        "rule": "non_finite",
        "reason": "g_loss not finite",
        "values": {},
        "action": "terminate_epoch",
        "interventions": 1,
    }
    assert fired == [(20, expected, 3)]
    assert guard.history == [expected]
    assert published(trainer).num_discriminator_steps == 2
    assert [record.getMessage() for record in caplog.records if record.name == "adaptive_critic"] == [
        "iteration 20: terminate_epoch: g_loss not finite",
        "FixedController: 20 iterations, mean n 3",
    ]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("key", ["d_real", "d_fake", "d_loss", "g_loss", "g_fake", "d_real_std", "d_fake_std"])
@pytest.mark.parametrize("kind", ["tensors", "floats", "sequences"])
def test_every_watched_entry_is_looked_at(key: str, bad: float, kind: str) -> None:
    def step(iteration: int) -> dict[str, Any]:
        output = healthy(iteration) | {"d_real_std": torch.ones(2), "d_fake_std": torch.ones(2)}
        if iteration == 3:
            value = output[key].clone()
            value[... if value.ndim == 0 else -1] = bad
            output[key] = value
        if kind == "floats":
            return {name: value.tolist() for name, value in output.items()}
        if kind == "sequences":
            return {name: tuple(value.unbind()) if value.ndim else value for name, value in output.items()}
        return output

    trainer = trainer_of(step)
    attached(DivergenceGuard("terminate", check_every=5), trainer)
    assert trainer.run(range(100)).iteration == 5
    assert published(trainer).divergence["reason"] == f"{key} not finite"


@pytest.mark.parametrize("update", [0, 1, 2])
def test_the_loss_of_every_critic_update_is_looked_at(update: int) -> None:
    losses = torch.ones(3)
    losses[update] = math.nan
    trainer = trainer_of(lambda i: healthy(i, 3) | {"d_loss": losses})
    attached(DivergenceGuard("terminate", check_every=2), trainer)
    assert trainer.run(range(100)).iteration == 2


def test_a_step_may_reuse_its_buffers() -> None:
    loss, scores = torch.zeros(()), torch.zeros(2)

    def step(iteration: int) -> dict[str, Any]:
        loss.fill_(math.nan if iteration == 3 else 1.0)
        scores.fill_(float(iteration))
        return {"g_loss": loss, "d_real": scores, "d_fake": scores, "d_loss": [loss, loss]}

    trainer = trainer_of(step)
    attached(DivergenceGuard("terminate", check_every=10), trainer)
    assert trainer.run(range(100)).iteration == 10


def test_outputs_with_a_graph_are_not_kept_alive() -> None:
    weight = torch.ones((), requires_grad=True)
    trainer = trainer_of(lambda i: {"g_loss": weight * 2, "d_loss": [weight * 3, weight * 4]})
    guard = attached(DivergenceGuard(), trainer)
    trainer.run(range(3))
    assert guard.state_dict()["window"]["rows"] == [[2.0, 3.0, 4.0]] * 3
    rows = guard._window._rows
    assert [isinstance(row, torch.Tensor) and row.grad_fn is None for row in rows] == [True] * 3


def test_n_changes_and_n_0_within_a_window() -> None:
    def step(iteration: int) -> dict[str, Any]:
        steps = (2, 2, 0, 5)[iteration % 4]
        output = healthy(iteration, steps)
        return output if steps or iteration % 8 else {"g_loss": output["g_loss"]}

    trainer = trainer_of(step)
    guard = attached(DivergenceGuard("terminate"), trainer)
    assert trainer.run(range(400)).iteration == 400
    assert guard.history == []
    level = guard.state_dict()["rules"]["history"]["gap"][-1]
    assert 1.9 <= level <= 2.1


def test_an_explosion_is_found_after_patience_checks() -> None:
    trainer = trainer_of(lambda i: exploded(i) if i > 200 else healthy(i))
    attached(DivergenceGuard("terminate", check_every=5, patience=4), trainer)
    assert trainer.run(range(1000)).iteration == 220
    assert published(trainer).divergence["rule"] == "explosion"
    assert "gap" in published(trainer).divergence["values"]


def test_scalars_as_outputs_of_a_step_that_is_not_per_update() -> None:
    trainer = trainer_of(lambda i: {"d_loss": 1e6 if i > 200 else 1.0, "g_loss": 0.5})
    attached(DivergenceGuard("terminate"), trainer)
    assert trainer.run(range(1000)).iteration == 230


def test_output_transform() -> None:
    trainer = trainer_of(lambda i: (1.0, math.nan))
    attached(DivergenceGuard("terminate", output_transform=lambda out: {"d_loss": out[0], "g_loss": out[1]}), trainer)
    assert trainer.run(range(100)).iteration == 10


@pytest.mark.parametrize("on_collapse", ["report", "act", "ignore"])
def test_collapse_is_reported_unless_it_is_to_be_acted_on(on_collapse: str) -> None:
    def step(iteration: int) -> dict[str, Any]:
        output = healthy(iteration)
        return output if iteration <= 100 else output | {"d_real": output["d_fake"] + (-1.0) ** iteration}

    trainer = trainer_of(step)
    guard = attached(DivergenceGuard("terminate", on_collapse=on_collapse), trainer)
    fired: list[int] = []
    trainer.on(CriticEvents.DIVERGED)(lambda engine: fired.append(engine.state.iteration))
    trainer.run(range(500))
    found = [(record["iteration"], record["rule"], record["action"]) for record in guard.history]
    if on_collapse == "act":
        assert (trainer.state.iteration, found, fired) == (130, [(130, "collapse", "terminate")], [130])
        assert published(trainer).divergence == guard.history[0]
    else:
        assert (trainer.state.iteration, fired, published(trainer).divergence) == (500, [], None)
        assert found == ([(130, "collapse", "report")] if on_collapse == "report" else [])


@pytest.mark.parametrize("on_spike", ["report", "act", "ignore"])
def test_a_spike_is_reported_unless_it_is_to_be_acted_on(on_spike: str) -> None:
    def step(iteration: int) -> dict[str, Any]:
        output = healthy(iteration)
        return output | {"d_real": output["d_real"] * 1e6} if iteration in (105, 125, 405) else output

    trainer = trainer_of(step)
    guard = attached(DivergenceGuard("terminate", on_spike=on_spike), trainer)
    trainer.run(range(500))
    found = [(record["iteration"], record["rule"], record["action"]) for record in guard.history]
    if on_spike == "act":
        assert (trainer.state.iteration, found) == (110, [(110, "spike", "terminate")])
        assert published(trainer).divergence == guard.history[0]
    else:
        assert (trainer.state.iteration, published(trainer).divergence) == (500, None)
        # At most once in a cooldown.
        reported = [(110, "spike", "report"), (410, "spike", "report")]
        assert found == (reported if on_spike == "report" else [])
        trainer.run(range(500), max_epochs=2)
        assert published(trainer).divergence is None  # nor when it goes on


@pytest.mark.parametrize(("on_spike", "trusted"), [("report", None), ("ignore", 10)])
def test_a_state_before_a_spike_is_trusted_if_spikes_are_ignored(on_spike: str, trusted: int | None) -> None:
    def step(iteration: int) -> dict[str, Any]:
        output = healthy(iteration)
        return output | {"d_real": output["d_real"] * 1e6} if iteration == 65 else output

    model, trainer = torch.nn.Linear(1, 1), trainer_of(step)
    guard = DivergenceGuard("rollback", to_restore={"model": model}, patience=6, on_spike=on_spike)
    attached(guard, trainer)
    trainer.run(range(70))
    assert guard.snapshots is not None
    promoted = guard.snapshots.state.promoted
    assert (None if promoted is None else promoted.iteration) == trusted


def test_a_collapse_during_the_cooldown_is_acted_on_afterwards() -> None:
    def step(iteration: int) -> dict[str, Any]:
        if iteration == 95:
            return broken(iteration)
        output = healthy(iteration)
        return output if iteration <= 100 else output | {"d_real": output["d_fake"] + (-1.0) ** iteration}

    trainer = trainer_of(step)
    guard = attached(DivergenceGuard(lambda engine, record: None, on_collapse="act", cooldown=60), trainer)
    trainer.run(range(300))
    assert [(r["iteration"], r["rule"]) for r in guard.history] == [(100, "non_finite"), (190, "collapse")]


# --- acting -------------------------------------------------------------------------------------------------------


def test_hold_freezes_n_for_the_cooldown() -> None:
    trainer = trainer_of(lambda i: broken(i) if i == 15 else healthy(i))
    StepDecayController(milestones={0: 5, 22: 3}).attach(trainer)
    guard = attached(DivergenceGuard("hold", cooldown=10), trainer)
    steps = record_steps(trainer)
    trainer.run(range(50))
    assert steps == [5] * 30 + [3] * 20
    assert [record["action"] for record in guard.history] == ["hold"]


def test_hold_without_a_controller_reports() -> None:
    trainer = trainer_of(lambda i: broken(i) if i == 15 else healthy(i))
    guard = attached(DivergenceGuard("hold"), trainer)
    trainer.run(range(50))
    (record,) = guard.history
    assert record["action"] == "report"
    assert record["reason"] == "g_loss not finite; there is no controller to ask, so nothing is held"
    assert guard.interventions == published(trainer).guard_interventions == 0


def test_hold_stops_holding_after_max_interventions_and_reports_once_in_a_cooldown() -> None:
    trainer = trainer_of(broken)
    FixedController(2).attach(trainer)
    guard = attached(DivergenceGuard("hold", cooldown=20, max_interventions=2), trainer)
    trainer.run(range(200))
    assert [(r["iteration"], r["action"], r["interventions"]) for r in guard.history][:4] == [
        (10, "hold", 1),
        (20, "hold", 2),
        (50, "report", 2),
        (80, "report", 2),
    ]
    assert trainer.state.iteration == 200


def test_terminate_ends_the_run_as_terminate_on_nan_does() -> None:
    trainer = trainer_of(lambda i: broken(i) if i >= 15 else healthy(i))
    attached(DivergenceGuard("terminate"), trainer)
    ended: list[str] = []
    for event in (Events.TERMINATE, Events.COMPLETED, Events.EPOCH_COMPLETED):
        trainer.add_event_handler(event, lambda _, name=event.name: ended.append(name))
    assert trainer.run(range(100), max_epochs=3).iteration == 20
    assert ended == ["TERMINATE", "COMPLETED"]


@needs_max_iters
def test_terminate_epoch_acts_once_per_divergence_and_costs_no_iterations() -> None:
    trainer = trainer_of(lambda i: broken(i) if i in (15, 16, 105) else healthy(i))
    StepDecayController(milestones={0: 5, 200: 3}, limits=(2, 6)).attach(trainer)
    guard = attached(DivergenceGuard("terminate_epoch", cooldown=40, override_iterations=30), trainer)
    steps, epochs, ended = record_steps(trainer), [], []
    trainer.add_event_handler(
        Events.EPOCH_COMPLETED, lambda engine: epochs.append((engine.state.epoch, engine.state.iteration))
    )

    @trainer.on(Events.TERMINATE_SINGLE_EPOCH)
    def at_end(engine: Engine, iter_counter: int) -> None:
        ended.append((engine.state.iteration, iter_counter))

    trainer.run(range(50), max_iters=300)
    assert [(r["iteration"], r["action"]) for r in guard.history] == [(20, "terminate_epoch"), (110, "terminate_epoch")]
    assert ended == [(20, 20), (110, 40)]
    assert epochs == [(2, 70), (4, 160), (5, 210), (6, 260)]
    assert trainer.state.iteration == 300
    assert steps == [5] * 20 + [2] * 30 + [5] * 60 + [2] * 30 + [5] * 60 + [3] * 100


@needs_max_iters
def test_terminate_epoch_gives_up_after_max_interventions() -> None:
    trainer = trainer_of(lambda i: broken(i) if i > 50 else healthy(i))
    guard = attached(DivergenceGuard("terminate_epoch", cooldown=20, max_interventions=2), trainer)
    trainer.run(range(100), max_iters=1000)
    assert [(r["iteration"], r["action"]) for r in guard.history] == [
        (60, "terminate_epoch"),
        (70, "terminate_epoch"),
        (80, "terminate"),
    ]
    assert guard.history[-1]["reason"] == "g_loss not finite; 2 of 2 interventions were made, so the run is terminated"
    assert trainer.state.iteration == 80


@pytest.mark.parametrize(("spoilt", "found"), [(broken, [20, 40, 110]), (exploded, [160])])
def test_the_cooldown_is_for_levels_not_for_what_is_not_finite(spoilt: Any, found: list[int]) -> None:
    """Values that are not finite count at once; an explosion of 30 iterations in the cooldown does not."""
    bad = {15, 35, 105} if spoilt is broken else set(range(131, 161)) | set(range(171, 201))
    trainer = trainer_of(lambda i: spoilt(i) if i in bad else healthy(i))
    guard = attached(DivergenceGuard(lambda engine, record: None, cooldown=60), trainer)
    trainer.run(range(220))
    assert [record["iteration"] for record in guard.history] == found


def test_epoch_checkpoints_do_not_save_the_diverged_model() -> None:
    weight = torch.nn.Linear(1, 1, bias=False)
    saved: list[float] = []

    def step(engine: Engine, batch: Any) -> dict[str, Any]:
        diverged = engine.state.iteration == 25
        torch.nn.init.constant_(weight.weight, math.nan if diverged else 1.0)
        return broken(0) if diverged else healthy(0)

    trainer = Engine(step)
    attached(DivergenceGuard("terminate_epoch", check_every=5), trainer)

    def save(checkpoint: Any, *_: Any) -> None:
        saved.append(float(checkpoint["weight"]))

    trainer.add_event_handler(Events.EPOCH_COMPLETED, Checkpoint({"model": weight}, save))
    trainer.run(range(20), max_epochs=3)
    assert saved == [1.0, 1.0]  # of epochs 1 and 3


def test_a_function_is_called_until_max_interventions() -> None:
    calls: list[tuple[Engine, Any]] = []
    trainer = trainer_of(broken)
    guard = attached(
        DivergenceGuard(lambda *arguments: calls.append(arguments), cooldown=10, max_interventions=2), trainer
    )
    trainer.run(range(100))
    assert [(engine, record["iteration"], record["action"]) for engine, record in calls] == [
        (trainer, 10, "call"),
        (trainer, 20, "call"),
    ]
    assert guard.history[2]["reason"] == "g_loss not finite; 2 of 2 interventions were made, so nothing is done"


def test_a_function_leaves_n_to_the_controller() -> None:
    trainer = trainer_of(lambda i: broken(i) if i == 15 else healthy(i))
    StepDecayController(milestones={0: 5, 22: 3}).attach(trainer)
    guard = attached(DivergenceGuard(lambda engine, record: None), trainer)
    steps = record_steps(trainer)
    trainer.run(range(50))
    assert guard.interventions == 1
    assert steps == [5] * 22 + [3] * 28


def test_a_function_can_end_the_run() -> None:
    trainer = trainer_of(broken)
    attached(DivergenceGuard(lambda engine, record: engine.terminate()), trainer)
    assert trainer.run(range(100)).iteration == 10


def test_history_is_bounded() -> None:
    trainer = trainer_of(broken)
    guard = attached(DivergenceGuard("hold", check_every=1, cooldown=1), trainer)
    trainer.run(range(300))
    assert len(guard.history) == 100
    assert guard.history[-1]["iteration"] == 299


def test_the_guard_attached_before_the_controller_keeps_the_running_iteration() -> None:
    trainer = trainer_of(lambda i: broken(i) if i == 15 else healthy(i))
    guard = attached(DivergenceGuard("terminate_epoch", override_iterations=10), trainer)
    controller = FixedController(5, limits=(2, 6))
    controller.attach(trainer)
    steps = record_steps(trainer)
    trainer.run(range(20), max_epochs=2)
    assert guard.interventions == 1
    assert steps == [5] * 20 + [2] * 10 + [5] * 10
    assert controller.critic_updates == sum(steps)


# --- cost ---------------------------------------------------------------------------------------------------------


def test_one_read_per_check_and_none_between(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []
    for name in ("tolist", "item", "cpu", "numpy", "__bool__", "__float__", "__int__"):
        original = getattr(torch.Tensor, name)

        def counted(tensor: torch.Tensor, *args: Any, name: str = name, original: Any = original, **kwargs: Any) -> Any:
            reads.append(name)
            return original(tensor, *args, **kwargs)

        monkeypatch.setattr(torch.Tensor, name, counted)
    outputs = [healthy(i) for i in range(101)]
    trainer = trainer_of(lambda i: outputs[i])
    attached(DivergenceGuard("terminate", check_every=20), trainer)
    trainer.run(range(99))
    assert reads == ["tolist"] * 4


# --- life cycle ---------------------------------------------------------------------------------------------------


def test_attach_twice_and_detach_twice() -> None:
    trainer = trainer_of(broken)
    guard = attached(DivergenceGuard("terminate"), trainer)
    with pytest.raises(RuntimeError, match=r"DivergenceGuard\('terminate'\) is attached already"):
        guard.attach(trainer)
    guard.detach()
    assert trainer.run(range(30)).iteration == 30
    with pytest.raises(RuntimeError, match="is not attached"):
        guard.detach()
    guard.attach(trainer)
    assert trainer.run(range(30)).iteration == 10


def test_attach_expects_an_engine() -> None:
    with pytest.raises(TypeError, match=r"expects an ignite\.engine\.Engine, got str"):
        DivergenceGuard().attach("trainer")  # type: ignore[arg-type]  # that is the test


def test_a_fresh_run_starts_from_nothing() -> None:
    trainer = trainer_of(lambda i: broken(i) if i == 5 else healthy(i))
    guard = attached(DivergenceGuard(lambda engine, record: None), trainer)
    for _ in range(2):
        trainer.run(range(25))
        assert [record["iteration"] for record in guard.history] == [10]
        assert guard.interventions == 1
    guard.reset()
    assert (guard.history, guard.interventions, published(trainer).divergence) == ([], 0, None)
    assert guard.state_dict() == DivergenceGuard().state_dict()


def test_a_fresh_run_after_a_reset_in_a_run_starts_from_nothing() -> None:
    trainer = trainer_of(healthy)
    guard = attached(DivergenceGuard(), trainer)
    trainer.add_event_handler(Events.ITERATION_STARTED(once=3), guard.reset)
    trainer.run(range(6))
    assert len(guard._window) == 4
    trainer.run(range(2))
    assert len(guard._window) == 2


def test_a_terminated_run_goes_on_with_what_is_known() -> None:
    trainer = trainer_of(broken)
    guard = attached(DivergenceGuard("terminate", cooldown=20), trainer)
    trainer.run(range(100), max_epochs=3)
    trainer.run(range(100), max_epochs=3)
    assert trainer.state.iteration == 20
    assert guard.interventions == 2


# --- bad input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"on_divergence": "stop"}, ValueError, "on_divergence='stop': expected one of 'hold', 'terminate_epoch', 'te"),
        ({"on_divergence": 3}, TypeError, "on_divergence=3: expected one of 'hold'"),
        ({"on_divergence": "rollback"}, ValueError, "^on_divergence='rollback' needs to_restore=.*: the models, opt"),
        ({"on_collapse": 1}, TypeError, "on_collapse=1: expected one of 'report', 'act', 'ignore', got int"),
        ({"on_collapse": "stop"}, ValueError, "on_collapse='stop': expected one of 'report', 'act', 'ignore'"),
        ({"check_every": 0}, ValueError, "check_every=0: expected an int of at least 1"),
        ({"check_every": 2.5}, TypeError, "check_every=2.5"),
        ({"patience": 0}, ValueError, "patience=0"),
        ({"cooldown": 0}, ValueError, "cooldown=0"),
        ({"max_interventions": -1}, ValueError, "max_interventions=-1"),
        ({"override_iterations": 0}, ValueError, "override_iterations=0"),
        ({"snapshot_every": 0}, ValueError, "snapshot_every=0"),
        ({"on_spike": "stop"}, ValueError, "on_spike='stop': expected one of 'report', 'act', 'ignore'"),
        ({"spike_limit": 0.5}, ValueError, "spike_limit=0.5"),
        ({"threshold": -1}, ValueError, "threshold=-1"),
        ({"save_snapshots": 1}, TypeError, "save_snapshots=1"),
        ({"output_transform": 1}, TypeError, "output_transform=1"),
        ({"param_name": 1}, TypeError, "param_name=1: expected .*, got int$"),
    ],
)
def test_arguments(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        DivergenceGuard(**arguments)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (None, "got NoneType None; does the step return its output"),
        ("loss", "got str 'loss'"),
        ({"loss": 1.0}, r"^DivergenceGuard watches d_real, d_fake, .*has none of them, it has \['loss'\]"),
        ({"g_loss": torch.zeros(2, 2)}, r"'g_loss' must .* got a tensor of shape \(2, 2\)"),
        ({"g_loss": "high"}, r"'g_loss' must .* got 'high'"),
        ({"d_loss": torch.zeros(2, 2)}, r"'d_loss' must .* got a tensor of shape \(2, 2\)"),
        ({"d_loss": [torch.zeros(1), torch.zeros(1)]}, r"'d_loss' must .* got a tensor of shape \(1,\)"),
        ({"d_real": [torch.zeros(3)], "g_loss": 1.0}, r"'d_real' must .* got a tensor of shape \(3,\)"),
        ({"d_real": [torch.zeros(3)], "d_loss": torch.zeros(2)}, r"'d_real' must .* got a tensor of shape \(3,\)"),
    ],
)
def test_outputs(output: Any, message: str) -> None:
    trainer = trainer_of(lambda i: output)
    attached(DivergenceGuard(), trainer)
    with pytest.raises(ValueError, match=message):
        trainer.run(range(3))


@pytest.mark.parametrize("nothing", [{"d_loss": []}, {"d_loss": torch.zeros(0)}])
def test_an_iteration_without_a_critic_update_is_no_fault(nothing: dict[str, Any]) -> None:
    trainer = trainer_of(lambda i: {"d_loss": [math.nan]} if i == 18 else {"d_loss": [0.5]} if i % 2 == 0 else nothing)
    guard = attached(DivergenceGuard("terminate", check_every=5), trainer)
    trainer.run(range(40))
    assert (trainer.state.iteration, guard.history[-1]["reason"]) == (20, "d_loss not finite")


def test_an_iteration_without_a_critic_update_may_leave_out_its_entries() -> None:
    trainer = trainer_of(lambda i: {"d_loss": [math.nan if i == 17 else 0.5]} if i % 2 else {})
    guard = attached(DivergenceGuard("terminate", check_every=5), trainer)
    trainer.run(range(40))
    assert (trainer.state.iteration, guard.history[-1]["reason"]) == (20, "d_loss not finite")


def guard_function(engine: Engine, record: Any) -> None:
    """A function with a name."""


@pytest.mark.parametrize(
    ("guard", "shown"),
    [
        (DivergenceGuard("hold", check_every=5), "DivergenceGuard('hold', check_every=5)"),
        (
            DivergenceGuard(on_divergence="terminate", floor=0.5),
            "DivergenceGuard(on_divergence='terminate', floor=0.5)",
        ),
        (DivergenceGuard(guard_function), f"DivergenceGuard({__name__}.guard_function)"),
        (
            DivergenceGuard("rollback", to_restore={"model": torch.nn.Linear(1, 1)}),
            "DivergenceGuard('rollback', to_restore={'model': model})",
        ),
        (
            DivergenceGuard("rollback", to_restore={"g": torch.nn.Linear(1, 1), "d": torch.nn.Linear(1, 1)}),
            "DivergenceGuard('rollback', to_restore={'g': g, 'd': d})",
        ),
    ],
)
def test_repr_is_the_call(guard: DivergenceGuard, shown: str) -> None:
    assert repr(guard) == shown


@pytest.mark.parametrize("function", [lambda engine: None, lambda: None, DivergenceGuard])
def test_a_function_that_cannot_be_called_is_refused_at_once(function: Any) -> None:
    with pytest.raises(TypeError, match="engine, record"):
        DivergenceGuard(function)


def test_a_builtin_that_does_not_tell_its_signature_is_taken() -> None:
    assert repr(DivergenceGuard(min)) == "DivergenceGuard(builtins.min)"  # type: ignore[arg-type]  # any callable that may be one


def test_a_controllers_rollback_has_to_be_told_what_to_restore() -> None:
    message = (
        r"^on_divergence='rollback' has to be told what to restore: "
        r"on_divergence=DivergenceGuard\('rollback', to_restore={'generator': generator, ...}\)$"
    )
    with pytest.raises(ValueError, match=message):
        FixedController(3, on_divergence="rollback")


def test_a_class_is_refused_where_an_object_of_it_is_meant() -> None:
    class Pair:
        def __init__(self, engine: Engine, record: Any) -> None:
            raise AssertionError("made at a divergence")

    with pytest.raises(TypeError, match=r"on_divergence=<class .*Pair'>: expected one of 'hold'"):
        DivergenceGuard(Pair)  # type: ignore[arg-type]  # that is the test


def test_what_to_restore_is_for_rollback() -> None:
    with pytest.raises(ValueError, match="to_restore is used by 'rollback' only"):
        DivergenceGuard("hold", to_restore={"model": torch.nn.Linear(1, 1)})


def test_its_arguments_are_spelled_as_a_controllers_are() -> None:
    """One thing, one name: ``warmup`` and ``output_transform`` here are the controllers' words."""
    ours = set(inspect.signature(DivergenceGuard).parameters) | set(inspect.signature(DivergenceRules).parameters)
    theirs = {name for one in (WassersteinGapController, Controller) for name in inspect.signature(one).parameters}
    joined = {name.replace("_", ""): name for name in theirs}
    assert {name for name in ours if joined.get(name.replace("_", ""), name) != name} == set()
    assert {"warmup", "window", "output_transform", "param_name", "on_divergence"} <= ours & theirs


def test_two_guards_on_one_engine_do_not_write_over_each_other() -> None:
    def step(engine: Engine, batch: int) -> dict[str, Any]:
        return {"first": broken(15) if engine.state.iteration >= 15 else healthy(1), "second": healthy(1)}

    trainer = Engine(step)
    for name in ("first", "second"):
        FixedController(
            3,
            param_name=name,
            on_divergence=DivergenceGuard("hold", param_name=name, output_transform=operator.itemgetter(name)),
        ).attach(trainer)
    seen: list[Any] = []
    trainer.add_event_handler(CriticEvents.DIVERGED, lambda engine: seen.append(engine.state.first_divergence))
    trainer.run(range(25))
    state: Any = trainer.state
    assert (state.first_divergence["rule"], state.first_guard_interventions) == ("non_finite", 1)
    assert (state.second_divergence, state.second_guard_interventions) == (None, 0)
    assert seen == [state.first_divergence]
    assert not hasattr(state, "divergence")
    assert not hasattr(state, "guard_interventions")


def test_a_mode_of_a_controller_writes_under_the_controllers_name() -> None:
    trainer = trainer_of(healthy)
    FixedController(3, param_name="critic_steps", on_divergence="hold").attach(trainer)
    state: Any = trainer.state
    assert (state.critic_steps_divergence, state.critic_steps_guard_interventions) == (None, 0)


def test_it_takes_every_number_of_its_rules() -> None:
    """So that there is one way to set them, and the rules are no public name."""
    given: dict[str, Any] = {"patience": 4, "window": 9, "warmup": 6, "threshold": 2.0}
    given |= {"floor": 0.5, "relative_floor": 0.3, "dead": 0.01, "update_limit": 2.0, "spike_limit": 7.0}
    assert list(given) == [field.name for field in dataclasses.fields(DivergenceRules)]
    assert list(given) == list(RuleNumbers.__annotations__)
    assert DivergenceGuard(**given)._rules == DivergenceRules(**given)
    assert DivergenceGuard()._rules == DivergenceRules()
    assert not hasattr(adaptive_critic, "DivergenceRules")


def test_a_number_that_no_rule_has_is_refused_with_those_that_there_are() -> None:
    message = (
        "^DivergenceGuard has no argument 'treshold': did you mean 'threshold'\\? .* patience, window, .*, spike_limit$"
    )
    with pytest.raises(TypeError, match=message):
        DivergenceGuard(treshold=3.0)  # type: ignore[call-arg]  # that is the test


def test_a_function_may_be_what_a_controller_does() -> None:
    called: list[int] = []

    def act(engine: Engine, record: dict[str, Any]) -> None:
        called.append(record["iteration"])

    trainer = trainer_of(lambda i: broken(i) if i == 5 else healthy(i))
    FixedController(2, on_divergence=act).attach(trainer)
    trainer.run(range(20))
    assert called == [10]


def test_what_is_no_mode_of_a_controller_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^on_divergence=5: expected one of 'hold', .*, a DivergenceGuard, or None$"):
        FixedController(5, on_divergence=5)  # type: ignore[arg-type]


def test_a_copy_may_be_taken_after_every_iteration() -> None:
    model = torch.nn.Linear(1, 1)
    guard = DivergenceGuard("rollback", to_restore={"model": model}, snapshot_every=1)
    assert "snapshot_every=1" in repr(guard)


def test_a_guard_of_another_controller_is_refused() -> None:
    """It would find no controller of its own and only report."""
    with pytest.raises(ValueError, match="'num_discriminator_steps'.*'critic_steps': give both the same"):
        FixedController(5, param_name="critic_steps", on_divergence=DivergenceGuard("hold"))
    FixedController(5, param_name="critic_steps", on_divergence=DivergenceGuard("hold", param_name="critic_steps"))


def test_a_guard_made_from_a_mode_reads_what_its_controller_reads() -> None:
    def step(engine: Engine, batch: int) -> dict[str, Any]:
        scores = {"d_real": [1.0] * 5, "d_fake": [0.0] * 5, "d_loss": [-1.0] * 5, "g_fake": 0.0, "g_loss": 0.0}
        return {"nested": scores | ({"g_loss": math.nan} if batch >= 20 else {})}

    trainer = Engine(step)
    FixedController(5, output_transform=lambda output: output["nested"], on_divergence="terminate").attach(trainer)
    trainer.run(range(100))
    assert 20 < trainer.state.iteration < 40
