from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from scipy.stats import energy_distance, wasserstein_distance

from adaptive_critic import ScoreDistance, StepOutputError, WassersteinGap


def run(metric: WassersteinGap, outputs: list[dict[str, Any]]) -> list[float]:
    """Return the metric's value after each iteration of an engine that returns these outputs."""
    trainer = Engine(lambda engine, batch: outputs[engine.state.iteration - 1])
    values: list[float] = []
    metric.attach(trainer, "gap")
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: values.append(engine.state.metrics["gap"]))
    trainer.run([0] * len(outputs))
    return values


def out(d_real: Any, d_fake: Any, g_fake: float) -> dict[str, Any]:
    return {"d_real": d_real, "d_fake": d_fake, "g_fake": g_fake}


OUTPUTS = [out([1.0, 3.0], [0.0, 1.0], 0.5), out([2.0, 2.0], [1.5, 0.0], 0.25), out([4.0, 0.0], [1.0, 1.0], 0.0)]


@pytest.mark.parametrize(
    ("phase", "gaps"),
    [
        ("updates", [1.5, 1.25, 1.0]),  # mean over the updates
        ("before", [1.0, 0.5, 3.0]),  # d_real[0] - d_fake[0]
        ("after", [math.nan, 1.5, 3.75]),  # d_real[0] - g_fake of the iteration before
    ],
)
@pytest.mark.parametrize("tensors", [False, True])
def test_phases(phase: str, gaps: list[float], tensors: bool) -> None:
    outputs = [{k: torch.tensor(v) for k, v in one.items()} for one in OUTPUTS] if tensors else OUTPUTS
    assert run(WassersteinGap(phase, alpha=0.0), outputs) == pytest.approx(gaps, nan_ok=True)


def test_running_average_starts_at_its_first_value() -> None:
    assert run(WassersteinGap(alpha=0.5), OUTPUTS) == pytest.approx([1.5, 1.375, 1.1875])


@pytest.mark.parametrize(
    "empty", [{}, {"d_real": [], "d_fake": []}, {"d_real": torch.zeros(0), "d_fake": torch.zeros(0)}]
)
def test_an_iteration_without_critic_updates(empty: dict[str, Any]) -> None:
    """Nothing to average, but its generator update is the one that the next iteration sees."""
    outputs = [OUTPUTS[0], {"g_fake": 2.0, **empty}, OUTPUTS[1]]
    assert run(WassersteinGap("updates", alpha=0.0), outputs) == pytest.approx([1.5, 1.5, 1.25])
    assert run(WassersteinGap("after", alpha=0.0), outputs)[2] == pytest.approx(2.0 - 2.0)


@pytest.mark.parametrize("d_real", [0.5, torch.tensor(0.5), torch.zeros(2, 2), "abc", None])
def test_a_wrong_output_is_explained(d_real: Any) -> None:
    with pytest.raises(StepOutputError, match="'d_real'"):
        WassersteinGap("before").update(out(d_real, [0.0], 0.0))
    with pytest.raises(StepOutputError, match="must return a dict"):
        WassersteinGap().update(None)


def test_it_runs_on_through_epochs_and_detaches() -> None:
    trainer = Engine(lambda engine, batch: OUTPUTS[engine.state.epoch - 1])
    metric = WassersteinGap(alpha=0.5)
    metric.attach(trainer, "gap")
    trainer.run([0], max_epochs=3)
    assert trainer.state.metrics["gap"] == pytest.approx(1.1875)
    metric.detach(trainer)
    assert not metric.is_attached(trainer, "running_batch_wise")


@pytest.mark.parametrize("arguments", [{"phase": "first"}, {"alpha": 1.0}, {"alpha": -0.1}, {"alpha": math.nan}])
def test_bad_arguments_are_quoted(arguments: dict[str, Any]) -> None:
    (name, value), *_ = arguments.items()
    with pytest.raises(ValueError, match=f"{name}={value!r}"):
        WassersteinGap(**arguments)


# --- ScoreDistance ----------------------------------------------------------------------------------------------------


def scores(count: int, mean: float, seed: int) -> torch.Tensor:
    return mean + torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("kind", "reference"), [("wasserstein", wasserstein_distance), ("energy", energy_distance)])
