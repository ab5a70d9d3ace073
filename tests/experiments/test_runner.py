from __future__ import annotations

import itertools
import math
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from experiments.contenders import Contender, select_contenders
from experiments.png import png_of
from experiments.runner import Training, measured_costs
from experiments.tasks import all_tasks
from experiments.tasks._task import Task


def _task(name: str = "ring", budget: float = 300.0, evaluations: int = 10) -> Task:
    return replace(all_tasks()[name], budget=budget, evaluations=evaluations, evaluation_samples=100)


def _contender(name: str) -> Contender:
    return select_contenders([name])[0]


class InterruptedRunError(Exception):
    """Stands for a process that is stopped."""


def _weights(training: Training) -> Tensor:
    game = training.game
    return torch.cat([w.detach().flatten() for w in (*game.generator.parameters(), *game.critic.parameters())])


@pytest.mark.parametrize(
    ("task", "contender"),
    [
        ("ring", "gap"),
        ("ring", "mean-of:gap"),
        ("ring", "effort"),
        ("ring", "lazy-2:fixed-5"),
        ("ring", "random-of:gap"),
        ("ring", "exact-change-rate-1"),
        ("ring", "exact-accuracy-gate"),
        ("digits", "wgan-reference"),
        ("pinwheel-small-data", "ttur"),
        ("pinwheel-hinge", "gap-aware-rate"),
        ("pinwheel-hinge", "time-scale-ratio"),
        ("pinwheel-least-squares", "pid"),
        ("two-moons-noisy-critic", "change-rate"),
    ],
)
def test_an_interrupted_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path: Path, task: str, contender: str) -> None:
    # An iteration of the WGAN reference costs 249 and passes several points of the grid.
    cut = _task(task, budget=1000.0 if contender == "wgan-reference" else 300.0)
    whole = Training(cut, _contender(contender), 5, 3.3)
    whole.run()

    def stop(reached: int) -> None:
        if reached >= 4:
            raise InterruptedRunError

    stopped = Training(cut, _contender(contender), 5, 3.3, tmp_path, 0.0, on_evaluation=stop)
    with pytest.raises(InterruptedRunError):
        stopped.run()
    torch.manual_seed(99)  # another process has another random state
    resumed = Training(cut, _contender(contender), 5, 3.3, tmp_path, 0.0)
    assert resumed.resumed_at > 0
    resumed.run()
    assert torch.equal(_weights(resumed), _weights(whole))
    for name, values in whole.ledger.curves.items():
        if name != "cpu_seconds":
            assert [repr(v) for v in resumed.ledger.curves[name]] == [repr(v) for v in values], name
    assert resumed.ledger.cpu_seconds >= stopped.ledger.cpu_seconds > 0.0


def test_a_half_written_checkpoint_falls_back_to_the_one_before(tmp_path: Path) -> None:
    cut = _task()
    whole = Training(cut, _contender("gap"), 0, folder=tmp_path, checkpoint_seconds=0.0)
    whole.run()
    older, newer = sorted(tmp_path.glob("checkpoint_*.pt"), key=lambda p: int(p.stem.rpartition("_")[2]))
    newer.write_bytes(newer.read_bytes()[:1000])
    resumed = Training(cut, _contender("gap"), 0, folder=tmp_path)
    assert resumed.resumed_at == int(older.stem.rpartition("_")[2])
    resumed.run()
    assert torch.equal(_weights(resumed), _weights(whole))


def test_all_contenders_are_judged_at_the_same_costs() -> None:
    cut = _task()
    curves = [Training(cut, _contender(name), 0).run().curves for name in ("fixed-1", "fixed-20", "gap")]
    expected = [30.0 * (point + 1) for point in range(10)]
    assert all(curve["cost"] == pytest.approx(expected) for curve in curves)


def test_an_iteration_that_passes_several_points_counts_for_each() -> None:
    curves = Training(_task(), _contender("fixed-20"), 0).run().curves
    # An iteration at n = 20 costs 20 * 2.59 + 1 = 52.7: two iterations reach the points at 30, 60 and 90.
    assert curves["generator_updates"][:4] == [1.0, 2.0, 2.0, 3.0]
    assert curves["quality"][1] == curves["quality"][2]
    assert set(curves["n"]) == {20.0}


