"""Bad arguments: each error quotes the input and says what would be right."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events

from adaptive_critic import (
    OBJECTIVES,
    FixedController,
    LossRatioPIDController,
    StepOutputError,
    StopAtBudget,
    WassersteinGap,
    WassersteinGapController,
    create_gan_trainer,
)
from adaptive_critic.signals import GapShare
from adaptive_critic.training.objectives import get_objective
from tests.handlers.table import FEEDBACK, HANDLERS, NAMES, feed, healthy, make

CASES: list[tuple[str, type[Exception], str]] = [
    # limits of every handler
    *[
        (code.replace(")", f", limits={limits})").replace("(, ", "("), error, message)
        for code in ("FixedController(3)", "WGANReferenceController()", "WassersteinGapController()",
                     "LossRatioPIDController('hinge')", "AccuracyLadderController()", "LossChangeRateController()",
                     "TwoThresholdController(1, 1)", "AccuracyGateController()",
                     "StepDecayController(5, gamma=.5, step_size=2)")
        for limits, error, message in [
            ("(5, 1)", ValueError, r"limits=\(5, 1\): lower must not be above upper; did you mean \(1, 5\)"),
            ("(-1, 5)", ValueError, r"limits=\(-1, 5\): lower must be at least 0"),
            ("(0, 0)", ValueError, r"limits=\(0, 0\): upper must be at least 1"),
            ("(1, 2.5)", TypeError, r"limits=\(1, 2.5\): expected ints, 2.5 is a float"),
            ("(1.0, 5)", TypeError, r"limits=\(1.0, 5\): expected ints"),
            ("(True, 5)", TypeError, r"limits=\(True, 5\): expected ints"),
            ("('1', 5)", TypeError, r"limits=\('1', 5\)"),
            ("5", TypeError, "limits=5: expected a pair of ints"),
            ("(1, 2, 3)", TypeError, r"limits=\(1, 2, 3\): expected a pair"),
            ("'ab'", TypeError, "limits='ab'"),
        ]
    ],
    # values outside of limits
    ("FixedController(9, limits=(1, 5))", ValueError, r"limits=\(1, 5\).*gives 9"),
    ("StepDecayController(milestones={0: 9, 5: 2}, limits=(1, 5))", ValueError, r"limits=\(1, 5\).*gives 9"),
    ("StepDecayController(milestones={0: 3, 5: 1}, limits=(2, 5))", ValueError, r"limits=\(2, 5\).*gives 1"),
    ("StepDecayController(9, gamma=0.5, step_size=3, limits=(1, 5))", ValueError, r"limits=\(1, 5\).*gives 9"),
    ("WGANReferenceController(limits=(1, 50))", ValueError, r"limits=\(1, 50\).*gives 100"),
    ("WassersteinGapController(initial=4, limits=(5, 9))", ValueError, r"initial=4 is outside limits=\(5, 9\)"),
    ("WassersteinGapController(initial=0.05, limits=(0, 9))", ValueError, "initial=0.05"),
    ("WassersteinGapController(initial=0.5, limits=None)", ValueError, "initial=0.5 is outside the law's range"),
    ("LossRatioPIDController(initial=11)", ValueError, r"initial=11 is outside limits=\(1, 10\)"),
    ("LossRatioPIDController(initial=0)", ValueError, "initial=0: expected a number"),
    ("LossRatioPIDController(initial=0, limits=(0, 5))", ValueError, "initial=0: expected a number"),
    ("LossRatioPIDController(initial=5, limits=(1, 4))", ValueError, r"initial=5 is outside limits=\(1, 4\)"),
    ("LossChangeRateController(initial=1, limits=(2, 6))", ValueError, r"initial=1 is outside limits=\(2, 6\)"),
    ("AccuracyLadderController(initial=2, limits=(5, 9))", ValueError, "initial=2 is outside"),
    ("AccuracyGateController(steps=3, limits=(0, 2))", ValueError, r"^steps=3 is outside limits=\(0, 2\)"),
    *[(f"AccuracyGateController({steps}limits=({lower}, 5))", ValueError,
       rf"^limits=\({lower}, 5\): a closed gate makes 0 .* expected a lower limit of 0, such as \(0, 5\)$")
      for lower, steps in ((1, ""), (2, ""), (1, "steps=2, "), (5, "steps=5, "))],
    ("TwoThresholdController(1, 1, initial=0)", ValueError, "initial=0: expected an int of at least 1"),
    # values of their own
    ("FixedController(0)", ValueError, "steps=0: expected an int of at least 1"),
    ("FixedController(-2)", ValueError, "steps=-2"),
    ("FixedController(0.0)", ValueError, "steps=0.0: expected a number above 0"),
    ("FixedController(float('nan'))", ValueError, "steps=nan: expected a finite number"),
    ("LossRatioPIDController(ideal=1.0)", ValueError, "ideal=1.0: the loss of 'wasserstein' has no ideal, leave it"),
    ("LossRatioPIDController('hinge', ideal=0.0)", ValueError, "ideal=0.0: expected a number above 0"),
    ("LossVarianceController(low=0.6)", ValueError, "high=0.5: expected a number above 0.6"),
    ("LossVarianceController(window=1)", ValueError, "window=1: expected an int of at least 2"),
    ("FixedController(True)", TypeError, "steps=True"),
    ("FixedController('5')", TypeError, "steps='5'"),
    ("FixedController()", TypeError, "steps"),
    ("StepDecayController()", ValueError, "give initial, gamma and step_size, or milestones"),
    ("StepDecayController([1, 2])", TypeError, r"^initial=\[1, 2\]: expected a number of critic updates, got list; .*"
                                               "milestones="),
    ("StepDecayController({0: 25})", TypeError, "^initial={0: 25}: expected a number .*got dict; .* milestones="),
    ("StepDecayController(10)", ValueError, "{'initial': 10}"),
    ("StepDecayController(10, gamma=0.5)", ValueError, "'gamma': 0.5"),
    ("StepDecayController(10, milestones={0: 5})", ValueError, "give milestones alone"),
    ("StepDecayController(0, gamma=0.5, step_size=2)", ValueError, "initial=0"),
    ("StepDecayController(5, gamma=0.0, step_size=2)", ValueError, "gamma=0.0: expected a number above 0"),
    ("StepDecayController(5, gamma=float('nan'), step_size=2)", ValueError, "gamma=nan"),
    ("StepDecayController(5, gamma='half', step_size=2)", TypeError, "gamma='half'"),
    ("StepDecayController(5, gamma=0.5, step_size=0)", ValueError, "step_size=0"),
    ("StepDecayController(5, gamma=0.5, step_size=1.5)", TypeError, "step_size=1.5"),
    ("StepDecayController(milestones={5: 5})", ValueError, "{5: 5}: expected an entry for 0"),
    ("StepDecayController(milestones={0: 5, -3: 2})", ValueError, "{0: 5, -3: 2}.*-3"),
    ("StepDecayController(milestones={0: 5, 3: 0})", ValueError, "number at 3=0"),
    ("StepDecayController(milestones={0: 5, 2.5: 1})", TypeError, "2.5"),
    ("StepDecayController(milestones=[25, 10])", TypeError, r"milestones=\[25, 10\]: expected a dict"),
    ("WassersteinGapController(setpoint=0)", ValueError, "setpoint=0: expected a number above 0 and below 1"),
    ("WassersteinGapController(setpoint=1.0)", ValueError, "setpoint=1.0"),
    ("WassersteinGapController(setpoint=float('nan'))", ValueError, "setpoint=nan: expected a finite number"),
    ("WassersteinGapController(gain=-0.1)", ValueError, "gain=-0.1: expected a number above 0"),
    ("WassersteinGapController(gain=float('inf'))", ValueError, "gain=inf"),
    ("WassersteinGapController(window=0.5)", ValueError, "window=0.5: expected a number at least 1"),
    ("WassersteinGapController(base=-0.1)", ValueError, "base=-0.1: expected a number at least 0"),
    ("WassersteinGapController(contrast=float('nan'))", ValueError, "contrast=nan: expected a finite number"),
    ("WassersteinGapController(warmup=-1)", ValueError, "warmup=-1"),
    ("WassersteinGapController(warmup=2.0)", TypeError, "warmup=2.0"),
    ("WassersteinGapController(initial='4')", TypeError, "initial='4'"),
    ("WassersteinGapController(initial=True)", TypeError, "initial=True"),
    ("WassersteinGapController(gap_before='gap')", ValueError, "gap_before='gap', gap_after=None"),
    ("WassersteinGapController(gap_before=1, gap_after=2)", TypeError, "gap_before=1: expected the name"),
    ("LossRatioPIDController('relativistic')", ValueError,
     "objective='relativistic': expected one of 'wasserstein' or 'wgan', 'wasserstein-gp' or 'wgan-gp' or"),
    ("LossRatioPIDController(None)", TypeError, "objective=None"),
    ("LossRatioPIDController('hinge', setpoint=1.0)", ValueError, "setpoint=1.0"),
    ("LossRatioPIDController(setpoint=-0.1)", ValueError, "setpoint=-0.1"),
    ("LossRatioPIDController(kp=-1)", ValueError, "kp=-1: expected a number at least 0"),
    ("LossRatioPIDController(ki=float('nan'))", ValueError, "ki=nan"),
    ("LossRatioPIDController(kd=-0.5)", ValueError, "kd=-0.5"),
    ("LossRatioPIDController(kd=None)", TypeError, "kd=None"),
    ("LossRatioPIDController(deadband=-1)", ValueError, "deadband=-1"),
    ("LossRatioPIDController(error_limit=0)", ValueError, "error_limit=0"),
    ("LossRatioPIDController(slew=0)", ValueError, "slew=0"),
    ("LossRatioPIDController(tracking_time=0.5)", ValueError, "tracking_time=0.5: expected a number at least 1"),
    ("LossRatioPIDController('hinge', g_loss='g')", ValueError, "g_loss='g': 'hinge' needs the critic's loss"),
    ("LossRatioPIDController(d_loss='d')", ValueError, "name both metrics, d_loss and g_loss, or neither"),
    ("LossRatioPIDController('hinge', d_loss=3)", TypeError, "d_loss=3: expected the name"),
    ("AccuracyLadderController(limits=(3, 4))", ValueError, r"limits=\(3, 4\): expected a rung of the ladder within"),
    ("AccuracyLadderController(limits=(6000, 7000))", ValueError, r"limits=\(6000, 7000\): expected a rung"),
    ("AccuracyLadderController(initial=3)", ValueError, "initial=3: expected a rung of the ladder, one of 1, 2, 5"),
    ("AccuracyLadderController(threshold=1.5)", ValueError, "threshold=1.5"),
    ("AccuracyLadderController(grace=0)", ValueError, "grace=0"),
    ("AccuracyLadderController(smoothing=-0.1)", ValueError, "smoothing=-0.1"),
    ("LossChangeRateController(balance=0)", ValueError, "balance=0"),
    ("LossChangeRateController(initial=1.5)", TypeError, "initial=1.5"),
    ("LossChangeRateController(d_loss='d')", ValueError, "d_loss.*running metrics for all of d_loss, g_loss"),
    ("TwoThresholdController(float('nan'), 1)", ValueError, "critic_threshold=nan"),
    ("TwoThresholdController(1, 'a')", TypeError, "generator_threshold='a'"),
    ("AccuracyGateController(steps=0)", ValueError, "steps=0"),
    ("AccuracyGateController(threshold=0.0)", ValueError, "threshold=0.0"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "error", "message"), CASES, ids=[case[0] for case in CASES])
def test_a_bad_argument_is_quoted(code: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(code)


COMMON: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"param_name": "not a name"}, ValueError, "param_name='not a name'"),
    ({"param_name": 3}, TypeError, "param_name=3"),
    ({"output_transform": "loss"}, TypeError, "output_transform='loss': expected a function"),
    ({"on_divergence": 5}, TypeError, "on_divergence=5"),
    ({"on_divergence": "panic"}, ValueError, "'panic'"),
    ({"no_such_argument": 1}, TypeError, "no_such_argument"),
]


@pytest.mark.parametrize(("keywords", "error", "message"), COMMON)
@pytest.mark.parametrize("code", HANDLERS.values(), ids=HANDLERS.keys())
def test_a_bad_common_argument_is_quoted(
    code: str, keywords: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make(code, **keywords)


def test_no_controller_takes_a_name_that_something_else_writes() -> None:
    """Everything of this package that writes to engine.state, on one engine: none of its names is free."""
    generator, critic = torch.nn.Linear(2, 2), torch.nn.Linear(2, 1)
    trainer = create_gan_trainer(
        generator,
        critic,
        torch.optim.SGD(generator.parameters(), lr=0.1),
        torch.optim.SGD(critic.parameters(), lr=0.1),
        data=torch.utils.data.DataLoader(torch.randn(8, 2), batch_size=4),  # type: ignore[arg-type]  # a tensor is one
        latent_dim=2,
    )
    FixedController(2, on_divergence="hold").attach(trainer)
    StopAtBudget(cost=1000).attach(trainer)
    taken = set(vars(trainer.state)) - {"num_discriminator_steps"}
    assert taken >= {"critic_ratio", "divergence", "guard_interventions", "cost_spent", "to_save", "iteration"}
    for name in sorted(taken):
        with pytest.raises(ValueError, match=rf"^param_name='{name}': engine.state.{name} has a meaning of its own"):
            FixedController(2, param_name=name)
    FixedController(2, param_name="num_discriminator_steps")


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"update_every": 0}, ValueError, "update_every=0: expected an int of at least 1"),
        ({"update_every": -1}, ValueError, "update_every=-1"),
        ({"update_every": 2.0}, TypeError, "update_every=2.0"),
        ({"update_every": True}, TypeError, "update_every=True"),
        ({"lagged": 1}, TypeError, "lagged=1: expected True or False"),
    ],
)
@pytest.mark.parametrize("code", FEEDBACK.values(), ids=FEEDBACK.keys())
def test_a_bad_feedback_argument_is_quoted(
    code: str, keywords: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make(code, **keywords)


# --- the sign of the PID, for every objective -------------------------------------------------------------------------

STRONG_AND_WEAK: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "non-saturating": ({"d_loss": [0.05], "g_loss": 5.0}, {"d_loss": [math.log(4.0) + 0.5], "g_loss": 0.3}),
    "hinge": ({"d_loss": [0.05], "g_loss": 5.0}, {"d_loss": [3.0], "g_loss": -1.0}),
    "least-squares": ({"d_loss": [0.01], "g_loss": 1.0}, {"d_loss": [0.75], "g_loss": 0.1}),
    # A strong critic: the generator's update takes next to nothing of its advantage.
    "wasserstein": (
        {"d_real": [1.0], "d_fake": [0.001], "g_fake": 0.0},
        {"d_real": [1.0], "d_fake": [0.9], "g_fake": 0.0},
    ),
}


@pytest.mark.parametrize("objective", STRONG_AND_WEAK)
def test_a_critic_that_is_too_strong_gets_fewer_updates_and_a_weak_one_more(objective: str) -> None:
    for output, sign in zip(STRONG_AND_WEAK[objective], (-1, 1), strict=True):
        controller = LossRatioPIDController(objective, initial=4)
        n = [controller.observe(output) for _ in range(100)]
        assert sign * (controller.ratio - 4) > 1
        assert n[-1] == (1 if sign < 0 else 10)


def test_the_sign_with_running_metrics_under_wasserstein() -> None:
    """A critic whose loss moves faster than the generator's has not settled: it is weak and gets more."""
    for d_scale, g_scale, sign in ((1.0, 0.1, 1), (0.1, 1.0, -1)):
        with pytest.warns(UserWarning, match="free offset.*rates.*of change"):
            controller = LossRatioPIDController(d_loss="d", g_loss="g", initial=4)
        trainer = Engine(lambda engine, batch: {})
        controller.attach(trainer)

        @trainer.on(Events.ITERATION_STARTED)
        def measure(engine: Engine, d: float = d_scale, g: float = g_scale) -> None:
            k = engine.state.iteration % 2
            engine.state.metrics = {"d": d * k, "g": g * k}

        trainer.run(range(200))
        assert sign * (controller.ratio - 4) > 1


