from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed, nn

from tests.processes import run_side_by_side
from tests.training_toys import CRITIC_KEYS, GENERATOR_KEYS, LATENTS, Setup, real_batches, train_one_rank

R1: dict[str, Any] = {"objective": "non-saturating", "r1": 1.0}


@pytest.mark.parametrize(
    "options",
    [{}, {"gradient_accumulation_steps": 2}, {"objective": "hinge", "ema": 0.9}, R1],
    ids=str,
)
def test_wrapped_networks_train_as_bare_ones(options: dict[str, Any], tmp_path: Path) -> None:
    plain = Setup(n=2, **options)
    expected = plain.run(3)
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{tmp_path / 'rendezvous'}",
        rank=0,
        world_size=1,
        timeout=datetime.timedelta(seconds=60),
    )
    try:
        setup = Setup(n=2, wrap=nn.parallel.DistributedDataParallel, **options)
        outputs = setup.run(3)
    finally:
        distributed.destroy_process_group()
    for a, b in zip(plain.weights(), setup.weights(), strict=True):
        torch.testing.assert_close(a, b)
    for key in (*CRITIC_KEYS, *GENERATOR_KEYS):
        torch.testing.assert_close(outputs[-1][key], expected[-1][key])


def test_two_processes_train_as_one_with_all_the_data(tmp_path: Path) -> None:
    # Two ranks with two micro-batches each against one process with batches four times as large.
    run_side_by_side(train_one_rank, [(rank, str(tmp_path), R1) for rank in range(2)], tmp_path, limit=120.0)
    batches = real_batches(16)
    together = [torch.cat(batches[index : index + 4]) for index in range(0, 16, 4)]
    setup = Setup(n=2, data=together, sample_latent=lambda size: LATENTS.repeat(size // 8, 1), **R1)
    setup.run(2)
    setup.set(0)
    setup.run(1)
    for rank in range(2):
        for ours, theirs in zip(torch.load(tmp_path / f"{rank}.pt"), setup.weights(), strict=True):
            torch.testing.assert_close(ours, theirs)
