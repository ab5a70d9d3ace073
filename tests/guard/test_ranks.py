"""Two ranks act together, at one all_reduce per check."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from adaptive_critic import distributed
from adaptive_critic.guard import DivergenceGuard
from tests.guard.engines import healthy, trainer_of

CASES = ("nan", "opposite", "explosion", "key", "losses", "none", "guard", "n")

SCRIPT = """
import json, math, sys
from datetime import timedelta
import torch
torch.set_num_threads(1)
import torch.distributed as dist
from adaptive_critic import distributed
from adaptive_critic.guard import DivergenceGuard
from adaptive_critic.handlers import FixedController
from tests.guard.engines import healthy, record_steps, trainer_of

rank, rendezvous, cases = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
timeout = timedelta(seconds=30)
dist.init_process_group("gloo", init_method="file://" + rendezvous, rank=rank, world_size=2, timeout=timeout)

calls = []
original = distributed.sum_over_ranks
distributed.sum_over_ranks = lambda vector: (calls.append(len(vector)), original(vector))[1]

def output_at(iteration, case):
    output = healthy(iteration) | {"g_fake": torch.tensor(float(rank))}
    if iteration == 15 and case == "opposite":
        output["g_loss"] = torch.tensor(math.inf if rank else -math.inf)
    if rank == 0:
        return output
    if iteration > 150 and case == "explosion":
        output["d_real"] = output["d_real"] * 1e6
    if case == "n":  # its step makes another number of updates, which is nothing for a guard to judge
        output["d_loss"] = output["d_loss"][[0, 1, 0]]
    if iteration == 15 and case == "nan":
        output["g_loss"] = torch.tensor(math.nan)
    if iteration == 15 and case == "key":
        del output["g_fake"]
    if iteration == 15 and case == "losses":
        del output["d_loss"]
    return None if iteration == 15 and case == "none" else output

results = {}
for case in cases:
    calls.clear()
    trainer = trainer_of(lambda iteration: output_at(iteration, case))
    FixedController(3, limits=(2, 4)).attach(trainer)
    guard = DivergenceGuard("terminate_epoch", override_iterations=19 if case == "guard" and rank else 20)
    steps, error = record_steps(trainer), ""
    try:
        guard.attach(trainer)
        trainer.run(range(100), max_epochs=2)
    except Exception as caught:
        error = f"{type(caught).__name__}: {caught}"
    results[case] = {"steps": steps, "history": guard.history, "calls": len(calls), "error": error}
    results[case]["iteration"] = trainer.state.iteration
print(json.dumps(results))
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Return what each of two ranks saw in each case."""
    folder, root = tmp_path_factory.mktemp("ranks"), Path(__file__).parents[2]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(rank), str(folder / "rendezvous"), *CASES],
            cwd=root,
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=120)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0]
    return [json.loads(output.splitlines()[-1]) for output in outputs]


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