def test_every_objective_of_a_trainer_is_one_of_the_pid_and_its_error_lists_it() -> None:
    with pytest.raises(ValueError, match="^objective='relativistic': expected one of ") as caught:
        LossRatioPIDController("relativistic")
    names = str(caught.value).partition("expected one of ")[2].split(", ")
    known = ["wasserstein", *OBJECTIVES]
    assert {name.split(" or ")[0] for name in names} == set(map(repr, known))
    assert all(f'``"{name}"``' in str(LossRatioPIDController.__doc__) for name in known)
    for name in re.findall(r"'([a-z-]+)'", " ".join(names)):
        assert LossRatioPIDController(name).ratio == 3


@pytest.mark.parametrize(
    "name", ["wgan-gp", "WGAN_GP", "wgangp", "wgan-clip", "ns", "nsgan", "lsgan", "ls-gan", "Hinge"]
)
def test_the_usual_names_of_an_objective_are_known_to_trainer_and_pid(name: str) -> None:
    known = get_objective(name).name
    one, other = LossRatioPIDController(name), LossRatioPIDController(known)
    other.load_state_dict(one.state_dict())  # refused if it regulated something else
    assert one.law == other.law


# --- a start that nobody gave -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "start"),
    [
        ("WassersteinGapController()", 2),
        ("WassersteinGapController(limits=(5, 20))", 5),
        ("WassersteinGapController(limits=(1, 1))", 1),
        ("WassersteinGapController(limits=(0, 20))", 2),
        ("WassersteinGapController(limits=None)", 2),
        ("LossRatioPIDController('hinge')", 3),
        ("LossRatioPIDController('hinge', limits=(1, 2))", 2),
        ("LossRatioPIDController('hinge', limits=(6, 9))", 6),
        ("LossChangeRateController()", 1),
        ("LossChangeRateController(limits=(2, 6))", 2),
        ("LossChangeRateController(limits=(0, 6))", 1),
        ("AccuracyLadderController()", 1),
        ("AccuracyLadderController(limits=(0, 10))", 1),
        ("AccuracyLadderController(limits=(2, 10))", 2),
        ("AccuracyLadderController(limits=(3, 10))", 5),
        ("TwoThresholdController(1, 1)", 1),
        ("TwoThresholdController(1, 1, limits=(2, 6))", 2),
    ],
)
def test_a_start_that_was_not_given_gives_way_to_the_limits(code: str, start: int) -> None:
    controller = make(code)
    assert controller.ratio == controller.num_discriminator_steps == start
    assert make(repr(controller)).ratio == start
    feed(controller, healthy(1))
    controller.reset()
    assert controller.ratio == start