def test_the_budget_is_spent_and_not_more_than_one_iteration_beyond() -> None:
    training = Training(_task(), _contender("fixed-3"), 0)
    ledger = training.run()
    iteration = 3 * training.costs.critic + 1.0
    assert 300.0 <= training.cost < 300.0 + iteration
    assert training.cost == pytest.approx(ledger.generator_updates * iteration)


def test_costs_are_those_of_the_matrix_products() -> None:
    # 8x8 digits, batch 64: generator 16-128-128-64, critic 64-128-128-1. A product of (m, k) and (k, n) is 2mkn FLOPs.
    def through(sizes: list[int]) -> int:
        return sum(2 * 64 * a * b for a, b in itertools.pairwise(sizes))

    forward_g, forward_d = through([16, 128, 128, 64]), through([64, 128, 128, 1])
    first_g = through([16, 128])
    # Generator update: both forward, the critic backward to its input only, the generator backward to its weights and,
    # but for its first layer, to its inputs.
    generator = forward_g + 2 * forward_d + 2 * forward_g - first_g
    costs = measured_costs(all_tasks()["digits"])
    assert costs.probe == pytest.approx((forward_g + 2 * forward_d) / generator)
    assert 2.0 < costs.critic < 3.0


def test_a_forward_pass_of_a_rule_is_charged() -> None:
    training = Training(_task(), _contender("exact-change-rate-1"), 0)
    ledger = training.run()
    probes = training.handler.probes  # type: ignore[attr-defined]
    assert probes == ledger.critic_updates + ledger.generator_updates
    without = ledger.critic_updates * training.costs.critic + ledger.generator_updates
    assert training.cost == pytest.approx(without + probes * training.costs.probe)


def test_a_lost_generator_is_recorded_as_diverged_and_ends_the_run() -> None:
    training = Training(_task(), _contender("fixed-2"), 0)

    def poison(engine: Any) -> None:
        if engine.state.iteration == 20:
            with torch.no_grad():
                next(iter(training.game.generator.parameters())).fill_(math.nan)

    training.trainer.add_event_handler("ITERATION_STARTED", poison)
    ledger = training.run()
    quality = ledger.curves["quality"]
    assert ledger.diverged
    assert len(quality) == 10
    assert math.isfinite(quality[2])
    assert all(math.isnan(value) for value in quality[4:])
    assert ledger.generator_updates < 30


def test_the_averaged_generator_is_judged_beside_the_live_one() -> None:
    training = Training(_task(), _contender("fixed-2"), 0)
    (weight, *_) = training.game.generator.parameters()
    average: list[torch.Tensor] = []

    @training.trainer.on("ITERATION_COMPLETED")
    def follow() -> None:
        average[:] = [0.99 * average[0] + 0.01 * weight.detach() if average else weight.detach().clone()]

    curves = training.run().curves
    (averaged, *_) = training.trainer.state.ema_generator.module.parameters()  # type: ignore[attr-defined]
    assert torch.allclose(averaged, average[0], atol=1e-6)
    assert curves["ema_quality"][-1] == training.quality(training.trainer.state.ema_generator.module)  # type: ignore[attr-defined]
    assert curves["ema_quality"][-1] != curves["quality"][-1]
    assert training.game.generator.training


def test_training_seconds_leave_evaluations_out() -> None:
    training = Training(_task(), _contender("fixed-5"), 0)
    evaluate, seconds = training.game.evaluate, []

    def slow(network: torch.nn.Module) -> float:
        import time

        began = time.process_time()
        while time.process_time() - began < 0.02:
            pass
        seconds.append(0.02)
        return evaluate(network)

    training.game.evaluate = slow
    import time

    began = time.process_time()
    ledger = training.run()
    assert ledger.cpu_seconds <= time.process_time() - began - sum(seconds)


