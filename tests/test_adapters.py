"""Ignite's own schedulers behind a controller, and a loop of somebody else's behind an attribute."""

from __future__ import annotations

import contextlib
import copy
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import ignite.handlers
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ignite.engine import Engine
from ignite.handlers import (
    ExpStateScheduler,
    LambdaStateScheduler,
    LinearCyclicalScheduler,
    MultiStepStateScheduler,
    PiecewiseLinearStateScheduler,
    StepStateScheduler,
)
from ignite.handlers.state_param_scheduler import StateParamScheduler

from adaptive_critic import (
    AttributeActuator,
    FixedController,
    SchedulerAdapter,
    StepDecayController,
    StepOutputError,
    WassersteinGapController,
)
from adaptive_critic.adapters import merge_reports

NAME = "num_discriminator_steps"


def bouncing(index: int) -> float:
    return 5.0 if index // 3 % 2 == 0 else 1.0


class Wave:
    """A schedule whose default repr holds an address."""

    def __call__(self, index: int) -> float:
        return 2.5 + (index % 5)


SCHEDULERS: dict[str, Callable[[], StateParamScheduler]] = {
    "piecewise": lambda: PiecewiseLinearStateScheduler([(2, 6.0), (7, 2.2), (12, 9.0), (30, 1.0)], param_name=NAME),
    "piecewise, one": lambda: PiecewiseLinearStateScheduler([(5, 4.4)], param_name=NAME),
    "step": lambda: StepStateScheduler(initial_value=9.0, gamma=0.7, step_size=4, param_name=NAME),
    "multi-step": lambda: MultiStepStateScheduler(8.0, 0.5, [3, 6, 20], param_name=NAME),
    "exponential": lambda: ExpStateScheduler(7.5, 0.9, param_name=NAME),
    "function": lambda: LambdaStateScheduler(bouncing, param_name=NAME),
    "object": lambda: LambdaStateScheduler(Wave(), param_name=NAME),
}
every_scheduler = pytest.mark.parametrize("code", SCHEDULERS)


def state(trainer: Engine) -> Any:
    """Return engine.state, which takes any attribute; its type knows of none."""
    return trainer.state


def recorder(ran: list[Any]) -> Engine:
    return Engine(lambda engine, batch: ran.append(state(engine).num_discriminator_steps))


def values_of_ignite(code: str, iterations: int) -> list[float]:
    """Return what the scheduler, attached by itself, gives each iteration; the first gets None."""
    ran: list[Any] = []
    trainer = recorder(ran)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the attribute is new
        SCHEDULERS[code]().attach(trainer)
    trainer.run(range(iterations))
    assert ran[0] is None
    return ran[1:]


