"""Numbers that can't be what a rule takes them for: held, and told once with what they are."""

from __future__ import annotations

import logging
import math
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from torch import nn
from torch.utils.data import DataLoader

from adaptive_critic import (
    AccuracyGateController,
    AccuracyLadderController,
    CriticEffortController,
    LossChangeRateController,
    LossRatioPIDController,
    WassersteinGap,
    WassersteinGapController,
    create_gan_trainer,
)
from adaptive_critic.decision import Feedback
from adaptive_critic.handlers.base import FeedbackController
from adaptive_critic.laws import GapShareLaw
from adaptive_critic.laws.effort import CriticEffortLaw
from adaptive_critic.signals import GapShare
from adaptive_critic.step_output import StepOutputError


def effort(**options: Any) -> CriticEffortController:
    return CriticEffortController(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1), **options)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "adaptive_critic"]


@pytest.mark.parametrize("update_every", [1, 4])
@pytest.mark.parametrize("kind", [float, torch.tensor])
@pytest.mark.parametrize("make", [AccuracyGateController, AccuracyLadderController])
def test_an_accuracy_in_percent_is_held_and_told_once(
    make: Any, kind: Any, update_every: int, caplog: pytest.LogCaptureFixture
) -> None:
    controller: FeedbackController = make(update_every=update_every)
    for _ in range(4):
        controller.observe({"g_fake_accuracy": kind(0.5)})
    before = controller.num_discriminator_steps, repr(controller.state_dict()["law"]["values"])
    for _ in range(40):
        controller.observe({"g_fake_accuracy": kind(80.0)})
    assert (controller.num_discriminator_steps, repr(controller.state_dict()["law"]["values"])) == before
    assert controller.bad_observations == 40 // update_every
    (message,) = told(caplog)
    assert message == (
        "'g_fake_accuracy' is 80: an accuracy is a share in [0, 1], this may be a percentage or a number of samples. "
        "The number of critic updates is held while it is like this"
    )
    for _ in range(4):
        controller.observe({"g_fake_accuracy": kind(0.5)})
    assert controller.bad_observations == 40 // update_every, "it goes on with what is an accuracy"
    controller.reset()
    for _ in range(4):
        controller.observe({"g_fake_accuracy": kind(80.0)})
    assert len(told(caplog)) == 2, "once per run"


@pytest.mark.parametrize("objective", ["hinge", "non-saturating", "least-squares"])
def test_a_wasserstein_loss_under_another_objective_is_held_and_told(
    objective: str, caplog: pytest.LogCaptureFixture
) -> None:
    controller = LossRatioPIDController(objective, initial=5)
    for _ in range(50):
        controller.observe({"d_loss": [-3.25] * 5, "g_loss": 1.0})
    assert (controller.num_discriminator_steps, controller.bad_observations) == (5, 50)
    (message,) = told(caplog)
    assert "'d_loss' is -3.25: " in message
    assert "is never negative" in message
    assert "LossRatioPIDController('wasserstein')" in message


def scores(iteration: int, real: float, fake: float) -> dict[str, Any]:
    """Return the output of a step whose critic tells real from generated samples, with some noise."""
    noise = 0.1 * math.sin(iteration)
    return {"d_real": [real + noise], "d_fake": [fake + 0.1], "d_loss": [0.0], "g_fake": fake, "g_loss": -fake}


@pytest.mark.parametrize("update_every", [1, 10])
@pytest.mark.parametrize(("real", "fake"), [(-2.0, 2.0), (-2.0, -1.0)], ids=["the other sign", "swapped"])
@pytest.mark.parametrize("make", [WassersteinGapController, LossRatioPIDController])
def test_scores_that_are_the_wrong_way_round_are_told_once(
    make: Any, real: float, fake: float, update_every: int, caplog: pytest.LogCaptureFixture
) -> None:
    controller = make(update_every=update_every, limits=(1, 1), initial=1)
    for iteration in range(995):
        controller.observe(scores(iteration, real, fake))
    assert told(caplog) == []
    for iteration in range(995, 2500):
        controller.observe(scores(iteration, real, fake))
    (message,) = told(caplog)
    assert "d_real has been below d_fake for 100" in message
    assert "are the two swapped, or do the scores have the other sign?" in message
    assert controller.bad_observations == 0, "it is only told"


