"""What a decision costs when several processes decide together, over gloo on one machine."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from statistics import median

import torch
from ignite.engine import Engine
from torch.multiprocessing.spawn import spawn

from adaptive_critic import WassersteinGapController
from experiments.bench.outputs import engine
from experiments.bench.timing import averages

ITERATIONS = 40
BLOCKS = 9


def _every(update_every: int) -> Callable[[Engine], None]:
    return lambda trainer: WassersteinGapController(update_every=update_every).attach(trainer)


def _rank(rank: int, ranks: int, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ["LOCAL_RANK"] = str(rank)  # else Ignite guesses it, with a warning
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=ranks, timeout=timedelta(seconds=60)
    )
    cases = {
        "empty": engine(lambda _: None),
        "averages": engine(averages),
        "every iteration": engine(_every(1)),
        "never": engine(_every(10**9)),
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    for _ in range(BLOCKS + 1):
        for name, trainer in cases.items():
            torch.distributed.barrier()
            wall, work = time.perf_counter(), time.process_time()
            trainer.run(range(ITERATIONS), max_epochs=trainer.state.epoch + 1)
            taken[name].append((time.perf_counter() - wall, time.process_time() - work))
    torch.distributed.destroy_process_group()
    if rank == 0:
        medians = {
            name: [median(column) / ITERATIONS * 1e6 for column in zip(*times[1:], strict=True)]
            for name, times in taken.items()
        }
        (Path(folder) / "result.json").write_text(json.dumps(medians))


def measure(ranks: int) -> dict[str, float]:
    """Return microseconds of a decision on rank 0, and its ratio to an iteration of two RunningAverages there."""
    with tempfile.TemporaryDirectory() as folder:
        spawn(_rank, args=(ranks, folder), nprocs=ranks)  # type: ignore[no-untyped-call]  # torch does not annotate it
        result = json.loads((Path(folder) / "result.json").read_text())
    cost = {}
    for index, kind in enumerate(("elapsed", "processor")):
        decision = result["every iteration"][index] - result["never"][index]
        cost[f"{kind} microseconds"] = decision
        cost[f"{kind} ratio"] = decision / (result["averages"][index] - result["empty"][index])
    return cost
