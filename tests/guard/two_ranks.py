"""The program of tests.guard.test_ranks, for each of two ranks."""

from __future__ import annotations

import json
import math
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import torch

from adaptive_critic import DivergenceGuard, FixedController, distributed
from tests.guard.engines import healthy, record_steps, trainer_of

CASES = ("nan", "opposite", "explosion", "key", "losses", "none", "guard", "n")


def one_rank(rank: int, folder: str) -> None:
    """Go through all cases as one of two ranks, and write what it saw."""
    torch.set_num_threads(1)
    rendezvous, timeout = f"file://{folder}/rendezvous", timedelta(seconds=30)
    torch.distributed.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=2, timeout=timeout)
    calls: list[int] = []
    original = distributed.sum_over_ranks

    def counted(vector: torch.Tensor) -> torch.Tensor:
        calls.append(len(vector))
        return original(vector)

    vars(distributed)["sum_over_ranks"] = counted  # in this process, which is one rank's
    results: dict[str, Any] = {}
    for case in CASES:
        calls.clear()
        trainer = trainer_of(partial(output_at, rank, case))
        FixedController(3, limits=(2, 4)).attach(trainer)
        guard = DivergenceGuard("terminate_epoch", override_iterations=19 if case == "guard" and rank else 20)
        steps, error = record_steps(trainer), ""
        try:
            guard.attach(trainer)
            trainer.run(range(100), max_epochs=2)
        except Exception as caught:  # the error is what is tested
            error = f"{type(caught).__name__}: {caught}"
        results[case] = {"steps": steps, "history": guard.history, "calls": len(calls), "error": error}
        results[case]["iteration"] = trainer.state.iteration
    Path(folder, f"{rank}.json").write_text(json.dumps(results))
    torch.distributed.destroy_process_group()


def output_at(rank: int, case: str, iteration: int) -> dict[str, Any] | None:
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
