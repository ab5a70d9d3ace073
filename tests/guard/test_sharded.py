"""A rollback of an optimizer whose state is spread over the ranks."""

from __future__ import annotations

from pathlib import Path

import torch

from tests.guard.sharded import RANKS, train
from tests.processes import run_side_by_side


def test_every_rank_goes_back_to_the_whole_state(tmp_path: Path) -> None:
    """Its state_dict() raises where nothing was consolidated, and to consolidate is a collective."""
    run_side_by_side(train, [(rank, tmp_path) for rank in range(RANKS)], tmp_path, limit=120.0)
    for rank in range(RANKS):
        kept, done = torch.load(tmp_path / f"{rank}.pt")
        assert done == [(15, "rollback")]
        (weights, optimizer), (restored_weights, restored_optimizer) = kept[5], kept[15]
        assert all(torch.equal(weights[key], restored_weights[key]) for key in weights)
        assert sorted(restored_optimizer["state"]) == [0, 1, 2, 3]  # all of them, not this rank's
        for index, entries in optimizer["state"].items():
            assert all(torch.equal(entries[key], restored_optimizer["state"][index][key]) for key in entries)
