"""Two ranks act together, at one all_reduce per check."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from adaptive_critic import distributed
from adaptive_critic.guard import DivergenceGuard
from tests.guard.engines import healthy, trainer_of

SCRIPT = """
import json, math, sys
import torch
torch.set_num_threads(1)
import torch.distributed as dist
from ignite.engine import Events
from adaptive_critic import distributed
from adaptive_critic.guard import DivergenceGuard
from adaptive_critic.handlers import FixedController
from tests.guard.engines import healthy, record_steps, trainer_of

rank, rendezvous, case = int(sys.argv[1]), sys.argv[2], sys.argv[3]
dist.init_process_group("gloo", init_method="file://" + rendezvous, rank=rank, world_size=2)

def step(iteration):
    output = healthy(iteration) | {"g_fake": torch.tensor(float(rank))}
    if rank == 1 and iteration == 15 and case == "nan":
        output["g_loss"] = torch.tensor(math.nan)
    if rank == 1 and iteration > 150 and case == "explosion":
        output["d_real"] = output["d_real"] * 1e6
    if iteration == 15 and case == "opposite":
        output["g_loss"] = torch.tensor(math.inf if rank else -math.inf)
    return output

calls = []
original = distributed.sum_over_ranks
distributed.sum_over_ranks = lambda vector: (calls.append(len(vector)), original(vector))[1]
trainer = trainer_of(step)
FixedController(3, limits=(2, 4)).attach(trainer)
guard = DivergenceGuard("terminate_epoch", override_iterations=20)
guard.attach(trainer)
steps = record_steps(trainer)
trainer.run(range(100), max_epochs=2)
print(json.dumps({"steps": steps, "history": guard.history, "calls": len(calls), "iteration": trainer.state.iteration}))
dist.destroy_process_group()
"""


def two_ranks(case: str, folder: Path) -> list[dict[str, Any]]:
    root = Path(__file__).parents[2]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(rank), str(folder / "rendezvous"), case],
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
    case: str, found: tuple[int, str], iterations: int, tmp_path: Path
) -> None:
    first, second = two_ranks(case, tmp_path)
    assert first == second
    (record,) = first["history"]
    assert (record["iteration"], record["rule"], record["action"]) == (*found, "terminate_epoch")
    assert first["iteration"] == iterations
    assert first["calls"] == iterations // 10
    if iterations == 120:
        assert first["steps"] == [3] * 20 + [2] * 20 + [3] * 80


def test_values_are_means_over_the_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors: list[torch.Tensor] = []

    def summed(vector: torch.Tensor) -> torch.Tensor:
        vectors.append(vector)
        return vector * 2 + 2  # the other rank's values are larger by 2

    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(distributed, "sum_over_ranks", summed)
    trainer = trainer_of(lambda i: {"d_loss": [1.0, 3.0], "g_loss": 0.5})
    guard = DivergenceGuard(check_every=2)
    guard.attach(trainer)
    trainer.run(range(4))
    assert [vector.tolist() for vector in vectors] == [[0.5, 1.0, 3.0] * 2] * 2
    assert guard.state_dict()["rules"]["history"] == {"d_loss": [3.0, 3.0]}


def test_no_collective_without_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(vector: torch.Tensor) -> torch.Tensor:
        raise AssertionError("an all_reduce in a run of one process")

    monkeypatch.setattr(distributed, "sum_over_ranks", forbidden)
    trainer = trainer_of(healthy)
    DivergenceGuard(check_every=1).attach(trainer)
    trainer.run(range(4))
