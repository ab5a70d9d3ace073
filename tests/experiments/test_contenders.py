from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ignite.engine import Engine

from experiments.__main__ import COMMITTED
from experiments.contenders import CONTENDERS, DEVELOPMENT_PAIR, Contender, select_contenders
from experiments.contenders.average_course import FILE, HALVES, AverageCourse, course_tasks
from experiments.contenders.critic_rates import GapAwareRate, TimeScaleRatio, TwoTimeScales
from experiments.contenders.matched_mean import HeldMean, RandomSteps
from experiments.contenders.per_update import ExactAccuracyGate, ExactLossChangeRate, ExactTwoThresholds
from experiments.contenders.write_courses import average
from experiments.runner import Training
from experiments.schema import load_results
from experiments.tasks import all_tasks


def _numbers(handler: HeldMean | RandomSteps | AverageCourse, iterations: int) -> list[int]:
    seen: list[int] = []

    def look(engine: Engine, _: Any) -> None:
        state: Any = engine.state
        seen.append(state.num_discriminator_steps)

    engine = Engine(look)
    handler.attach(engine)
    engine.run(range(iterations))
    return seen


def test_the_table_has_what_the_suite_is_about() -> None:
    everywhere = {c.name for c in CONTENDERS if c.tasks is None}
    assert everywhere >= {f"fixed-{n}" for n in (1, 2, 3, 5, 10, 20)}
    assert everywhere >= {"wgan-reference", "gap", "pid", "ladder", "change-rate", "ttur", "gap-aware-rate"}
    assert everywhere >= {
        "mean-of:gap",
        "mean-of:pid",
        "effort",
        "mean-of:effort",
        "gap-x4",
        "gap-x8",
        "adarpgan",
        "half",
        "time-scale-ratio",
    }
    assert everywhere >= {f"lazy-{k}:{name}" for k in (2, 4) for name in ("fixed-5", "pair-2x16", "effort")}
    assert everywhere >= {f"pair-{n}x{m}" for n in (1, 2, 3, 5, 10) for m in (2, 4, 8, 16)}
    wider = {c.name for c in CONTENDERS if c.tasks == DEVELOPMENT_PAIR}
    assert wider >= {"step-decay", "random-of:gap", "two-thresholds", "accuracy-gate"}
    assert wider >= {f"exact-change-rate-{balance}" for balance in (1, 2, 5, 10)}
    names = [c.name for c in CONTENDERS]
    assert len(names) == len(set(names))
    assert all(c.matches is None or c.matches in names for c in CONTENDERS)
    assert all(all_tasks()[name].suite == "development" for name in DEVELOPMENT_PAIR)


@pytest.mark.parametrize("contender", CONTENDERS, ids=lambda c: c.name)
def test_every_contender_trains(contender: Contender) -> None:
    usual = "pinwheel-hinge" if contender.needs_scores_with_a_scale else "ring"
    name = usual if contender.runs_on(all_tasks()[usual]) else "pinwheel"
    task = replace(all_tasks()[name].cut(), budget=60.0)
    training = Training(task, contender, seed=0, steps=2.3)
    ledger = training.run()
    assert len(ledger.curves["quality"]) == task.evaluations
    assert not ledger.diverged
    assert ledger.generator_updates > 0
    assert training.cost >= task.budget
    if contender.kind in ("fixed", "pair"):
        assert ledger.critic_updates == contender.setting["steps"] * ledger.generator_updates


def test_wasserstein_tasks_are_left_out_where_a_rule_divides_by_their_ideal_loss() -> None:
    (contender,) = select_contenders(["gap-aware-rate"])
    runs_on = {task.objective for task in all_tasks().values() if contender.runs_on(task)}
    assert runs_on == {"non-saturating", "hinge", "least-squares"}


def test_a_penalty_is_taken_less_often_only_where_there_is_one() -> None:
    (contender,) = select_contenders(["lazy-2:fixed-5"])
    left_out = {task.name for task in all_tasks().values() if not contender.runs_on(task)}
    assert left_out == {
        "pinwheel-clipping",
        "published-clipping",
        "published-dcgan",
        "published-spectral",
    }


def test_an_unknown_contender_is_answered_with_the_list() -> None:
    with pytest.raises(ValueError, match=r"unknown contender 'fixed-4'; there are: fixed-1, .*gap"):
        select_contenders(["gap", "fixed-4"])


def test_a_held_mean_is_met_exactly() -> None:
    numbers = _numbers(HeldMean(2.3), 100)
    assert sum(numbers) == 230
    assert set(numbers) == {2, 3}
    # No long stretch of one kind: at any moment the sum is within one half of the mean.
    assert all(abs(sum(numbers[:k]) - 2.3 * k) <= 0.5 + 1e-9 for k in range(101))


def test_random_numbers_have_the_mean_but_not_the_order() -> None:
    numbers = _numbers(RandomSteps(4.0, seed=1), 4000)
    assert abs(sum(numbers) / 4000 - 4.0) < 0.1
    assert min(numbers) <= 2
    assert max(numbers) >= 8
    assert _numbers(RandomSteps(4.0, seed=1), 50) == numbers[:50]
    assert _numbers(RandomSteps(4.0, seed=2), 50) != numbers[:50]