class TestSchedulerAdapter:
    @every_scheduler
    def test_gives_ints_from_the_first_iteration_on_and_ignites_values_from_the_second(self, code: str) -> None:
        ran: list[Any] = []
        trainer = recorder(ran)
        SchedulerAdapter(SCHEDULERS[code]()).attach(trainer)
        trainer.run(range(40))
        assert [type(n) for n in ran] == [int] * 40
        expected = [max(int(np.floor(value + 0.5)), 1) for value in values_of_ignite(code, 40)]
        assert ran[1:] == expected
        assert len(set(ran)) > 1 or code == "piecewise, one"

    @given(st.lists(st.floats(-3, 14, allow_nan=False), min_size=1, max_size=20), st.booleans())
    def test_rounds_half_up_within_the_limits(self, values: list[float], limited: bool) -> None:
        scheduler = LambdaStateScheduler(lambda index: values[index], param_name=NAME)
        limits = (0, 10) if limited else None
        ran: list[Any] = []
        trainer = recorder(ran)
        found = SchedulerAdapter.simulate_values(len(values), scheduler=scheduler, limits=limits)
        assert [index for index, _ in found] == list(range(len(values)))
        for value, (_, n) in zip(values, found, strict=True):
            nearest = n - 0.5 <= value < n + 0.5
            assert nearest or (n == (0 if limited else 1) and value < n) or (limited and n == 10 and value > n)
        scheduler = LambdaStateScheduler(lambda index: values[min(index, len(values) - 1)], param_name=NAME)
        SchedulerAdapter(scheduler, limits=limits).attach(trainer)
        trainer.run(range(len(values)))
        assert ran == [n for _, n in found]

    @every_scheduler
    def test_a_resumed_run_and_a_second_run_read_the_same_values(self, code: str) -> None:
        ran: list[Any] = []
        trainer = recorder(ran)
        adapter = SchedulerAdapter(SCHEDULERS[code]())
        adapter.attach(trainer)
        trainer.run(range(35))
        again: list[Any] = []
        second = recorder(again)
        other = SchedulerAdapter(SCHEDULERS[code]())
        other.attach(second)
        other.load_state_dict(adapter.state_dict())
        second.load_state_dict({"iteration": 20, "epoch_length": 20, "max_epochs": 1})
        second.run(range(20), max_epochs=2)
        assert again[:15] == ran[20:]
        trainer.run(range(35))
        assert ran[35:] == ran[:35]

    @every_scheduler
    def test_the_scheduler_itself_is_left_alone_and_may_have_been_used(self, code: str) -> None:
        scheduler = SCHEDULERS[code]()
        scheduler.event_index = 29
        scheduler.get_param()
        before = dict(vars(scheduler))
        found = SchedulerAdapter.simulate_values(40, scheduler=scheduler)
        assert vars(scheduler) == before
        assert found == SchedulerAdapter.simulate_values(40, scheduler=SCHEDULERS[code]())

    @every_scheduler
    def test_repr_is_the_same_on_all_ranks(self, code: str) -> None:
        first, second = (repr(SchedulerAdapter(SCHEDULERS[code](), limits=(1, 8))) for _ in range(2))
        assert first == second
        assert "0x" not in first
        assert first.endswith("limits=(1, 8))")

    @pytest.mark.parametrize("code", [code for code in SCHEDULERS if code not in ("function", "object")])
    @pytest.mark.parametrize("options", [{}, {"limits": (1, 8)}, {"param_name": "k", "limits": None}])
    def test_repr_makes_an_equal_one(self, code: str, options: dict[str, Any]) -> None:
        one = SchedulerAdapter(SCHEDULERS[code](), **options)
        twin = eval(repr(one), {**vars(ignite.handlers), "SchedulerAdapter": SchedulerAdapter})
        assert repr(twin) == repr(one)
        assert (twin.limits, twin.param_name) == (one.limits, one.param_name)
        assert [twin.schedule.value(index) for index in range(40)] == [one.schedule.value(i) for i in range(40)]

    def test_repr_tells_configurations_apart(self) -> None:
        reprs = {repr(SchedulerAdapter(make())) for make in SCHEDULERS.values()}
        assert len(reprs) == len(SCHEDULERS)

    def test_writes_the_schedulers_own_attribute_or_another(self) -> None:
        trainer = Engine(lambda engine, batch: None)
        scheduler = LambdaStateScheduler(lambda index: 2.5, param_name="k")
        SchedulerAdapter(scheduler).attach(trainer)
        SchedulerAdapter(scheduler, param_name="m", limits=(0, 2)).attach(trainer)
        assert (state(trainer).k, state(trainer).m) == (3, 2)

    @pytest.mark.parametrize(
        ("scheduler", "error", "complaint"),
        [
            (3, TypeError, "got int"),
            (
                LinearCyclicalScheduler(torch.optim.SGD([torch.zeros(1)], lr=0.1), "lr", 1.0, 0.0, 10),
                TypeError,
                "got LinearCyclicalScheduler",
            ),
            (LambdaStateScheduler(bouncing, param_name=NAME, save_history=True), ValueError, "ControllerHistory"),
            (LambdaStateScheduler(lambda index: [1.0], param_name=NAME), TypeError, r"gives \[1.0\] at index 0"),
            (LambdaStateScheduler(lambda index: float("nan"), param_name=NAME), ValueError, "gives nan at index 0"),
            (LambdaStateScheduler(lambda index: float("inf"), param_name=NAME), ValueError, "gives inf at index 0"),
        ],
    )
    def test_what_is_no_schedule(self, scheduler: Any, error: type[Exception], complaint: str) -> None:
        with pytest.raises(error, match=complaint):
            SchedulerAdapter(scheduler)


