"""A short cut of ``python -m tests.crash``, and that what it reports can be trusted."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint, DiskSaver
from torch import nn

from tests.crash.kills import Kill, kill_trainings
from tests.crash.ranks import RankKill, kill_ranks
from tests.crash.training import SPOILT, Training, digest, first_difference
from tests.crash.worker import newest
from tests.guard.engines import needs_max_iters

SAVED_AT = 14
END = 22


@needs_max_iters
def test_a_training_that_is_killed_five_times_goes_on_bit_for_bit() -> None:
    result = kill_trainings(5, seed=1, iterations=SPOILT + 10)
    assert result.differences == []
    assert (result.exact, result.kills) == (5, 5)


@pytest.fixture(scope="module")
def expected() -> list[str]:
    lines: list[str] = []
    Training("rollback").run(None, lines.append, END)
    return lines


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("checkpoints")
    first = Training("rollback")
    first.run(Checkpoint(first.to_save, DiskSaver(str(folder)), n_saved=2), lambda _: None, END - 2)
    found = newest(folder)
    assert found is not None
    path, content, damaged = found
    assert (path.name, damaged) == (f"checkpoint_{SAVED_AT}.pt", 0)
    return content


def resumed(checkpoint: dict[str, Any], without: str | None) -> list[str]:
    training = Training("rollback")
    to_load = {name: item for name, item in training.to_save.items() if name != without}
    # An optimizer goes on in the very tensors that it is given.
    Checkpoint.load_objects(to_load, copy.deepcopy(checkpoint))
    lines: list[str] = []
    training.run(None, lines.append, END)
    return lines


@needs_max_iters
def test_a_complete_checkpoint_resumes_exactly(checkpoint: dict[str, Any], expected: list[str]) -> None:
    assert resumed(checkpoint, None) == expected[SAVED_AT:]


@needs_max_iters
@pytest.mark.parametrize(
    ("without", "named"),
    [
        ("trainer", "iteration"),
        ("generator", "d_loss"),
        ("discriminator", "d_loss"),
        ("optimizer_g", "generator"),
        ("optimizer_d", "d_loss"),
        ("batches", "d_loss"),
        ("random_state", "d_loss"),
        ("ema_generator", "ema_generator"),
        ("controller", "controller"),
    ],
)
def test_whatever_is_left_out_of_a_checkpoint_is_noticed(
    without: str, named: str, checkpoint: dict[str, Any], expected: list[str]
) -> None:
    difference = first_difference(resumed(checkpoint, without)[0], expected[SAVED_AT])
    assert difference is not None
    assert difference.startswith(f"iteration {SAVED_AT + 1}: {named} is ")


def test_a_hash_sees_a_bit_a_type_and_a_shape() -> None:
    one = torch.ones(2, 1)
    different = [
        {"a": one},
        {"b": one},
        {"a": one.double()},
        {"a": one.flatten()},
        {"a": torch.nextafter(one, 2 * one)},
        {"a": [1, 1]},
        {"a": [1.0, 1]},
        {"a": 0.0},
        {"a": -0.0},
    ]
    assert len({digest(state) for state in different}) == len(different)
    assert digest({"a": one}) == digest({"a": one.clone()})


class CutOff(DiskSaver):
    """A DiskSaver whose second write does not come to its end."""

    writes = 0

    def _save_func(self, checkpoint: Mapping[Any, Any], path: Path, func: Any) -> None:
        self.writes += 1
        if self.writes == 2:
            path.write_bytes(b"PK")
            raise KeyboardInterrupt
        super()._save_func(checkpoint, path, func)


@pytest.mark.parametrize(("kept", "left"), [(1, None), (2, 1)])
def test_one_kept_checkpoint_is_none_while_the_next_is_written(tmp_path: Path, kept: int, left: int | None) -> None:
    """Ignite removes the old one first, which is why docs/resume.md keeps two."""
    trainer = Engine(lambda engine, batch: None)
    saver = Checkpoint({"trainer": trainer, "model": nn.Linear(1, 1)}, CutOff(str(tmp_path)), n_saved=kept)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, saver)
    with pytest.raises(KeyboardInterrupt):
        trainer.run(range(3))
    found = newest(tmp_path)
    if left is None:
        assert found is None
    else:
        assert found is not None
        assert (found[0].name, found[2]) == (f"checkpoint_{left}.pt", 1)


@needs_max_iters
def test_two_ranks_of_which_one_or_both_are_killed_go_on_bit_for_bit() -> None:
    # In the second, rank 1 has a checkpoint that rank 0 has not: both have to go on from the one before.
    planned = [RankKill(Kill(9, 0.0, None), (0, 1)), RankKill(Kill(0, 0.5, "before the rename"), (0,))]
    result = kill_ranks(2, iterations=21, planned=planned)
    assert result.differences == []
    assert (result.exact, result.kills) == (2, 2)
    assert result.where == {"both, anywhere": 1, "rank 0, before the rename": 1}
    assert result.damaged == 1
