"""CriticEffortController: the rate in force, what is published of it, and what is refused."""

from __future__ import annotations

import copy
import logging
import math
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from torch import nn

from adaptive_critic import (
    ControllerHistory,
    CriticEffortController,
    DivergenceGuard,
    FixedController,
    StateError,
    WassersteinGapController,
    create_gan_trainer,
    plot_history,
)
from tests.guard.engines import published
from tests.handlers.table import healthy, output


class Run:
    """A step whose critic is one weight with a gradient of 1, so that each step moves it by the rate."""

    def __init__(self, **more: Any) -> None:
        self.weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
        self.optimizer = torch.optim.SGD([self.weight], lr=1.0)
        self.controller = CriticEffortController(self.optimizer, **more)
        self.moves: list[list[float]] = []
        self.trainer = Engine(self.step)

    def critic_update(self) -> float:
        before = self.weight.item()
        self.weight.grad = torch.ones_like(self.weight)
        self.optimizer.step()
        return before - self.weight.item()

    def step(self, engine: Engine, batch: Any) -> dict[str, Any]:
        n = published(engine).num_discriminator_steps
        self.moves.append([self.critic_update() for _ in range(n)])
        return output(healthy(200)[engine.state.iteration - 1], n)


def test_each_update_moves_by_the_published_rate() -> None:
    run = Run(warmup=2, gain=0.2)
    run.controller.attach(run.trainer)
    rates: list[float] = []
    run.trainer.add_event_handler(Events.ITERATION_STARTED, lambda: rates.append(published(run.trainer).critic_rate))
    run.trainer.run(range(100))
    assert len(set(rates)) > 10
    assert rates[0] == 8.0
    for rate, moves in zip(rates, run.moves, strict=True):
        assert type(rate) is float
        assert moves == pytest.approx([rate] * len(moves))
    assert run.optimizer.param_groups[0]["lr"] == 1.0


def test_detach_gives_the_rate_back_and_attach_takes_it_again() -> None:
    run = Run()
    run.controller.attach(run.trainer)
    assert run.critic_update() == 8.0
    run.controller.detach()
    assert run.critic_update() == 1.0
    run.controller.attach(Engine(run.step))
    assert run.critic_update() == 8.0


def test_it_detaches_within_a_run() -> None:
    run = Run()
    run.controller.attach(run.trainer)
    run.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=3), lambda: run.controller.detach())
    run.trainer.run(range(5))
    moved = [{round(move, 9) for move in moves} for moves in run.moves]
    assert moved[:3] == [{8.0}] * 3
    assert moved[3:] == [{1.0}] * 2


def test_a_loop_without_an_engine_has_the_rate_from_the_start() -> None:
    run = Run(warmup=2, gain=0.2)
    n = run.controller.num_discriminator_steps
    for sample in healthy(60):
        rate = run.controller.rate
        assert [run.critic_update() for _ in range(n)] == pytest.approx([rate] * n)
        n = run.controller.observe(output(sample, n))
    assert run.controller.rate != 8.0


def critic_of(size: float) -> list[nn.Parameter]:
    """Return weights of this root mean square, and a bias that is not among them."""
    return [nn.Parameter(size * torch.tensor([[1.0, -1.0], [-1.0, 1.0]])), nn.Parameter(torch.full((9,), 1e3))]


@pytest.mark.parametrize(
    ("step", "start", "bound"),
    [(0.006, 8.0, None), (0.0124, 8.0, 8.0), (0.02, 4 * 2**0.5, 4 * 2**0.5), (0.05, 2.0, 2.0), (0.9, 1.0, 0.125)],
)
@pytest.mark.parametrize("size", [0.03, 1.0])
@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop])
def test_a_step_that_moves_the_weights_far_starts_lower(
    optimizer: Any, size: float, step: float, start: float, bound: float | None
) -> None:
    optimizer_d = optimizer(critic_of(size), lr=step * size)
    controller = CriticEffortController(optimizer_d, rate_gain=1.0, limits=(1, 1))
    assert controller.rate == start
    rates = []
    for _ in range(300):  # a quarter of the gap in each iteration, and n can't show whether effort helps
        controller.observe({"d_real": [1.0], "d_fake": [0.25], "g_fake": 0.0})
        rates.append(controller.rate)
    if bound is None:
        assert max(rates) == 16.0
    else:
        assert max(rates) == pytest.approx(max(bound * 2 ** (299 / 2000), 1.0))