# --- names of arguments -----------------------------------------------------------------------------------------------

MISTYPED: list[tuple[str, str]] = [
    (
        "StopAtBudget(1000)",
        "StopAtBudget(1000): give this value by name, such as critic_updates=1000; the names are critic_updates, cost, "
        "critic_cost, generator_cost, param_name",
    ),
    (
        "StopAtBudget(critic_update=5)",
        "StopAtBudget has no argument 'critic_update': did you mean 'critic_updates'? It",
    ),
    (
        "WassersteinGapController(3)",
        "WassersteinGapController(3): give this value by name, such as initial=3; the names",
    ),
    (
        "CriticEffortController(optimizer_d, 3)",
        "CriticEffortController(3): give this value by name, such as initial=3;",
    ),
    ("FixedController(3, 5)", "FixedController(5): give this value by name, such as limits=5; the names are limits"),
    ("ControllerHistory(5, 'n')", "ControllerHistory('n'): give this value by name, such as param_name='n'; the"),
    (
        "WassersteinGapController(n_critic=5)",
        "WassersteinGapController has no argument 'n_critic': did you mean 'initial'? It takes initial, l",
    ),
]


@pytest.mark.parametrize(("code", "message"), MISTYPED)
def test_a_value_without_its_name_or_a_wrong_name_lists_the_names(code: str, message: str) -> None:
    with pytest.raises(TypeError, match=f"^{re.escape(message)}"):
        make(code)


