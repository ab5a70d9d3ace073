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
    Rounds,
    SchedulerAdapter,
    StepDecayController,
    WassersteinGapController,
)

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


def report_to(rounds: Rounds, model: Elsewhere) -> None:
    model.report_critic = lambda real, fake: rounds.critic(d_real=real, d_fake=fake)  # type: ignore[assignment,method-assign]  # a hook
    model.report_generator = lambda fake: rounds.generator(g_fake=fake)  # type: ignore[method-assign]  # a hook


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
        rounds = Rounds(controller)
        report_to(rounds, driven)
        with AttributeActuator(driven, "_critic_steps", rounds):
            driven.fit(30)
        assert torch.equal(plain.critic, driven.critic)
        assert torch.equal(plain.maker, driven.maker)
        assert driven.ran == plain.ran == [k] * 30
        assert (controller.critic_updates, controller.generator_updates) == (30 * k, 30)

    def test_feedback_sees_what_a_loop_of_ones_own_would_show_it(self) -> None:
        outputs: list[Any] = []

        def keep(output: Any) -> Any:
            outputs.append(output)
            return output

        driven, counted = Elsewhere(), []
        rounds = Rounds(WassersteinGapController(output_transform=keep))
        report_to(rounds, driven)
        with AttributeActuator(driven, "_critic_steps", rounds):
            driven.fit(60)
        by_hand = WassersteinGapController()
        for output in outputs:
            counted.append(by_hand.num_discriminator_steps)
            by_hand.observe(output)
        assert driven.ran == counted
        assert len(set(driven.ran)) > 1
        assert rounds.controller.state_dict() == by_hand.state_dict()

    def test_reading_it_changes_nothing(self) -> None:
        """Each read once began a round: in a loop that reads it per batch 180 and 60 were counted for 60 and 20."""
        model, made = Elsewhere(7), [0, 0]
        rounds = Rounds(FixedController(3))
        with AttributeActuator(model, "_critic_steps", rounds):
            for i in range(1, 61):
                made[0] += 1
                rounds.critic()
                assert hasattr(model, "_critic_steps")
                if i % model._critic_steps == 0:
                    made[1] += 1
                    rounds.generator()
        assert made == [60, 20] == [rounds.critic_updates, rounds.generator_updates]
        assert (rounds.controller.critic_updates, rounds.controller.generator_updates) == (60, 20)

    def test_a_loop_that_begins_with_the_generator_ends_without_an_error(self) -> None:
        model, rounds = Elsewhere(7), Rounds(WassersteinGapController(initial=3, limits=(1, 5)))
        with AttributeActuator(model, "_critic_steps", rounds):
            for _ in range(5):
                rounds.generator(g_fake=0.0)
                for _ in range(model._critic_steps):
                    rounds.critic(d_real=1.0, d_fake=0.0)
        assert (rounds.generator_updates, rounds.controller.generator_updates) == (5, 4)

    def test_restores_exactly(self) -> None:
        model = Elsewhere(3)
        before, of_the_class, other = dict(vars(model)), dict(vars(Elsewhere)), Elsewhere(3)
        actuator = AttributeActuator(model, "_critic_steps", Rounds(FixedController(5)))
        assert model._critic_steps == 5
        assert other._critic_steps == 3  # of the same class
        other._critic_steps = 4
        assert (other._critic_steps, model._critic_steps) == (4, 5)
        assert type(model) is Elsewhere
        actuator.restore()
        assert vars(model) == before
        assert dict(vars(Elsewhere)) == of_the_class
        model._critic_steps = 4
        assert model._critic_steps == 4
        actuator.restore()  # as the end of a with does after a restore within it

    @pytest.mark.parametrize("make_copy", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
    def test_copies_and_pickles_are_plain(self, make_copy: Callable[[Any], Any]) -> None:
        model = Elsewhere(3)
        with AttributeActuator(model, "_critic_steps", Rounds(FixedController(9))):
            other = make_copy(model)
            assert type(other) is Elsewhere
            assert (other._critic_steps, model._critic_steps) == (3, 9)
        assert torch.equal(other.critic, model.critic)

    def test_no_class_is_made(self) -> None:
        """A class made for the object was left in registries that classes keep of those derived from them."""
        registry: list[type] = []

        class Registering(Elsewhere):
            def __init_subclass__(cls) -> None:
                registry.append(cls)

        with AttributeActuator(Registering(), "_critic_steps", Rounds(FixedController(9))):
            assert (registry, Registering.__subclasses__()) == ([], [])

    def test_writing_is_refused(self) -> None:
        model = Elsewhere(3)
        with (
            AttributeActuator(model, "_critic_steps", Rounds(FixedController(5))),
            pytest.raises(AttributeError, match=r"can't be set to 2: FixedController\(5\) drives it"),
        ):
            model._critic_steps = 2
        assert model._critic_steps == 3

    def test_an_exception_restores(self) -> None:
        model, rounds = Elsewhere(3), Rounds(FixedController(5))
        report_to(rounds, model)

        def fail(fake: torch.Tensor) -> None:
            raise KeyboardInterrupt

        with contextlib.suppress(KeyboardInterrupt), AttributeActuator(model, "_critic_steps", rounds):
            model.fit(2)
            model.report_generator = fail  # type: ignore[method-assign]  # a hook
            model.fit(1)
        assert model._critic_steps == 3
        assert (rounds.critic_updates, rounds.generator_updates) == (15, 2)
        assert (rounds.controller.critic_updates, rounds.controller.generator_updates) == (10, 2)

    def test_a_loop_that_reports_nothing_is_told(self, caplog: pytest.LogCaptureFixture) -> None:
        model = Elsewhere(3)
        with AttributeActuator(model, "_critic_steps", Rounds(StepDecayController(milestones={0: 4, 2: 1}))):
            model.fit(5)
        assert model.ran == [4] * 5
        assert "'_critic_steps' was read 5 times, and no generator update was reported: it has been 4" in caplog.text
        caplog.clear()
        rounds = Rounds(FixedController(4))
        report_to(rounds, model)
        with AttributeActuator(model, "_critic_steps", rounds):
            model.fit(5)
        with AttributeActuator(model, "_critic_steps", Rounds(FixedController(4))):
            assert model._critic_steps == 4
        assert caplog.text == ""

    def test_two_attributes_of_one_object_and_one_of_two(self) -> None:
        model: Any = Elsewhere(3)
        model.other, second = 1, Elsewhere(2)
        actuators = [
            AttributeActuator(model, "_critic_steps", Rounds(FixedController(5))),
            AttributeActuator(model, "other", Rounds(FixedController(6))),
            AttributeActuator(second, "_critic_steps", Rounds(FixedController(7))),
        ]
        assert (model._critic_steps, model.other, second._critic_steps) == (5, 6, 7)
        actuators[0].restore()
        assert (model._critic_steps, model.other, second._critic_steps) == (3, 6, 7)
        actuators[2].restore()
        actuators[1].restore()
        assert (model._critic_steps, model.other, second._critic_steps) == (3, 1, 2)

    def test_modules_slots_properties_and_what_a_class_gives(self) -> None:
        class Inherited:
            k = 2

        class Given(Inherited):
            pass

        class Computed:
            @property
            def k(self) -> int:
                return 6

        module: Any = torch.nn.Linear(2, 2)
        module.k = 3
        for make_one in (lambda: copy.deepcopy(module), Slotted, Inherited, Given, Computed):
            obj: Any = make_one()
            other: Any = make_one()
            value = obj.k
            with AttributeActuator(obj, "k", Rounds(FixedController(5))):
                assert (obj.k, other.k) == (5, value)
                if make_one is not Computed:
                    other.k = 8
                    assert (obj.k, other.k) == (5, 8)
            assert obj.k == value
        assert Given.k == Inherited.k == 2
        assert "k" not in vars(Given)
        assert list(module.state_dict()) == ["weight", "bias"]

    def test_what_others_of_the_class_lack_they_go_on_lacking(self) -> None:
        model: Any = Elsewhere(3)
        model.extra = 1
        with AttributeActuator(model, "extra", Rounds(FixedController(5))):
            with pytest.raises(AttributeError, match="'Elsewhere' object has no attribute 'extra'"):
                _ = Elsewhere(3).extra  # type: ignore[attr-defined]  # what is tested
            assert not hasattr(Elsewhere, "extra")

    @pytest.mark.parametrize(
        ("arguments", "error", "complaint"),
        [
            ({"name": 3}, TypeError, "name=3"),
            ({"name": "critic_step"}, ValueError, "name='critic_step': Elsewhere object has no such attribute"),
            ({"rounds": 5}, TypeError, r"rounds=5: expected Rounds\(controller\), got int"),
            ({"rounds": FixedController(2)}, TypeError, r"expected Rounds\(controller\), got FixedController"),
            ({"obj": 5, "name": "real"}, TypeError, "immutable type"),
        ],
    )
    def test_bad_arguments(self, arguments: dict[str, Any], error: type[Exception], complaint: str) -> None:
        good = {"obj": Elsewhere(), "name": "_critic_steps", "rounds": Rounds(FixedController(2))}
        with pytest.raises(error, match=complaint):
            AttributeActuator(**{**good, **arguments})

    def test_an_attribute_that_is_driven_already_is_refused(self) -> None:
        model = Elsewhere(7)
        with AttributeActuator(model, "_critic_steps", Rounds(FixedController(4))):
            with pytest.raises(
                RuntimeError, match=r"^name='_critic_steps': an AttributeActuator drives it already .* restore\(\) that"
            ):
                AttributeActuator(model, "_critic_steps", Rounds(FixedController(3)))
            assert model._critic_steps == 4
        with AttributeActuator(model, "_critic_steps", Rounds(FixedController(3))):
            assert model._critic_steps == 3
