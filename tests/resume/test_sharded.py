"""resume_exactly with an optimizer whose state is spread over the ranks."""

from __future__ import annotations

import datetime
from pathlib import Path

import torch
from ignite.engine import Engine
from torch import distributed, nn
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.nn.parallel import DistributedDataParallel

from adaptive_critic import resume_exactly
from adaptive_critic.distributed import full_state
from tests.processes import run_side_by_side

RANKS = 2
END, EVERY = 6, 2


def train(rank: int, folder: Path, ends: int, resumed_from: int) -> None:
    """Train as one of two ranks to iteration ``ends``; write the weights and the optimizer's whole state."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder / f'rendezvous{ends}'}",
        rank=rank,
        world_size=RANKS,
        timeout=datetime.timedelta(seconds=20),
    )
    torch.manual_seed(0)
    model = DistributedDataParallel(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)))
    optimizer = ZeroRedundancyOptimizer(model.parameters(), torch.optim.Adam, lr=0.1)

    def step(engine: Engine, batch: int) -> None:
        optimizer.zero_grad()
        model(torch.full((4, 2), float(engine.state.iteration + rank))).square().mean().backward()
        optimizer.step()

    trainer = Engine(step)
    resumed = resume_exactly(trainer, folder / "saved", {"model": model, "optimizer": optimizer}, every=EVERY)
    assert resumed.iteration == resumed_from
    trainer.run(range(EVERY), max_epochs=ends // EVERY)
    torch.save((model.state_dict(), full_state(optimizer)), folder / f"ended{ends}_{rank}.pt")
    distributed.destroy_process_group()


def test_a_sharded_optimizer_is_saved_and_resumed_on_every_rank(tmp_path: Path) -> None:
    """Consolidating towards the rank that saves, as Ignite does, waits for ever if all of them save."""
    whole, interrupted = tmp_path / "whole", tmp_path / "interrupted"
    for folder, lives in ((whole, [(END, 0)]), (interrupted, [(END - EVERY, 0), (END, END - EVERY)])):
        folder.mkdir()
        for ends, resumed_from in lives:
            arguments = [(rank, folder, ends, resumed_from) for rank in range(RANKS)]
            run_side_by_side(train, arguments, folder, limit=120.0)
    for rank in range(RANKS):
        weights, optimizer = torch.load(whole / f"ended{END}_{rank}.pt")
        again_weights, again_optimizer = torch.load(interrupted / f"ended{END}_{rank}.pt")
        assert [key for key in weights if not torch.equal(weights[key], again_weights[key])] == []
        assert sorted(optimizer["state"]) == [0, 1, 2, 3]  # all of them, not this rank's
        for index, entries in optimizer["state"].items():
            for key, value in entries.items():
                assert torch.equal(value, again_optimizer["state"][index][key]), (rank, index, key)