def test_an_optimizer_goes_to_the_controller_that_takes_one() -> None:
    with pytest.raises(
        TypeError, match=r"it takes no optimizer.*; CriticEffortController\(optimizer_d\) sets both"
    ) as got:
        make("WassersteinGapController(optimizer_d)")
    assert "initial=" not in str(got.value)


@pytest.mark.parametrize(
    ("code", "meant"), [("WassersteinGapController(n_critic=5)", "initial"), ("FixedController(n=5)", "steps")]
)
def test_names_of_other_code_are_told_ours(code: str, meant: str) -> None:
    with pytest.raises(TypeError, match=f"did you mean '{meant}'"):
        make(code)


def test_a_guard_class_in_place_of_a_guard_is_refused() -> None:
    with pytest.raises(TypeError, match=r"on_divergence=<class .*a DivergenceGuard, or None"):
        make("WassersteinGapController(on_divergence=DivergenceGuard)")


def test_a_second_optimizer_is_refused_as_one() -> None:
    with pytest.raises(TypeError, match=r"it takes no further optimizer; CriticEffortController\(optimizer_d\) sets"):
        make("CriticEffortController(optimizer_d, optimizer_d)")


@pytest.mark.parametrize("code", HANDLERS.values(), ids=HANDLERS.keys())
def test_an_unknown_name_names_the_class_and_the_right_name(code: str) -> None:
    name = code.partition("(")[0]
    with pytest.raises(TypeError, match=f"^{name} has no argument 'param_nam': did you mean 'param_name'[?] It takes "):
        make(code, param_nam="n")
    if code in FEEDBACK.values():
        with pytest.raises(TypeError, match=f"^{name} has no argument 'update_evry': did you mean 'update_every'[?]"):
            make(code, update_evry=5)