def without_g_fake(iteration: int) -> dict[str, Any]:
    output = scores(iteration, 1.0, 0.0)
    del output["g_fake"]
    return output


@pytest.mark.parametrize("attached", [True, False])
def test_a_loss_that_stands_for_the_score_is_told_once(attached: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Under a non-saturating objective it is none; which one it is, the gap controller can't know."""
    controller = WassersteinGapController(limits=(1, 1), initial=1)
    if attached:
        trainer = Engine(lambda engine, batch: without_g_fake(engine.state.iteration))
        controller.attach(trainer)
        trainer.run(range(10))
    else:
        for iteration in range(10):
            controller.observe(without_g_fake(iteration))
    (message,) = told(caplog)
    assert message.startswith("the training step's output has no 'g_fake', so -g_loss stands for it.")
    assert "under any other return 'g_fake'" in message
    controller.reset()
    if not attached:
        controller.observe(without_g_fake(0))
        assert len(told(caplog)) == 2, "once per run"


@pytest.mark.parametrize(
    ("controller", "output"),
    [
        (WassersteinGapController(limits=(1, 1), initial=1), scores(1, 1.0, 0.0)),
        (LossRatioPIDController("wasserstein-gp"), without_g_fake(1)),
        (LossRatioPIDController("hinge"), {"d_loss": [1.0], "g_loss": 1.0}),
        (WassersteinGapController(gap_before="gap", gap_after="gap"), {"g_loss": 1.0}),
    ],
    ids=["g_fake is there", "the objective is known", "no gap", "running metrics"],
)
def test_no_stand_in_nothing_told(
    controller: FeedbackController, output: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    trainer = Engine(lambda engine, batch: output)

    @trainer.on(Events.ITERATION_COMPLETED)
    def set_metrics(engine: Engine) -> None:
        engine.state.metrics.update(gap=1.0)

    controller.attach(trainer)
    trainer.run(range(5))
    assert [message for message in told(caplog) if "g_fake" in message] == []


def test_the_metric_tells_too(caplog: pytest.LogCaptureFixture) -> None:
    for phase, count in (("updates", 0), ("before", 0), ("after", 1)):
        metric = WassersteinGap(phase)
        for iteration in range(4):
            metric.update(without_g_fake(iteration))
        assert len(told(caplog)) == count
    metric.reset()
    metric.update(scores(1, 1.0, 0.0))
    assert len(told(caplog)) == 1


@pytest.mark.parametrize("update_every", [1, 100])
def test_a_weak_critic_is_no_doubt(update_every: int, caplog: pytest.LogCaptureFixture) -> None:
    """900 iterations below, some above, over and over; and few decisions, whose means hide those above."""
    controller = WassersteinGapController(update_every=update_every, limits=(1, 1), initial=1)
    for iteration in range(4000):
        below = iteration % 910 < 900
        controller.observe(scores(iteration, -1.0 if below else 1.0, 0.0))
    assert told(caplog) == []


@pytest.mark.parametrize("value", [0.0, 1.0, 1.0004, -0.0004])
def test_rounding_is_no_doubt(value: float, caplog: pytest.LogCaptureFixture) -> None:
    gate, pid = AccuracyGateController(), LossRatioPIDController("hinge")
    for _ in range(5):
        gate.observe({"g_fake_accuracy": value})
        pid.observe({"d_loss": value, "g_loss": 1.0})
    assert gate.bad_observations == pid.bad_observations == 0
    assert told(caplog) == []


def test_a_wasserstein_loss_may_be_negative_where_it_is_one(caplog: pytest.LogCaptureFixture) -> None:
    controller = LossRatioPIDController("wasserstein")
    with caplog.at_level(logging.INFO, logger="adaptive_critic"):
        for _ in range(50):
            n = controller.num_discriminator_steps
            controller.observe({"d_real": [1.0] * n, "d_fake": [0.5] * n, "d_loss": [-0.5] * n, "g_loss": -0.4})
    assert controller.bad_observations == 0
    assert told(caplog) == []


# --- the loss in the place of the score ---------------------------------------------------------------------------


def loss_as_score(iteration: int, form: str) -> dict[str, Any]:
    value = -1.0 - 0.1 * math.sin(iteration)
    if form == "floats":
        return {"g_loss": value, "g_fake": value}
    loss = torch.tensor(value, requires_grad=True)
    return {"g_loss": loss.detach(), "g_fake": loss if form == "the tensor" else loss.detach()}


@pytest.mark.parametrize("form", ["floats", "the tensor", "the tensor, detached twice"])
@pytest.mark.parametrize("make", [WassersteinGapController, LossRatioPIDController])
def test_a_loss_returned_as_the_score_is_told_once(make: Any, form: str, caplog: pytest.LogCaptureFixture) -> None:
    controller = make(limits=(1, 1), initial=1)
    for iteration in range(9):
        controller.observe(scores(iteration, 1.0, 0.0) | loss_as_score(iteration, form))
    assert told(caplog) == []
    for iteration in range(9, 50):
        controller.observe(scores(iteration, 1.0, 0.0) | loss_as_score(iteration, form))
    (message,) = told(caplog)
    assert message.startswith("'g_fake' has been the same number as 'g_loss' for 10 iterations in a row.")
    controller.reset()
    for iteration in range(10):
        controller.observe(scores(iteration, 1.0, 0.0) | loss_as_score(iteration, form))
    assert len(told(caplog)) == 2, "once per run"


@pytest.mark.parametrize("form", ["floats", "tensors", "one buffer", "zeros", "now and then"])
def test_a_score_of_its_own_is_no_doubt(form: str, caplog: pytest.LogCaptureFixture) -> None:
    controller = WassersteinGapController(limits=(1, 1), initial=1)
    buffer = torch.zeros(2)
    for iteration in range(300):
        entries: dict[str, Any] = {"g_loss": -0.5, "g_fake": 0.5}
        if form == "tensors":
            entries = {key: torch.tensor(value) for key, value in entries.items()}
        elif form == "one buffer":
            buffer.copy_(torch.tensor(list(entries.values())))
            entries = dict(zip(entries, buffer.unbind(), strict=True))
        elif form == "zeros":
            entries = {"g_loss": 0.0, "g_fake": 0.0}
        elif form == "now and then" and iteration % 10:
            entries = {"g_loss": 0.5, "g_fake": 0.5}
        controller.observe(scores(iteration, 1.0, 0.0) | entries)
    assert not [message for message in told(caplog) if "the same number" in message]


# --- nothing finite -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [list, torch.tensor])
def test_a_run_of_nothing_but_bad_observations_is_told_once(kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    controller = WassersteinGapController(initial=3)

    def observe(iterations: int, value: float) -> None:
        for _ in range(iterations):
            g_fake, n = kind([value])[0], controller.num_discriminator_steps
            controller.observe(
                {"d_real": kind([1.0] * n), "d_fake": kind([value] * n), "g_fake": g_fake, "g_loss": 0.5}
            )

    observe(20, math.nan)  # the first has none before it, and is no observation
    assert told(caplog) == []
    observe(1, math.nan)
    (message,) = told(caplog)
    assert message == (
        "20 decisions in a row have found no finite observation of 'used' and 'gap', or no number from it, so the "
        "number of critic updates is held. The latest iteration has 'd_fake': [nan, nan, nan], 'g_fake': [nan]. If it "
        "stays like this the run has diverged: look at the training step, or attach a guard (on_divergence=), which "
        "acts on it"
    )
    observe(5, 0.5)
    observe(100, math.inf)
    assert len(told(caplog)) == 1, "once per run"
    controller.reset()
    observe(100, -math.inf)
    assert len(told(caplog)) == 2


class Nameless(GapShareLaw):
    """A law with a fault: it proposes NaN as the ratio."""

    def update(self, state: Any, observation: Any, ratio: float) -> Any:
        return state, math.nan


class Rateless(CriticEffortLaw):
    """A law with a fault: it proposes NaN as the rate."""

    def update(self, state: Any, observation: Any, ratio: float, rate: float) -> Any:
        return state, 2.0, math.nan


@pytest.mark.parametrize(("law", "rates"), [(Nameless(), None), (Rateless(), (1.0, 16.0))])
def test_a_law_that_proposes_no_number_is_held_and_told(law: Any, rates: Any, caplog: pytest.LogCaptureFixture) -> None:
    decision = Feedback(law, GapShare(), initial=3.0, limits=(1, 20), rates=rates, initial_rate=4.0)
    for _ in range(30):
        decision.observe({"d_real": [1.0], "d_fake": [0.5], "g_fake": 0.2}, {}, 1)
    assert decision.ratio == 3.0
    assert decision.rate == (None if rates is None else 4.0)
    assert decision.bad_observations == 29
    (message,) = told(caplog)
    assert message.startswith(
        "20 decisions in a row have found no finite observation of 'used' and 'gap', or no number"
    )


def test_bad_observations_that_are_not_in_a_row_are_not_told(caplog: pytest.LogCaptureFixture) -> None:
    controller = LossRatioPIDController("hinge")
    for iteration in range(200):
        loss = 1.0 if iteration % 20 == 0 else math.nan
        controller.observe({"d_loss": [loss] * controller.num_discriminator_steps, "g_loss": 1.0})
    assert controller.bad_observations == 190
    assert told(caplog) == []


def test_what_no_entry_shows_is_told_with_what_there_is(caplog: pytest.LogCaptureFixture) -> None:
    """A loss of exactly 0 has no relative change."""
    controller = LossChangeRateController()
    for _ in range(50):
        controller.observe({"d_loss": [0.0], "g_loss": 1.0, "images": "many"})
    (message,) = told(caplog)
    assert "no finite observation of 'd_rate' and 'g_rate'" in message
    assert "The latest iteration has 'd_loss': [0], 'g_loss': [1]. If" in message


def test_metrics_that_are_not_finite_are_told(caplog: pytest.LogCaptureFixture) -> None:
    controller = WassersteinGapController(gap_before="before", gap_after="after")
    trainer = Engine(lambda engine, batch: None)

    @trainer.on(Events.ITERATION_COMPLETED)
    def set_metrics(engine: Engine) -> None:
        engine.state.metrics.update(before=math.nan, after=1.0)

    controller.attach(trainer)
    trainer.run(range(60))
    (message,) = told(caplog)
    assert "The latest iteration has 'gap_before': [nan]. If" in message


# --- one value for each sample ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [list, torch.tensor])
def test_values_of_samples_are_an_error_that_shows_the_change(kind: Any) -> None:
    controller = LossRatioPIDController("hinge")
    before = controller.state_dict()
    with pytest.raises(StepOutputError, match=r"'d_loss' has length 64, and n = 3 was asked for: .*"
                       r"samples\? Return their mean for each critic update"):  # fmt: skip
        controller.observe({"d_loss": kind([2.0] * 64), "g_loss": 1.0})
    assert controller.state_dict() == before
    controller.override(1, 64)
    controller.observe({"d_loss": kind([2.0] * 64), "g_loss": 1.0})  # where so many were asked for


def test_a_critic_without_a_generator_loss_is_regulated(caplog: pytest.LogCaptureFixture) -> None:
    controller = LossRatioPIDController("non-saturating", ideal=math.log(2.0))
    for _ in range(100):  # a discriminator of imitation learning that is at parity
        controller.observe({"d_loss": [math.log(2.0)] * controller.num_discriminator_steps})
    assert controller.signal == pytest.approx(0.0)
    assert told(caplog) == []


# --- generator updates that raise the gap -------------------------------------------------------------------------


@pytest.mark.parametrize("update_every", [1, 10])
def test_a_share_below_0_for_long_is_logged_with_its_causes(
    update_every: int, caplog: pytest.LogCaptureFixture
) -> None:
    controller = WassersteinGapController(update_every=update_every, limits=(1, 1), initial=1)
    for iteration in range(450):
        noise = 0.1 * math.sin(iteration)
        controller.observe({"d_real": [2.0], "d_fake": [-0.1 + noise], "g_fake": 0.0, "g_loss": 0.5})
    (message,) = told(caplog)
    assert re.search(r"have raised the critic's gap over 5\d iterations, each by 0.0(5|48) of it", message)
    assert "Is d_fake of an image pool" in message


def test_a_share_of_noise_around_0_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    controller = WassersteinGapController(limits=(1, 1), initial=1)
    for iteration in range(1000):
        noise = 0.4 * math.sin(7.3 * iteration)
        controller.observe({"d_real": [2.0], "d_fake": [noise - 0.01], "g_fake": 0.0, "g_loss": 0.5})
    assert told(caplog) == []


def test_a_share_below_0_that_noise_hides_at_first_is_logged_later(caplog: pytest.LogCaptureFixture) -> None:
    controller = WassersteinGapController(limits=(1, 1), initial=1)
    for iteration in range(250):
        noise = 0.4 * math.sin(7.3 * iteration)
        controller.observe({"d_real": [2.0], "d_fake": [noise - 0.12], "g_fake": 0.0, "g_loss": 0.5})
    (message,) = told(caplog)
    assert "over 200 iterations" in message


# --- scores that are swapped, early ----------------------------------------------------------------------------------

SCORES: dict[str, Callable[[float, float, float], tuple[float, float, float]]] = {
    "as they should be": lambda real, fake, generated: (real, fake, generated),
    "swapped": lambda real, fake, generated: (fake, real, generated),
    "all of the other sign": lambda real, fake, generated: (-real, -fake, -generated),
    "g_fake of the other sign": lambda real, fake, generated: (real, fake, -generated),
}


def trained(iterations: int, form: str, n: Callable[[], int]) -> Iterator[dict[str, Any]]:
    """Yield the scores of a critic whose gap swings around 1, of which a generator update uses up about a fifth."""
    source = random.Random(3)
    gap, before = 1.0, -0.7
    for _ in range(iterations):
        gap = min(max(gap + source.gauss(0.0, 0.1), 0.5), 1.5)
        generated = source.gauss(-0.7, 0.05)
        real, fake, score = SCORES[form](before + gap, before + source.gauss(0.2, 0.1), generated)
        yield {"d_real": [real] * n(), "d_fake": [fake] * n(), "d_loss": [0.0] * n(), "g_fake": score, "g_loss": 0.25}
        before = generated


BELOW = r"the critic has scored fakes above real samples for \d+ iterations, by .* swapped, or .* the other sign\?"


@pytest.mark.parametrize("update_every", [1, 10])
@pytest.mark.parametrize("make", [WassersteinGapController, LossRatioPIDController, effort])
@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("as they should be", None),
        ("swapped", BELOW),
        ("all of the other sign", BELOW),
        ("g_fake of the other sign", r"raised the critic's gap over \d+ iterations, .* g_fake of the other sign\?"),
    ],
)
def test_scores_that_are_swapped_or_of_the_other_sign_are_told_early_and_once(
    form: str, expected: str | None, make: Any, update_every: int, caplog: pytest.LogCaptureFixture
) -> None:
    controller = make(update_every=update_every)
    caplog.clear()  # ten iterations are many for the effort law, which says so

    def messages() -> list[str]:
        return [text for text in told(caplog) if "upper limit" not in text and "optimizer_d" not in text]

    for iteration, output in enumerate(trained(1500, form, lambda: controller.num_discriminator_steps), start=1):
        controller.observe(output)
        assert iteration != 100 or form == "as they should be" or len(messages()) == 1, "early"
    found = messages()
    assert len(found) == (expected is not None), "once"
    assert expected is None or re.search(expected, found[0])


def swapped(output: dict[str, Any]) -> dict[str, Any]:
    return output | {"d_real": output["d_fake"], "d_fake": output["d_real"]}


@pytest.mark.parametrize("transform", [None, swapped])
@pytest.mark.parametrize("controller", ["gap", "effort"])
def test_a_gan_whose_step_swaps_its_scores_is_told_within_100_iterations(
    controller: str, transform: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        generator, critic = (
            nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, width))
            for width in (2, 1)
        )
        optimizer_g, optimizer_d = (
            torch.optim.Adam(network.parameters(), lr=1e-3, betas=(0.0, 0.9)) for network in (generator, critic)
        )
        points = torch.randn(2048, 2) * torch.tensor([0.3, 2.0]) + 1.0
        trainer = create_gan_trainer(
            generator,
            critic,
            optimizer_g,
            optimizer_d,
            data=DataLoader(points, batch_size=64, shuffle=True),  # type: ignore[arg-type]  # a tensor is one
            latent_dim=2,
        )
        if controller == "gap":
            WassersteinGapController(output_transform=transform).attach(trainer)
        else:
            CriticEffortController(optimizer_d, output_transform=transform).attach(trainer)
        trainer.run(max_epochs=1, epoch_length=100)
    messages = told(caplog)
    assert len(messages) == (transform is not None)
    assert all("the critic has scored fakes above real samples" in message for message in messages)