def test_a_png_holds_the_images_in_a_square() -> None:
    images = torch.linspace(-1.0, 1.0, 4).reshape(4, 1, 1, 1).expand(4, 1, 2, 2)
    encoded = png_of(images)
    start = encoded.index(b"IDAT") + 4
    length = int.from_bytes(encoded[start - 8 : start - 4], "big")
    rows = zlib.decompress(encoded[start : start + length])
    assert encoded.startswith(b"\x89PNG\r\n\x1a\n")
    assert [row[1:] for row in (rows[i : i + 5] for i in range(0, 20, 5))] == [
        bytes([0, 0, 85, 85]),
        bytes([0, 0, 85, 85]),
        bytes([170, 170, 255, 255]),
        bytes([170, 170, 255, 255]),
    ]


def test_a_pair_trains_the_critic_at_a_multiple_of_the_tasks_rate() -> None:
    task = _task("two-moons-fast-critic")
    training = Training(task, _contender("pair-2x4"), 0)
    (g,), (d,) = training.game.optimizer_g.param_groups, training.game.optimizer_d.param_groups
    assert (g["lr"], d["lr"]) == (task.rates[0], 4.0 * task.rates[1])
    ledger = training.run()
    assert ledger.critic_updates == 2 * ledger.generator_updates
    # The rate changes what is learnt, and not what it costs.
    assert training.costs == measured_costs(task)
    unscaled = Training(task, _contender("fixed-2"), 0)
    assert unscaled.run().critic_updates == ledger.critic_updates
    assert not torch.equal(_weights(training), _weights(unscaled))


@pytest.mark.parametrize(
    ("task", "contender", "expected"),
    [("two-moons", "pair-2x4", 4.0), ("two-moons-fast-critic", "ttur", 0.8), ("ring", "gap", 1.0)],
)
def test_the_critics_rate_is_recorded_relative_to_the_tasks(task: str, contender: str, expected: float) -> None:
    training = Training(_task(task), _contender(contender), 0)
    ledger = training.run()
    assert ledger.curves["rate"] == pytest.approx([expected] * 10)
    assert ledger.mean_rate == pytest.approx(expected)


def test_the_rate_of_an_effort_controller_is_recorded_and_held_by_its_control() -> None:
    task = _task("two-moons", budget=600.0)
    training = Training(task, _contender("effort"), 0)
    seen: list[float] = []
    training.trainer.add_event_handler(
        "ITERATION_STARTED",
        lambda: seen.append(training.trainer.state.critic_rate),  # type: ignore[attr-defined]
    )
    ledger = training.run()
    assert len(set(seen)) > 1
    # A mean of logarithms: twice and half the rate cancel.
    assert ledger.mean_rate == pytest.approx(math.exp(sum(map(math.log, seen)) / len(seen)))
    first = seen[: round(ledger.curves["generator_updates"][0])]
    assert ledger.curves["rate"][0] == pytest.approx(math.exp(sum(map(math.log, first)) / len(first)))
    held = Training(task, _contender("mean-of:effort"), 0, 1.5, rate=ledger.mean_rate)
    (group,) = held.game.optimizer_d.param_groups
    assert group["lr"] == pytest.approx(ledger.mean_rate * task.rates[1])
    again = held.run()
    assert again.critic_updates == pytest.approx(1.5 * again.generator_updates, abs=0.5)
    assert again.mean_rate == pytest.approx(ledger.mean_rate)


def test_a_lazy_penalty_is_charged_by_how_often_it_is_taken() -> None:
    task = _task()
    every, second, fourth = (measured_costs(task.with_penalty_every(k)).critic for k in (1, 2, 4))
    assert measured_costs(task).critic == every
    # One update of k takes the penalty.
    without = 2.0 * second - every
    assert without < second < every
    assert fourth == pytest.approx((every + 3.0 * without) / 4.0)
    training = Training(task, _contender("lazy-2:fixed-5"), 0)
    assert training.costs.critic == second
    ledger = training.run()
    assert ledger.critic_updates == 5 * ledger.generator_updates
    assert training.cost == pytest.approx(ledger.generator_updates * (5 * second + 1.0))


@pytest.mark.parametrize("factor", [0.0, -1.0, math.inf, math.nan])
def test_a_factor_that_is_no_rate_is_refused(factor: float) -> None:
    with pytest.raises(ValueError, match=f"ring: critic's learning rate times {factor}: must be finite and above 0"):
        _task().with_critic_rate(factor)
