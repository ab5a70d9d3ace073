"""One of two ranks that train with an optimizer whose state is spread over them, for test_sharded.py."""

from __future__ import annotations

import copy
import datetime
import math
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import distributed, nn
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.nn.parallel import DistributedDataParallel

from adaptive_critic import DivergenceGuard
from adaptive_critic.distributed import full_state

RANKS = 2


def train(rank: int, folder: Path) -> None:
    """Diverge at iteration 13 of 20; write what was there after 5 and 15, and what the guard did."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder / 'rendezvous'}",
        rank=rank,
        world_size=RANKS,
        timeout=datetime.timedelta(seconds=20),
    )
    torch.manual_seed(0)
    model = DistributedDataParallel(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)))
    optimizer = ZeroRedundancyOptimizer(model.parameters(), torch.optim.Adam, lr=0.1)

    def step(engine: Engine, batch: int) -> dict[str, float]:
        optimizer.zero_grad()
        loss = model(torch.full((4, 2), float(engine.state.iteration + rank))).square().mean()
        loss = loss * (math.nan if engine.state.iteration == 13 else 1.0)
        loss.backward()
        optimizer.step()
        return {"g_loss": loss.item()}

    trainer, kept = Engine(step), dict[int, Any]()
    guard = DivergenceGuard("rollback", to_restore={"model": model, "optimizer": optimizer}, check_every=5, patience=1)
    guard.attach(trainer)

    @trainer.on(Events.ITERATION_COMPLETED(event_filter=lambda _, iteration: iteration in (5, 15)))
    def keep(engine: Engine) -> None:
        kept[engine.state.iteration] = copy.deepcopy((model.state_dict(), full_state(optimizer)))

    trainer.run(range(20))
    torch.save((kept, [(record["iteration"], record["action"]) for record in guard.history]), folder / f"{rank}.pt")
    distributed.destroy_process_group()