def test_a_ranks_own_weights_decide_the_same_start() -> None:
    """Their root mean square differs by a little where each rank draws its own."""
    starts = {CriticEffortController(torch.optim.Adam(critic_of(size), lr=0.05)).rate for size in (0.98, 1.0, 1.02)}
    assert starts == {2.0}


def test_bounds_of_your_own_win() -> None:
    make = CriticEffortController
    assert make(torch.optim.Adam(critic_of(1.0), lr=0.05), rates=(4, 16)).rate == 4.0
    assert make(torch.optim.Adam(critic_of(1.0), lr=0.05), rates=(0.5, 1)).rate == 1.0


@pytest.mark.parametrize(("rates", "start"), [((1, 4), 4.0), ((16, 32), 16.0), ([0.5, 0.5], 0.5)])
def test_it_starts_at_8_or_the_bound_nearest_to_it(rates: Any, start: float) -> None:
    assert Run(rates=rates).controller.rate == start


@pytest.mark.parametrize(
    ("rates", "error", "text"),
    [
        ((8, 1), ValueError, r"^rates=\(8, 1\): low must not be above high; did you mean \(1, 8\)\?$"),
        ((0, 8), ValueError, r"^rates=\(0, 8\): low=0: expected a number above 0$"),
        ((-1.0, 8), ValueError, "low=-1.0: expected a number above 0"),
        ((1, math.nan), ValueError, "high=nan: expected a finite number"),
        ((1, math.inf), ValueError, "high=inf: expected a finite number"),
        ((1, "8"), TypeError, "high='8': expected a finite number, got str"),
        (8, TypeError, r"^rates=8: expected a pair of numbers \(low, high\), such as \(1, 16\)$"),
        ((1, 2, 3), TypeError, r"expected a pair of numbers"),
    ],
)
def test_bad_rates_are_quoted(rates: Any, error: type[Exception], text: str) -> None:
    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    with pytest.raises(error, match=text):
        CriticEffortController(optimizer, rates=rates)
    CriticEffortController(optimizer)  # what was refused has not taken the optimizer


def test_an_optimizer_that_is_none_is_quoted() -> None:
    with pytest.raises(TypeError, match=r"expected a torch.optim.Optimizer, got Linear"):
        CriticEffortController(nn.Linear(1, 1))  # type: ignore[arg-type]


def test_a_class_in_place_of_an_optimizer_is_named_as_one() -> None:
    with pytest.raises(TypeError, match=r"expected a torch.optim.Optimizer, got the class Adam"):
        CriticEffortController(torch.optim.Adam)  # type: ignore[arg-type]


def test_two_controllers_on_one_optimizer_are_refused() -> None:
    run = Run()
    with pytest.raises(
        ValueError, match=r"another controller .* multiplies the learning rates of optimizer_d \(SGD\): call its detach"
    ):
        CriticEffortController(run.optimizer)
    run.controller.attach(run.trainer)
    run.controller.detach()
    other = CriticEffortController(run.optimizer)
    with pytest.raises(ValueError, match="another controller"):
        run.controller.attach(run.trainer)
    other.attach(run.trainer)  # the one that was refused does not own the attribute


def test_a_refused_attach_leaves_the_rate_as_it_was() -> None:
    run = Run()
    FixedController(2).attach(run.trainer)
    with pytest.raises(RuntimeError, match="already controlled by"):
        run.controller.attach(run.trainer)
    assert run.critic_update() == 8.0  # from construction on
    run.controller.attach(Engine(run.step))
    run.controller.detach()
    with pytest.raises(RuntimeError, match="already controlled by"):
        run.controller.attach(run.trainer)
    assert run.critic_update() == 1.0