def test_a_class_of_ones_own_may_take_more_names() -> None:
    class Own(WassersteinGapController):
        def __init__(self, **options: Any) -> None:
            self.more = options.pop("more")
            super().__init__(**options)

    assert Own(more=3, initial=4).ratio == 4
    with pytest.raises(TypeError, match="^Own has no argument 'mor': "):
        Own(more=3, mor=4)


# --- entries that a rule needs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "output", "message"),
    [
        ("WassersteinGapController()", {}, "no 'd_real', 'd_fake' and 'g_fake'; it has []"),
        (
            "WassersteinGapController()",
            {"d_real": [1.0] * 2, "g_loss": 1.0},
            "no 'd_fake'; it has ['d_real', 'g_loss']",
        ),
        ("CriticEffortController(optimizer_d)", {"loss": 1.0}, "no 'd_real', 'd_fake' and 'g_fake'; it has ['loss']"),
        ("LossChangeRateController()", {"loss": 1.0}, "no 'd_loss' and 'g_loss'; it has ['loss']"),
        ("TwoThresholdController(1, 1)", {"g_loss": 1.0}, "no 'd_loss'; it has ['g_loss']"),
    ],
)
def test_all_entries_that_are_missing_are_named(code: str, output: dict[str, Any], message: str) -> None:
    with pytest.raises(StepOutputError, match=re.escape(f"the training step's output has {message}")):
        make(code).observe(output)


