"""The toy of adversarial distillation, and what the controllers see of it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from adaptive_critic import FixedController
from experiments.clients import distillation
from experiments.clients import distillation_experiment as experiment
from experiments.clients.distillation import Distillation, Teacher


def test_the_teachers_noise_is_minus_sigma_times_the_score() -> None:
    teacher, sigma = Teacher(), torch.tensor([[0.05], [0.3], [1.7]])
    x_t = torch.tensor([[1.02, 0.1], [-0.4, 0.6], [0.3, -2.0]], dtype=torch.float64, requires_grad=True)
    variance = sigma**2 + distillation.SPREAD**2
    squares = (x_t[:, None, :] - teacher.centres).square().sum(2)
    log_density = torch.logsumexp(-0.5 * squares / variance, dim=1)
    (score,) = torch.autograd.grad(log_density.sum(), x_t)
    torch.testing.assert_close(teacher.noise_in(x_t, sigma), -sigma * score)


def test_where_the_two_scores_agree_the_generator_stands_still() -> None:
    toy = Distillation(0)
    toy.fake.forward = toy.teacher.noise_in  # type: ignore[method-assign]  # as if the generator made what the teacher knows
    before = [value.clone() for value in toy.generator.parameters()]
    assert toy.generator_update() == 0.0
    assert all(map(torch.equal, toy.generator.parameters(), before))


def test_the_step_makes_so_many_updates_and_reports_them() -> None:
    toy, calls = Distillation(0), [0]
    learn = toy.learn

    def counted(*arguments: Tensor) -> Tensor:
        calls[0] += 1
        return learn(*arguments)

    toy.learn = counted  # type: ignore[assignment]  # counts
    for n in (3, 1, 0):
        calls[0] = 0
        output = toy.train_step(n)
        assert calls[0] == n
        assert (len(output["d_loss"]), len(output["d_fake"]), len(output["d_real"])) == (n, min(n, 1), min(n, 1))
    assert toy.cost(5) == pytest.approx(1.0 + 5 * 0.8 + 0.2)
    assert toy.cost(0) == 1.0
    assert Distillation(0, watched=False).cost(5) == pytest.approx(1.0 + 5 * 0.8)


def test_watching_changes_nothing_but_the_cost() -> None:
    watched, other = Distillation(0), Distillation(0, watched=False)
    for _ in range(5):
        watched.train_step(2)
        assert other.train_step(2)["d_fake"] == []
    for one, two in zip(watched.generator.parameters(), other.generator.parameters(), strict=True):
        assert torch.equal(one, two)


def test_d_tells_samples_of_the_teacher_from_the_generators() -> None:
    """A fake score that has learned what the generator makes: D is lower there than on the teacher's samples."""
    toy = Distillation(0)
    for _ in range(200):
        toy.fake_update(score=False)
    means = []
    for x in (toy.teacher.sample(2000, toy.noise), toy.generate(2000).detach()):
        x_t, sigma, e = toy.noised(x)
        with torch.no_grad():
            fake, teacher = toy.fake(x_t, sigma), toy.teacher.noise_in(x_t, sigma)
        means.append(float(((fake - e).square().sum(1) - (teacher - e).square().sum(1)).mean()))
    real, generated = means
    assert generated < 0.0 < real


def test_it_distils() -> None:
    toy, controller = Distillation(0, watched=False), FixedController(2)
    before = experiment.distance(toy)
    for _ in range(150):
        controller.observe(toy.train_step(controller.num_discriminator_steps))
    assert experiment.distance(toy) < 0.5 * before


def test_a_run_of_the_experiment_spends_its_budget() -> None:
    row = experiment.run("WassersteinGapController()", "fake-score rate 2e-4", seed=0, budget=120.0)
    assert len(row["distances"]) == experiment.POINTS
    assert all(map(math.isfinite, row["distances"]))
    spent = row["generator_updates"] * 1.2 + row["critic_updates"] * 0.8
    assert 120.0 <= spent < 120.0 + 1.2 + 20 * 0.8
    assert row["steps_at_eighths"][0] == 2


def test_the_script_runs(capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    distillation.main(["--iterations", "50"])
    torch.set_num_threads(threads)
    assert "fake-score updates for 50 of the generator" in capsys.readouterr().out
