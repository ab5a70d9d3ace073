"""Two ranks act together, at one all_reduce per check."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch

from adaptive_critic import distributed
from adaptive_critic.guard import DivergenceGuard
from tests.guard.engines import healthy, trainer_of
from tests.guard.two_ranks import one_rank
from tests.processes import run_side_by_side


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Return what each of two ranks saw in each case."""
    folder = tmp_path_factory.mktemp("ranks")
    run_side_by_side(one_rank, [(rank, str(folder)) for rank in range(2)], folder, limit=120.0)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.parametrize(
    ("case", "found", "iterations"),
    [("nan", (20, "non_finite"), 120), ("opposite", (20, "non_finite"), 120), ("explosion", (180, "explosion"), 180)],
)
def test_a_divergence_on_one_rank_is_acted_on_by_both(
    case: str, found: tuple[int, str], iterations: int, ranks: list[dict[str, Any]]
) -> None:
    first, second = (results[case] for results in ranks)
    assert first == second
    assert first["error"] == ""
    (record,) = first["history"]
    assert (record["iteration"], record["rule"], record["action"]) == (*found, "terminate_epoch")
    assert first["iteration"] == iterations
    assert first["calls"] == iterations // 10
    if iterations == 120:
        assert first["steps"] == [3] * 20 + [2] * 20 + [3] * 80


@pytest.mark.parametrize(
    ("case", "iteration", "error"),
    [
        ("key", 20, "StepOutputError: 'g_fake' is in the training step's output of 1 of 2 ranks: all must return the"),
        ("losses", 20, "StepOutputError: 'd_loss' is in the training step's output of 1 of 2 ranks"),
        ("none", 20, "StepOutputError: rank 1: DivergenceGuard needs a dict from the training step, got NoneType"),
        (
            "guard",
            0,
            "ValueError: ranks are configured differently: rank 0 has DivergenceGuard('terminate_epoch', over",
        ),
        ("n", 200, ""),
    ],
)
def test_what_is_wrong_on_one_rank_is_the_same_error_on_both(
    case: str, iteration: int, error: str, ranks: list[dict[str, Any]]
) -> None:
    first, second = (results[case] for results in ranks)
    assert first == second
    assert first["iteration"] == iteration
    assert first["error"].startswith(error)
    assert bool(first["error"]) is bool(error)


def test_values_are_means_over_the_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors: list[torch.Tensor] = []

    def summed(vector: torch.Tensor) -> torch.Tensor:
        vectors.append(vector)
        half = (vector.numel() - 2) // 2
        others = torch.cat((vector[:half] + 2 * vector[half:-2], vector[half:]))  # its values are larger by 2
        return vector + others

    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    compared: list[str] = []
    monkeypatch.setattr(distributed, "all_equal", compared.append)
    monkeypatch.setattr(distributed, "sum_over_ranks", summed)
    trainer = trainer_of(lambda i: {"d_loss": [1.0, 4.0], "g_loss": 0.5, "d_penalty": [9.0, 0.25]})
    guard = DivergenceGuard(check_every=2)
    guard.attach(trainer)
    assert compared == ["DivergenceGuard(check_every=2)"]
    trainer.run(range(4))
    values, there = [0.0, 0.0, 0.0, 0.0, 0.5, 0.0, 0.25, 2.5], [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0]
    assert [vector.tolist() for vector in vectors] == [[*values * 2, *there * 2, math.inf, 0.0]] * 2
    assert guard.state_dict()["rules"]["history"] == {"d_loss": [3.5, 3.5], "d_penalty": [1.25, 1.25]}


def test_two_ranks_compare_what_they_start_from(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(distributed, "all_equal", lambda text: None)
    monkeypatch.setattr(distributed, "sum_over_ranks", lambda vector: 2 * vector)
    monkeypatch.setattr(distributed, "same_start", compared.append)
    trainer = trainer_of(healthy)
    DivergenceGuard(check_every=4).attach(trainer)
    trainer.run(range(6))
    trainer.run(range(6), max_epochs=2)
    assert [text.partition(", state")[0] for text in compared] == [
        "DivergenceGuard at iteration 0, 0 interventions, cooldown for 0, 0 iterations since the last check",
        "DivergenceGuard at iteration 6, 0 interventions, cooldown for 0, 2 iterations since the last check",
    ]
    first, second = (text.partition(", state")[2] for text in compared)
    assert first != second  # a check was made


def test_no_collective_without_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(vector: torch.Tensor) -> torch.Tensor:
        raise AssertionError("an all_reduce in a run of one process")

    monkeypatch.setattr(distributed, "sum_over_ranks", forbidden)
    trainer = trainer_of(healthy)
    DivergenceGuard(check_every=1).attach(trainer)
    trainer.run(range(4))