class Elsewhere:
    """A trainer that knows nothing of this package: it reads its number of critic updates once per round."""

    def __init__(self, critic_steps: int = 3) -> None:
        self._critic_steps = critic_steps
        generator = torch.Generator().manual_seed(0)
        self.critic = torch.randn(4, generator=generator)
        self.maker = torch.randn(4, generator=generator)
        self.ran: list[int] = []

    def score(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.critic

    def fit(self, rounds: int) -> None:
        noise = torch.Generator().manual_seed(1)
        for _ in range(rounds):
            n = 0
            for _ in range(self._critic_steps):
                real = 1.0 + torch.randn(8, 4, generator=noise)
                fake = self.maker + torch.randn(8, 4, generator=noise)
                self.report_critic(self.score(real).mean(), self.score(fake).mean())
                self.critic = (self.critic + 0.05 * (real.mean(0) - fake.mean(0))).clamp(-1, 1)
                n += 1
            self.report_generator(self.score(self.maker + torch.randn(8, 4, generator=noise)).mean())
            self.maker = self.maker + 0.05 * self.critic
            self.ran.append(n)

    def report_critic(self, real: torch.Tensor, fake: torch.Tensor) -> None:
        """Do nothing: a place to hook into."""

    def report_generator(self, fake: torch.Tensor) -> None:
        """Do nothing: a place to hook into."""


def report_to(actuator: AttributeActuator, model: Elsewhere) -> None:
    model.report_critic = lambda real, fake: actuator.report({"d_real": real, "d_fake": fake})  # type: ignore[method-assign]  # a hook
    model.report_generator = lambda fake: actuator.report({"g_fake": fake})  # type: ignore[method-assign]  # a hook


class Slotted:
    __slots__ = ("k",)

    def __init__(self) -> None:
        self.k = 4


class TestAttributeActuator:
    @pytest.mark.parametrize("k", [1, 3, 5])
    def test_a_fixed_number_is_bit_for_bit_the_plain_attribute(self, k: int) -> None:
        plain, driven = Elsewhere(k), Elsewhere(7)
        plain.fit(30)
        controller = FixedController(k)
        with AttributeActuator(driven, "_critic_steps", controller) as actuator:
            report_to(actuator, driven)
            driven.fit(30)
        assert torch.equal(plain.critic, driven.critic)
        assert torch.equal(plain.maker, driven.maker)
        assert driven.ran == plain.ran == [k] * 30
        assert (controller.critic_updates, controller.generator_updates) == (30 * k, 30)

    def test_feedback_sees_what_a_loop_of_ones_own_would_show_it(self) -> None:
        driven, shown, counted = Elsewhere(), [], []
        controller = WassersteinGapController()
        with AttributeActuator(driven, "_critic_steps", controller) as actuator:
            report_to(actuator, driven)
            keep = actuator.report

            def report(output: Any) -> None:
                shown.append(output)
                keep(output)

            actuator.report = report  # type: ignore[method-assign]  # listens in
            driven.fit(60)
        by_hand = WassersteinGapController()
        entries = iter(shown)
        for n in driven.ran:
            counted.append(by_hand.num_discriminator_steps)
            by_hand.observe(merge_reports([next(entries) for _ in range(n + 1)]))
        assert driven.ran == counted
        assert len(set(driven.ran)) > 1
        assert controller.state_dict() == by_hand.state_dict()

    def test_restores_exactly(self) -> None:
        model = Elsewhere(3)
        before, other = dict(vars(model)), Elsewhere(3)
        actuator = AttributeActuator(model, "_critic_steps", FixedController(5))
        assert model._critic_steps == 5
        assert other._critic_steps == 3  # of the same class
        assert isinstance(model, Elsewhere)
        assert (type(model).__name__, type(model).__module__) == (Elsewhere.__name__, Elsewhere.__module__)
        actuator.restore()
        assert type(model) is Elsewhere
        assert vars(model) == before
        model._critic_steps = 4
        assert model._critic_steps == 4
        with pytest.raises(RuntimeError, match="not driven by this actuator"):
            actuator.restore()

    @pytest.mark.parametrize("make_copy", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
    def test_copies_and_pickles_are_plain(self, make_copy: Callable[[Any], Any]) -> None:
        model = Elsewhere(3)
        controller = StepDecayController(milestones={0: 9, 1: 8})
        with AttributeActuator(model, "_critic_steps", controller):
            other = make_copy(model)
            assert type(other) is Elsewhere
            assert other._critic_steps == 3
            assert [model._critic_steps, model._critic_steps] == [9, 8]  # the copy was no round
        assert torch.equal(other.critic, model.critic)

    def test_writing_is_refused(self) -> None:
        model = Elsewhere(3)
        with (
            AttributeActuator(model, "_critic_steps", FixedController(5)),
            pytest.raises(AttributeError, match="can't be set to 2"),
        ):
            model._critic_steps = 2
        assert model._critic_steps == 3

    def test_a_round_that_an_exception_ended_is_not_observed(self) -> None:
        def fail(fake: torch.Tensor) -> None:
            raise KeyboardInterrupt

        model, controller = Elsewhere(3), FixedController(5)
        with contextlib.suppress(KeyboardInterrupt), AttributeActuator(model, "_critic_steps", controller):
            model.fit(2)
            model.report_generator = fail  # type: ignore[method-assign]  # a hook
            model.fit(1)
        assert len(model.ran) == 2
        assert type(model) is Elsewhere
        assert (controller.critic_updates, controller.generator_updates) == (10, 2)

    def test_nothing_is_observed_before_the_first_round(self) -> None:
        model, controller = Elsewhere(3), WassersteinGapController()
        actuator = AttributeActuator(model, "_critic_steps", controller)
        actuator.report({"d_real": 1.0})
        actuator.restore()
        assert controller.generator_updates == 0

    def test_a_controller_that_lacks_reports_says_so_and_the_object_is_restored(self) -> None:
        model = Elsewhere(3)
        with (
            pytest.raises(StepOutputError, match="'g_fake'; it has"),
            AttributeActuator(model, "_critic_steps", WassersteinGapController()),
        ):
            model.fit(2)
        assert type(model) is Elsewhere

    def test_combine_takes_whatever_was_reported(self) -> None:
        seen: list[list[Any]] = []

        def combine(reports: list[Any]) -> None:
            seen.append(reports)

        model = Elsewhere(1)
        with AttributeActuator(model, "_critic_steps", FixedController(1), combine=combine) as actuator:
            model.report_generator = lambda fake: actuator.report("x")  # type: ignore[method-assign]  # a hook
            model.fit(3)
        assert seen == [["x"]] * 3

    def test_two_attributes_of_one_object(self) -> None:
        model: Any = Elsewhere(3)
        model.other = 1
        first = AttributeActuator(model, "_critic_steps", FixedController(5))
        second = AttributeActuator(model, "other", FixedController(6))
        assert (model._critic_steps, model.other) == (5, 6)
        for other in (copy.copy(model), pickle.loads(pickle.dumps(model))):
            assert (type(other), other._critic_steps, other.other) == (Elsewhere, 3, 1)
        with pytest.raises(RuntimeError, match="restore that first"):
            first.restore()
        second.restore()
        first.restore()
        assert (type(model), model._critic_steps, model.other) == (Elsewhere, 3, 1)

    def test_modules_and_slots(self) -> None:
        module: Any = torch.nn.Linear(2, 2)
        module.k = 3
        for obj in (module, Slotted()):
            own, value = type(obj), obj.k
            with AttributeActuator(obj, "k", FixedController(5)):
                assert obj.k == 5
            assert (type(obj), obj.k) == (own, value)
        assert list(module.state_dict()) == ["weight", "bias"]

    @pytest.mark.parametrize(
        ("arguments", "error", "complaint"),
        [
            ({"name": 3}, TypeError, "name=3"),
            ({"name": "critic_step"}, ValueError, "name='critic_step': Elsewhere object has no such attribute"),
            ({"controller": 5}, TypeError, "expected a controller, got int"),
            ({"combine": 5}, TypeError, "combine=5"),
            ({"obj": 5, "name": "real"}, TypeError, "__class__"),
        ],
    )
    def test_bad_arguments(self, arguments: dict[str, Any], error: type[Exception], complaint: str) -> None:
        good = {"obj": Elsewhere(), "name": "_critic_steps", "controller": FixedController(2)}
        with pytest.raises(error, match=complaint):
            AttributeActuator(**{**good, **arguments})
        assert type(good["obj"]) is Elsewhere

    def test_an_attached_controller_is_refused(self) -> None:
        controller = FixedController(2)
        controller.attach(Engine(lambda engine, batch: None))
        with pytest.raises(RuntimeError, match="attached to an engine"):
            AttributeActuator(Elsewhere(), "_critic_steps", controller)

    def test_a_controller_with_a_guard_is_refused(self) -> None:
        obj = Elsewhere()
        with pytest.raises(RuntimeError, match="has a guard, which acts through an Engine"):
            AttributeActuator(obj, "_critic_steps", FixedController(2, on_divergence="hold"))
        assert type(obj) is Elsewhere

    def test_a_report_that_is_no_dict(self) -> None:
        with (
            AttributeActuator(Elsewhere(), "_critic_steps", FixedController(2)) as actuator,
            pytest.raises(TypeError, match=r"report\(3\)"),
        ):
            actuator.report(3)


def test_merge_reports() -> None:
    tensor = torch.tensor([3.0, 4.0])
    merged = merge_reports(
        [
            {"d_real": 1.0, "num_samples": 8, "g_fake": 1.0},
            {"d_real": torch.tensor(2.0), "num_samples": 8},
            {"d_real": tensor, "g_fake": 2.0, "d_fake": [5.0, 6.0]},
            {"d_fake": (7.0,)},
        ]
    )
    assert [float(value) for value in merged["d_real"]] == [1.0, 2.0, 3.0, 4.0]
    assert merged["d_fake"] == [5.0, 6.0, 7.0]
    assert (merged["g_fake"], merged["num_samples"]) == (2.0, 16)
    assert merge_reports([]) == {}


def test_an_attribute_that_is_driven_already_is_refused() -> None:
    model, controller = Elsewhere(7), StepDecayController(milestones={0: 4, 1: 2})
    with AttributeActuator(model, "_critic_steps", controller):
        with pytest.raises(
            RuntimeError, match=r"^name='_critic_steps': an AttributeActuator drives it already .* restore\(\) that"
        ):
            AttributeActuator(model, "_critic_steps", FixedController(3))
        assert model._critic_steps == 4, "the attempt has begun no round"
        assert controller.generator_updates == 0
    with AttributeActuator(model, "_critic_steps", FixedController(3)):
        assert model._critic_steps == 3