def test_without_critic_updates_only_the_generators_entries_are_needed() -> None:
    with pytest.raises(StepOutputError, match=re.escape("has no 'g_fake'; it has []")):
        GapShare().pick({}, 0)


@pytest.mark.parametrize(("phase", "names"), [("updates", "'d_real' and 'd_fake'"), ("after", "'d_real' and 'g_fake'")])
def test_the_metric_names_all_entries_that_are_missing(phase: str, names: str) -> None:
    with pytest.raises(
        StepOutputError, match=re.escape(f"the training step must return a dict with the keys {names}, ")
    ):
        WassersteinGap(phase).update(3.0)


def test_running_metrics_that_are_missing_are_all_named() -> None:
    trainer = Engine(lambda engine, batch: None)
    make("WassersteinGapController(gap_before='one', gap_after='two')").attach(trainer)
    with pytest.raises(StepOutputError, match=re.escape("engine.state.metrics has no 'one' and 'two'; it has []")):
        trainer.run(range(3))


# --- what a stranger tried --------------------------------------------------------------------------------------

UNUSUAL: list[tuple[str, type[Exception], str]] = [
    ("DivergenceGuard(param_name='')", ValueError, "^param_name='': expected a name that works as an attribute$"),
    ("StopAtBudget(cost=1, param_name='')", ValueError, "^param_name='': expected a name"),
    ("ControllerHistory(param_name='two words')", ValueError, "^param_name='two words': expected a name"),
    ("FixedController(2, param_name='class')", ValueError, "^param_name='class': expected a name that works"),
    ("DivergenceGuard(param_name=3)", TypeError, "^param_name=3: expected a str, got int$"),
    ("FixedController(10**400)", ValueError, r"^steps=10{39}\.\.\. \(401 characters\): expected an int of at most"),
    ("FixedController(10**5000)", ValueError, "^steps=an int of 16610 bits: expected an int of at most"),
    (
        "WassersteinGapController(base=10**400)",
        ValueError,
        r"^base=10{39}\..*: expected a number that a float can hold$",
    ),
    ("WassersteinGapController(initial=10**400, limits=None)", ValueError, "^initial=10{39}.*that a float can hold$"),
    ("WassersteinGapController(limits=(1, 10**400))", ValueError, r"^limits=\(1, 10{39}.*\): expected ints of at most"),
    (
        "WassersteinGapController(limits=(-10**5000, 10**5000))",
        ValueError,
        r"^limits=.*: expected ints of at most 2\*\*63$",
    ),
    (
        "WassersteinGapController(on_divergence=torch.ones(2))",
        TypeError,
        r"^on_divergence=tensor\(\[1., 1.\]\): expected",
    ),
    ("WassersteinGapController(on_divergence=np.ones(2))", TypeError, r"^on_divergence=array\(\[1., 1.\]\): expected"),
    ("DivergenceGuard(np.ones(2))", TypeError, r"^on_divergence=array"),
    (
        "DivergenceGuard(on_collapse=np.ones(2))",
        TypeError,
        r"^on_collapse=array\(.*\): expected one of 'report'.* got ndarray$",
    ),
    (
        "AccuracyLadderController(initial=np.ones(2))",
        TypeError,
        r"^initial=array\(.*\): expected a finite number, got nd",
    ),
]