def gan() -> tuple[Any, torch.optim.Optimizer]:
    torch.manual_seed(0)
    generator, critic = nn.Linear(2, 2), nn.Linear(2, 1)
    optimizer_g, optimizer_d = (torch.optim.Adam(network.parameters()) for network in (generator, critic))
    data = [torch.randn(8, 2) for _ in range(20)]
    return create_gan_trainer(generator, critic, optimizer_g, optimizer_d, data=data, latent_dim=2), optimizer_d


def test_the_generators_optimizer_is_refused_where_the_trainer_knows_it() -> None:
    trainer, optimizer_d = gan()
    optimizer_g = trainer.state.to_save["optimizer_g"]
    wrong = CriticEffortController(optimizer_g)
    with pytest.raises(ValueError, match=r"optimizer_d is the trainer's optimizer_g: .* has let go of"):
        wrong.attach(trainer)
    seen: list[float] = []
    optimizer_g.register_step_pre_hook(lambda optimizer, *_: seen.append(optimizer.param_groups[0]["lr"]))
    optimizer_g.step()
    assert seen == [0.001]  # though the refused controller lives on
    CriticEffortController(optimizer_d).attach(trainer)  # the one that was refused does not own the attribute
    trainer.run(max_epochs=1, epoch_length=2)


@pytest.mark.parametrize("kind", ["none", "both", "the generator's"])
def test_an_optimizer_that_is_not_the_critics_alone_is_logged_once(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    run = Run(limits=(2, 20))

    def step(engine: Engine, batch: Any) -> dict[str, Any]:
        n = published(engine).num_discriminator_steps
        for _ in range({"none": 0, "both": n + 1, "the generator's": 1}[kind]):
            run.critic_update()
        return output(healthy(200)[engine.state.iteration - 1], n)

    trainer = Engine(step)
    run.controller.attach(trainer)
    with caplog.at_level(logging.WARNING, logger="adaptive_critic"):
        trainer.run(range(150))
    (message,) = [record.getMessage() for record in caplog.records]
    assert {"none": "is it the optimizer that trains", "both": "if it steps the generator too", "the generator's": (
        "one in each iteration"
    )}[kind] in message  # fmt: skip


def test_a_loop_that_never_observes_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    controller = CriticEffortController(optimizer)
    parameter.grad = torch.ones(1)
    for _ in range(199):
        optimizer.step()
    assert caplog.messages == []
    for _ in range(300):
        optimizer.step()
    (message,) = caplog.messages
    assert message.startswith("optimizer_d has made 200 steps at 8 times its learning rate, and its controller has")
    controller.detach()


def test_a_first_iteration_of_many_updates_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    controller = CriticEffortController(optimizer, initial=50, limits=(0, 50))
    parameter.grad = torch.ones(1)
    for _ in range(499):
        optimizer.step()
    assert caplog.messages == []
    optimizer.step()
    assert len(caplog.messages) == 1
    controller.detach()


@pytest.mark.parametrize("made", [1, 5])
def test_a_loop_that_ignores_the_number_is_told_that_alone(made: int, caplog: pytest.LogCaptureFixture) -> None:
    run = Run(limits=(2, 20))
    for sample in healthy(100):
        for _ in range(made):
            run.critic_update()
        run.controller.observe(output(sample, made))
    (message,) = caplog.messages
    assert message.startswith(f"'d_real' has length {made}, but n = 2 was asked for")


def test_limits_are_needed() -> None:
    run = Run()
    for assign in (lambda: Run(limits=None), lambda: setattr(run.controller, "limits", None)):
        with pytest.raises(ValueError, match=r"limits=None: expected a pair of ints \(lower, upper\)"):
            assign()
    assert run.controller.limits == (0, 20)


def test_steps_after_an_observed_iteration_are_not_told(caplog: pytest.LogCaptureFixture) -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    controller = CriticEffortController(optimizer)
    parameter.grad = torch.ones(1)
    optimizer.step()
    controller.observe({"d_real": [1.0], "d_fake": [0.0], "g_fake": 0.0})
    for _ in range(300):
        optimizer.step()
    assert caplog.messages == []


def test_a_right_loop_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    trainer, optimizer_d = gan()
    CriticEffortController(optimizer_d).attach(trainer)
    with caplog.at_level(logging.WARNING, logger="adaptive_critic"):
        trainer.run(max_epochs=2, epoch_length=60)
    assert caplog.records == []


def test_other_runs_saves_and_steps_before_do_not_confuse_the_comparison(caplog: pytest.LogCaptureFixture) -> None:
    run = Run()
    with caplog.at_level(logging.WARNING, logger="adaptive_critic"):
        for _ in range(150):  # the critic is trained before
            run.critic_update()
        run.controller.attach(run.trainer)
        saved: list[Any] = []
        run.trainer.add_event_handler(
            Events.ITERATION_COMPLETED(every=10), lambda: saved.append(run.controller.state_dict())
        )
        run.trainer.run(range(100))
        run.trainer.run(range(60))  # another run, from the start
        for state in saved:
            other = Run()
            other.controller.load_state_dict(state)
            for sample in healthy(60):
                n = other.controller.num_discriminator_steps
                for _ in range(n):
                    other.critic_update()
                other.controller.observe(output(sample, n))
    assert [record.getMessage() for record in caplog.records if "optimizer_d" in record.getMessage()] == []


def test_a_loop_without_an_engine_detaches() -> None:
    run = Run()
    run.controller.detach()
    assert run.critic_update() == 1.0
    CriticEffortController(run.optimizer).detach()
    with pytest.raises(RuntimeError, match="is not attached"):
        run.controller.detach()


def test_rates_stay_as_they_were_given() -> None:
    controller = Run(rates=(1, 4)).controller
    with pytest.raises(AttributeError):
        controller.rates = (1.0, 2.0)  # type: ignore[misc]  # mypy sees it, too
    assert controller.rates == (1.0, 4.0)


def test_an_override_of_the_guard_lowers_the_rate_and_one_of_a_number_does_not() -> None:
    run = Run()
    run.controller.attach(run.trainer)
    run.controller.override(3)
    assert (run.controller.num_discriminator_steps, run.controller.rate) == (1, 1.0)
    run.controller.override(3, 2)
    assert (run.controller.num_discriminator_steps, run.controller.rate) == (2, 8.0)
    run.controller.hold(2)
    assert run.controller.rate == 8.0
    run.trainer.run(range(3))
    assert run.controller.rate == 8.0


def test_a_lowered_rate_survives_a_save() -> None:
    run, twin = Run(), Run()
    run.controller.override(3)
    twin.controller.load_state_dict(run.controller.state_dict())
    assert (twin.controller.rate, twin.critic_update()) == (1.0, 1.0)
    for _ in range(3):
        twin.controller.observe(output(healthy(1)[0], 0))
    assert twin.controller.rate == 8.0


def test_a_rate_beyond_the_bounds_of_now_is_clamped_on_load() -> None:
    run = Run()
    narrow = Run(rates=(1, 2))
    narrow.controller.load_state_dict(run.controller.state_dict())
    assert (narrow.controller.rate, narrow.critic_update()) == (2.0, 2.0)


def test_a_state_without_its_rate_or_of_another_controller_is_refused() -> None:
    run = Run()
    state = run.controller.state_dict()
    with pytest.raises(StateError, match="WassersteinGapController"):
        run.controller.load_state_dict(WassersteinGapController().state_dict())
    for bad in (0.0, -1.0, math.nan, "8"):
        broken = copy.deepcopy(state)
        broken["law"]["rate"] = bad
        with pytest.raises(StateError, match=r"'rate'"):
            run.controller.load_state_dict(broken)
    del state["law"]["rate"]
    with pytest.raises(StateError, match="has no 'rate'"):
        run.controller.load_state_dict(state)


def test_a_scheduler_sees_and_sets_the_users_rate() -> None:
    run = Run()
    scheduler = torch.optim.lr_scheduler.StepLR(run.optimizer, step_size=1, gamma=0.5)
    run.controller.attach(run.trainer)
    assert run.critic_update() == 8.0
    scheduler.step()
    assert run.optimizer.param_groups[0]["lr"] == 0.5
    assert run.critic_update() == 4.0


def test_a_rate_of_0_stays_0() -> None:
    run = Run()
    run.optimizer.param_groups[0]["lr"] = 0.0
    assert run.critic_update() == 0.0


def test_history_records_and_draws_the_rate() -> None:
    from matplotlib.figure import Figure

    run = Run(warmup=2, gain=0.2)
    run.controller.attach(run.trainer)
    history = ControllerHistory()
    history.attach(run.trainer)
    run.trainer.run(range(50))
    assert history.points[0].rate == 8.0
    assert history.points[-1].rate != 8.0
    again = ControllerHistory()
    again.load_state_dict(history.state_dict())
    assert again.points == history.points
    labels = [panel.get_ylabel() for panel in plot_history(history, figure=Figure()).axes]
    assert labels == ["critic updates", "critic's rate", "signal"]


def test_a_resumed_run_is_the_uninterrupted_one() -> None:
    def state(trainer: Any, controller: Any) -> Any:
        return {name: item.state_dict() for name, item in trainer.state.to_save.items()} | {
            "c": controller.state_dict()
        }

    def weights(trainer: Any) -> list[Any]:
        return [value for name in ("generator", "discriminator")
                for value in trainer.state.to_save[name].state_dict().values()]  # fmt: skip

    trainer, optimizer_d = gan()
    controller = CriticEffortController(optimizer_d, warmup=2, gain=0.2)
    controller.attach(trainer)
    saved: list[Any] = []
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED(once=30), lambda: saved.append(copy.deepcopy(state(trainer, controller)))
    )
    trainer.run(max_epochs=3, epoch_length=20)
    again, other_d = gan()
    twin = CriticEffortController(other_d, warmup=2, gain=0.2)
    twin.load_state_dict(saved[0]["c"])
    for name, item in again.state.to_save.items():
        item.load_state_dict(saved[0][name])
    twin.attach(again)
    again.run(max_epochs=3, epoch_length=20)
    assert twin.state_dict() == controller.state_dict()
    assert all(torch.equal(one, other) for one, other in zip(weights(trainer), weights(again), strict=True))