def undecided(times: float, spread: float, iterations: int, **options: Any) -> None:
    """Show a hinge controller the loss of a critic at ``times`` the ideal, with noise of that share of it."""
    controller = LossRatioPIDController("hinge", **options)
    for iteration in range(iterations):
        loss = 2.0 * times * (1.0 + spread * math.sin(iteration))
        controller.observe({"d_loss": [loss] * controller.num_discriminator_steps, "g_loss": 0.0})


@pytest.mark.parametrize("update_every", [1, 30])
@pytest.mark.parametrize(("times", "shown"), [(0.5, "0.5"), (1.95, "2"), (7.1, "8")])
def test_an_undecided_critic_with_another_ideal_is_told_once(
    times: float, shown: str, update_every: int, caplog: pytest.LogCaptureFixture
) -> None:
    undecided(times, 0.02, 600, update_every=update_every)
    (message,) = [text for text in told(caplog) if "upper limit" not in text]
    assert f"'d_loss' has been about {shown} times the ideal of 2 for 200 iterations" in message
    assert f"LossRatioPIDController(ideal={2.0 * float(shown):g})" in message


@pytest.mark.parametrize(
    ("times", "spread", "options"),
    [(1.0, 0.02, {}), (0.9, 0.02, {}), (0.44, 0.02, {}), (0.5, 0.15, {}), (0.0, 0.0, {}), (0.5, 0.02, {"ideal": 1.0})],
    ids=["right", "held at the setpoint", "ahead", "decided: it varies", "perfect", "told the ideal"],
)
def test_a_loss_that_is_no_multiple_of_the_ideal_is_not_told(
    times: float, spread: float, options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    undecided(times, spread, 600, **options)
    assert told(caplog) == []