@pytest.mark.parametrize(("code", "error", "message"), UNUSUAL, ids=[case[0] for case in UNUSUAL])
def test_unusual_arguments_are_quoted(code: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        eval(code, NAMES | {"np": np, "torch": torch, "math": math})


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"num_samples": -1}, r"^'num_samples' must be an int of at least 0, got -1 \(int\)$"),
        ({"num_samples": True}, r"^'num_samples' must be an int of at least 0, got True \(bool\)$"),
        (
            {"g_fake": torch.tensor(1j)},
            r"^'g_fake' must be a 0-d tensor .* got a tensor of shape \(\) of complex numbers$",
        ),
        ({"d_real": torch.tensor([1j])}, r"^'d_real' must hold one entry .* got a tensor of shape \(1,\) of complex"),
        ({"d_fake": [torch.tensor(1j)]}, r"^'d_fake\[0\]' must be a 0-d tensor .* of complex numbers$"),
        (
            {"g_fake": np.array(1.0)},
            r"^'g_fake' must .* got array\(1\.\) \(a NumPy array; torch\.as_tensor\(\.\.\.\) makes",
        ),
        ({"d_real": np.array([1.0])}, r"^'d_real' must .* \(a NumPy array; torch\.as_tensor"),
    ],
)
def test_unusual_outputs_are_quoted(entry: dict[str, Any], message: str) -> None:
    controller = make("WassersteinGapController(initial=1)")
    with pytest.raises(StepOutputError, match=message):
        controller.observe({"d_real": [1.0], "d_fake": [0.5], "g_fake": 0.25} | entry)
    assert (controller.samples_seen, controller.generator_updates) == (0, 0)


@pytest.mark.parametrize("code", FEEDBACK.values(), ids=FEEDBACK.keys())
@pytest.mark.parametrize("name", ["law", "signal", "lowest", "initial_rate", "regulates", "check_limits", "rates"])
def test_what_a_base_class_takes_is_no_argument(code: str, name: str) -> None:
    """A rule without a rate would end in the middle of a run."""
    if name == "rates" and "optimizer_d" in code:
        return
    with pytest.raises(TypeError, match=f"has no argument '{name}'"):
        make(code, **{name: (1, 2)})


def test_a_class_of_your_own_takes_what_it_passes_on() -> None:
    class Own(WassersteinGapController):
        def __init__(self, **more: Any) -> None:
            super().__init__(**more)

    assert Own(setpoint=0.1, update_every=3).setpoint == 0.1
