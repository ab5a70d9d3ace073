from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events

from adaptive_critic import StepOutputError, WassersteinGap


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


@pytest.mark.parametrize("phase", ["updates", "before", "after"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    "form", [torch.tensor, lambda scores, dtype: [torch.tensor(score, dtype=dtype) for score in scores]]
)
def test_scores_of_half_precision_are_subtracted_in_single(form: Any, dtype: torch.dtype, phase: str) -> None:
    """Scores of 40,000 have a gap that float16 can't hold, and a mean of two that it can't sum up."""
    high, low = 40_448.0, -40_192.0  # numbers that both types hold
    output = {
        "d_real": form([high, high], dtype=dtype),
        "d_fake": form([low, low], dtype=dtype),
        "g_fake": torch.tensor(low, dtype=dtype),
    }
    assert run(WassersteinGap(phase, alpha=0.0), [output, output])[-1] == high - low


@pytest.mark.parametrize("form", [float, torch.tensor], ids=["floats", "tensors"])
def test_a_gap_that_is_not_finite_changes_nothing(form: Any) -> None:
    """One NaN must not stay in the average for good: a controller that reads it by name would hold for ever."""
    metric = WassersteinGap(alpha=0.5)
    for real, expected in ((math.nan, None), (2.0, 2.0), (math.nan, 2.0), (math.inf, 2.0), (4.0, 3.0)):
        metric.update({"d_real": [form(real)], "d_fake": [form(0.0)]})
        value = float(metric.compute())
        assert math.isnan(value) if expected is None else value == expected