@pytest.mark.parametrize("steps", [math.nan, math.inf, -1.0])
def test_a_mean_that_is_no_number_of_updates_is_refused(steps: float) -> None:
    with pytest.raises(ValueError, match="steps="):
        HeldMean(steps)
    with pytest.raises(ValueError, match="steps="):
        RandomSteps(steps, seed=0)


def test_an_average_course_is_of_the_other_seeds_and_none_of_this_run() -> None:
    optimizer = _optimizer(2.0)
    known = json.loads(FILE.read_bytes())
    for seed, half in ((48, "55-59"), (55, "41-48"), (60, "41-48")):
        course = AverageCourse("table", seed, optimizer)
        assert course.courses == [known[half]["table"]]
        assert seed not in HALVES[half]
    (own,) = course.courses
    assert course.at(1) == course.at(int(own["iterations"][0])) == pytest.approx((own["n"][0], own["rate"][0]))
    assert course.at(10**6) == pytest.approx((own["n"][-1], own["rate"][-1]))
    others = AverageCourse("table", 55, optimizer, of_others=True)
    assert others.courses == [known["41-48"][name] for name in course_tasks() if name != "table"]
    assert others.at(10**6)[0] == pytest.approx(statistics.geometric_mean(each["n"][-1] for each in others.courses))
    numbers = _numbers(course, 300)
    assert abs(sum(numbers) - sum(course.at(i)[0] for i in range(1, 301))) <= 0.5 + 1e-9
    assert optimizer.param_groups[0]["lr"] == pytest.approx(2.0 * course.at(300)[1])
    assert len(AverageCourse("ring", 41, optimizer, of_others=True).courses) == len(course_tasks())
    with pytest.raises(ValueError, match=r"task='ring': there are courses of pinwheel, .*two-moons"):
        AverageCourse("ring", 41, optimizer)


def test_the_committed_courses_are_those_of_the_committed_runs() -> None:
    runs = [r for r in load_results(COMMITTED).runs if r.config.contender == "effort"]
    known = json.loads(FILE.read_bytes())
    assert set(course_tasks()) == {run.config.task for run in runs} == set(known["55-59"])
    for half, seeds in HALVES.items():
        for task, course in known[half].items():
            its = [run for run in runs if run.config.task == task and run.config.seed in seeds]
            assert len(its) == len(seeds)
            assert average(its) == course


def _optimizer(rate: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)


def test_two_time_scales_are_four_times_the_generators_rate() -> None:
    optimizer = _optimizer(0.5)
    TwoTimeScales(optimizer, generator_rate=0.01, factor=4.0)
    assert optimizer.param_groups[0]["lr"] == 0.04


@pytest.mark.parametrize(
    ("loss", "expected"),
    # Ideal 2, so that 0.2 is the distance at which the limits are met.
    [(2.0, 1.0), (2.1, 2**0.5), (2.2, 2.0), (5.0, 2.0), (1.9, 0.1**0.5), (1.8, 0.1), (0.0, 0.1)],
)
def test_the_gap_aware_rate_follows_its_published_form(loss: float, expected: float) -> None:
    assert GapAwareRate("hinge", _optimizer(1.0)).factor(loss) == pytest.approx(expected)


def test_the_gap_aware_rate_multiplies_the_base_rate_and_averages() -> None:
    optimizer = _optimizer(0.3)
    rule = GapAwareRate("hinge", optimizer, smoothing=0.5)
    losses = iter([1.8, 2.2, math.nan])
    engine = Engine(lambda engine, _: {"d_loss": torch.tensor([next(losses)])})
    rule.attach(engine)
    rates: list[float] = []
    engine.add_event_handler("ITERATION_COMPLETED", lambda: rates.append(optimizer.param_groups[0]["lr"]))
    engine.run(range(3))
    # The average goes 1.8, 2.0, and a loss that is not finite leaves it alone.
    assert rates == pytest.approx([0.03, 0.3, 0.3])