def test_distance_is_scipys_over_all_batches(kind: str, reference: Any) -> None:
    real, fake = scores(60, 1.0, 1), scores(60, 0.0, 2)
    metric = ScoreDistance(kind)
    for part in range(3):
        metric.update((real[20 * part : 20 * part + 20].reshape(-1, 1), fake[20 * part : 20 * part + 20]))
    assert metric.compute() == pytest.approx(reference(real.numpy(), fake.numpy()))
    metric.reset()
    assert math.isnan(metric.compute())


@pytest.mark.parametrize("kind", ["wasserstein", "energy"])
def test_scale_and_offset(kind: str) -> None:
    real, fake = scores(80, 1.0, 1), scores(80, 0.0, 2)

    def distance(standardize: bool, scale: float, offset: float) -> float:
        metric = ScoreDistance(kind, standardize=standardize)
        metric.update((scale * real + offset, scale * fake + offset))
        return metric.compute()

    plain = distance(False, 1.0, 0.0)
    assert distance(False, 1.0, 50.0) == pytest.approx(plain)
    assert distance(False, 4.0, 0.0) == pytest.approx(plain * (4.0 if kind == "wasserstein" else 2.0))
    assert distance(True, 4.0, 50.0) == pytest.approx(distance(True, 1.0, 0.0))


def test_a_distance_is_of_one_iteration_until_it_is_detached() -> None:
    trainer = Engine(lambda engine, batch: (torch.tensor([float(batch)]), torch.zeros(1)))
    metric = ScoreDistance(output_transform=lambda output: output, standardize=False)
    metric.attach(trainer, "distance")
    trainer.run([1, 2, 3])
    assert trainer.state.metrics["distance"] == 3.0
    metric.detach(trainer)
    trainer.run([7, 8])
    assert trainer.state.metrics["distance"] == 3.0


def test_no_spread_and_no_numbers_give_nan() -> None:
    for real, fake in ((torch.ones(3), torch.zeros(3)), (torch.tensor([1.0, math.nan]), torch.zeros(2))):
        metric = ScoreDistance(standardize=True)
        metric.update((real, fake))
        assert math.isnan(metric.compute())


def test_scores_are_kept_where_it_is_told_and_computed_on_the_host() -> None:
    kept = ScoreDistance(device="meta")  # a device that every machine has
    kept.update((torch.ones(3), torch.zeros(3, 1)))
    assert {part.device.type for part in (*kept._real, *kept._fake)} == {"meta"}
    for metric in (ScoreDistance(), ScoreDistance(device=torch.device("cpu"))):
        metric.update((torch.tensor([1.0, 3.0], dtype=torch.float16), torch.zeros(2, dtype=torch.bfloat16)))
        assert metric.compute() == 2.0


def test_a_buffer_that_is_written_again_leaves_the_scores_alone() -> None:
    buffer = torch.tensor([1.0, 3.0], dtype=torch.float64)
    metric = ScoreDistance()
    metric.update((buffer, torch.zeros(2)))
    buffer.fill_(100.0)
    assert metric.compute() == 2.0


@pytest.mark.parametrize("part", [torch.zeros(2, 2), torch.zeros(()), [1.0, 2.0]])
def test_wrong_scores_are_explained(part: Any) -> None:
    with pytest.raises(StepOutputError, match=r"each of shape \(batch,\) or \(batch, 1\), got"):
        ScoreDistance().update((part, torch.zeros(2)))


def test_an_unknown_kind_is_quoted() -> None:
    with pytest.raises(ValueError, match="kind='cramer': expected one of 'wasserstein', 'energy'"):
        ScoreDistance("cramer")


@pytest.mark.parametrize("form", [float, torch.tensor], ids=["floats", "tensors"])
def test_a_gap_that_is_not_finite_changes_nothing(form: Any) -> None:
    """One NaN must not stay in the average for good: a controller that reads it by name would hold for ever."""
    metric = WassersteinGap(alpha=0.5)
    for real, expected in ((math.nan, None), (2.0, 2.0), (math.nan, 2.0), (math.inf, 2.0), (4.0, 3.0)):
        metric.update({"d_real": [form(real)], "d_fake": [form(0.0)]})
        value = float(metric.compute())
        assert math.isnan(value) if expected is None else value == expected