def test_it_goes_on_over_a_rollback() -> None:
    trainer, optimizer_d = gan()
    objects = {
        name: trainer.state.to_save[name] for name in ("generator", "discriminator", "optimizer_g", "optimizer_d")
    }
    guard = DivergenceGuard(
        "rollback", to_restore=objects, check_every=5, patience=1, snapshot_every=5, override_iterations=5
    )
    controller = CriticEffortController(optimizer_d, on_divergence=guard)
    controller.attach(trainer)

    def spoil() -> None:
        with torch.no_grad():
            objects["discriminator"].weight.fill_(math.nan)

    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=36), spoil)
    rates: list[float] = []
    trainer.add_event_handler(Events.ITERATION_STARTED, lambda: rates.append(trainer.state.critic_rate))
    trainer.run(max_epochs=2, epoch_length=40)
    assert guard.interventions == 1
    assert (rates[0], rates[40]) == (8.0, 1.0)
    assert optimizer_d.param_groups[0]["lr"] == 1e-3


@pytest.mark.parametrize(("every", "told"), [(5, 0), (6, 1)])
def test_decisions_that_are_too_far_apart_are_told(every: int, told: int, caplog: pytest.LogCaptureFixture) -> None:
    CriticEffortController(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1), update_every=every).detach()
    assert sum(f"update_every={every}" in record.getMessage() for record in caplog.records) == told