@pytest.mark.parametrize("make", [torch.optim.Adam, torch.optim.RMSprop])
def test_time_scales_follow_the_ratio_of_squared_gradients(make: Callable[..., torch.optim.Optimizer]) -> None:
    generator, critic = (torch.nn.Parameter(torch.ones(4)) for _ in range(2))
    optimizer_g, optimizer_d = make([generator], lr=0.5), make([critic], lr=0.5)
    gradients = iter([(1.0, 2.0), (1.0, 0.0), (9.0, 0.0), (math.nan, 1.0)])
    factors: list[float] = []

    def train_step(engine: Engine, _: int) -> None:
        factors.append(optimizer_g.param_groups[0]["lr"] / 0.5)
        players = ((generator, optimizer_g), (critic, optimizer_d))
        for (weight, optimizer), slope in zip(players, next(gradients), strict=True):
            weight.grad = torch.full((4,), slope)
            optimizer.step()

    engine = Engine(train_step)
    engine.state.to_save = {"optimizer_g": optimizer_g, "optimizer_d": optimizer_d}  # type: ignore[attr-defined]
    TimeScaleRatio(optimizer_d).attach(engine)
    engine.add_event_handler("COMPLETED", lambda: factors.append(optimizer_g.param_groups[0]["lr"] / 0.5))
    engine.run(range(4))
    assert engine.state.num_discriminator_steps == 1  # type: ignore[attr-defined]
    kept = 0.999 if make is torch.optim.Adam else 0.99
    # Squares of 1 and 2; the generator's grow, until they are larger; what is not finite changes nothing.
    expected = [1.0, 0.25**0.6, ((1.0 + kept) / (4.0 * kept)) ** 0.6, 1.0]
    assert factors == pytest.approx([*expected, expected[-1]])
    assert optimizer_d.param_groups[0]["lr"] == 0.5


class _FakeStep:
    """Stands for GANTrainingStep: hands out the losses that it was given."""

    def __init__(self, losses: Sequence[float] = (), scores: Sequence[float] = ()) -> None:
        self.losses: Iterator[float] = iter(losses)
        self.scores: Iterator[float] = iter(scores)
        self.trained: list[str] = []
        self.objective = SimpleNamespace(
            boundary=0.0, critic_loss=lambda real, fake: real, generator_term=lambda fake: fake
        )
        self.batches: Any = self
        self.batch_size = 1

    def __next__(self) -> torch.Tensor:
        return torch.zeros(1)

    def prepare_batch(self, batch: torch.Tensor) -> Any:
        return SimpleNamespace(samples=batch)

    def sample_latent(self, size: int) -> torch.Tensor:
        return torch.zeros(size)

    def generator(self, latents: torch.Tensor) -> torch.Tensor:
        return latents

    def discriminator(self, samples: torch.Tensor) -> torch.Tensor:
        return torch.tensor(next(self.scores))

    def critic_update(self, drawn: Any) -> Any:
        return self._measured("D")

    def generator_update(self, requests: Any) -> Any:
        return self._measured("G")

    def _measured(self, who: str) -> Any:
        self.trained.append(who)
        loss = torch.tensor(next(self.losses, 0.0))
        return SimpleNamespace(loss=loss, fake=torch.zeros(1), real=torch.zeros(1), penalty=torch.zeros(()))


def _trained(rule: Any, step: _FakeStep, iterations: int) -> str:
    rule.step = step
    for _ in range(iterations):
        rule(None, None)
    return "".join(step.trained)


def test_the_exact_two_thresholds_switch_after_each_single_update() -> None:
    # Critic until its loss is below 1; then generator until its loss is below 2; and so on.
    step = _FakeStep([3.0, 2.0, 0.5, 5.0, 4.0, 1.5, 0.9, 1.0])
    assert _trained(ExactTwoThresholds(100, 1.0, 2.0), step, 4) == "DDDGGGDG"


def test_the_exact_loss_change_rate_compares_relative_changes() -> None:
    # Scores of (real, generated) stand for the losses of (critic, generator) after each update.
    after = [
        (1.0, 1.0),  # G: nothing before, both rates stay 1, so that 1 > 2 * 1 is false: G again
        (2.0, 1.1),  # r_D = 1, r_G = 0.1: D
        (2.2, 1.2),  # r_D = 0.1, r_G = 0.09: G
        (2.2, 1.3),  # r_D = 0: G
        (4.4, 1.3),  # r_D = 1, r_G = 0: D
        (4.4, 2.6),  # G
        (4.4, 2.6),
    ]
    step = _FakeStep(scores=[score for pair in after for score in pair])
    rule = ExactLossChangeRate(100, balance=2.0)
    assert _trained(rule, step, 5) == "GGDGGDG"
    assert rule.probes == 7


def test_the_exact_accuracy_gate_is_charged_for_the_look_alone() -> None:
    # Right on both halves (1.0 > 0.8): no update. Right on one half (0.5): one update.
    step = _FakeStep(scores=[1.0, -1.0, 1.0, 1.0])
    rule = ExactAccuracyGate(100)
    assert _trained(rule, step, 2) == "GDG"
    assert rule.probes == 1


def test_the_accuracy_gate_trains_on_the_very_batch_that_it_looked_at() -> None:
    drawn: list[torch.Tensor] = []

    class Step(_FakeStep):
        def sample_latent(self, size: int) -> torch.Tensor:
            drawn.append(torch.rand(size))
            return drawn[-1]

        def critic_update(self, batch: Any) -> Any:
            self.sample_latent(1)
            return super().critic_update(batch)

    _trained(ExactAccuracyGate(100), Step(scores=[1.0, 1.0]), 1)
    assert torch.equal(drawn[0], drawn[1])


def test_a_rule_that_never_lets_the_generator_train_still_ends_its_iteration() -> None:
    assert _trained(ExactTwoThresholds(5, -1e9, 0.0), _FakeStep(), 1) == "DDDDDG"
