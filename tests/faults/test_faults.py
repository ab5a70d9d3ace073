"""A full disk, a worker that dies, an iterator that runs dry in the step, clocks that jump: nothing is lost."""

from __future__ import annotations

import errno
import gc
import os
import signal
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from ignite.handlers import DiskSaver
from torch import nn
from torch.utils.data import DataLoader, Dataset

from adaptive_critic import FixedController, create_gan_trainer, infinite_batches
from adaptive_critic.resume import files
from adaptive_critic.resume.trace import Trace
from tests.faults.lives import EVERY, Life, check_controller_is_consistent, check_next_life, undisturbed
from tests.resume.own import OwnTraining, run


@pytest.fixture(scope="module")
def expected() -> Trace:
    return undisturbed()


def contents(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- a full disk ------------------------------------------------------------------------------------------------------


def no_space_left(func: Callable[..., Any], checkpoint: Any, file: Any) -> None:
    """Write a part, as a disk does that fills up meanwhile."""
    file.write(b"PK" * 500)
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class FullDisk:
    """While it is entered, the n-th write of a checkpoint and all that follow fail in their middle."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, from_write: int) -> None:
        self._monkeypatch, self._from, self._writes = monkeypatch, from_write, 0
        self._original = DiskSaver._save_func

    def __enter__(self) -> None:
        full = self

        def save(saver: DiskSaver, checkpoint: Mapping[Any, Any], path: Path, func: Callable[..., Any]) -> None:
            full._writes += 1
            failing = full._writes >= full._from
            full._original(saver, checkpoint, path, partial(no_space_left, func) if failing else func)

        self._monkeypatch.setattr(DiskSaver, "_save_func", save)

    def __exit__(self, *_: object) -> None:
        self._monkeypatch.setattr(DiskSaver, "_save_func", self._original)


@pytest.mark.parametrize(("from_write", "left", "done"), [(1, [], 0), (2, [4], 4), (3, [8], 8)])
def test_a_disk_that_is_full_ends_the_run_and_leaves_the_last_checkpoint(
    from_write: int, left: list[int], done: int, expected: Trace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = Life(tmp_path)
    with FullDisk(monkeypatch, from_write), pytest.raises(OSError, match="No space left on device"):
        life.live()
    assert contents(tmp_path) == [f"checkpoint_{iteration}.pt" for iteration in left]  # and nothing half written
    check_controller_is_consistent(life, expected)
    check_next_life(tmp_path, expected, done)


def test_a_disk_that_stays_full_for_many_lives_never_costs_the_last_checkpoint(
    expected: Trace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FullDisk(monkeypatch, from_write=3):
        for _ in range(4):
            with pytest.raises(OSError, match="No space left on device"):
                Life(tmp_path).live()
            assert contents(tmp_path) == ["checkpoint_8.pt"]
    check_next_life(tmp_path, expected, 8)


def test_a_limit_that_the_system_sets_on_files_is_such_a_fault(expected: Trace, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")  # not on Windows
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    life = Life(tmp_path)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))

    life.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=7), limit)
    try:
        with pytest.raises((OSError, RuntimeError)):
            life.live()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert life.trainer.state.iteration == 8
    assert (tmp_path / "checkpoint_4.pt").stat().st_size > 20_000
    # Ignite fails to close its temporary file, too, and leaves it; nothing reads it (docs/reliability.md says so).
    assert [name for name in contents(tmp_path) if not name.startswith("tmp")] == ["checkpoint_4.pt"]
    check_next_life(tmp_path, expected, 4)


# --- a worker that dies -----------------------------------------------------------------------------------------------


class Deadly(Dataset[torch.Tensor]):
    """Random points; reading one kills the process that reads it, once, while the file is there."""

    def __init__(self, poison: Path) -> None:
        self._poison = poison

    def __len__(self) -> int:
        return 36

    def __getitem__(self, index: int) -> torch.Tensor:
        if index == 5 and self._poison.exists():
            self._poison.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return torch.rand(2) + index / 36


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
def test_a_worker_of_the_loader_that_dies_ends_the_run_and_the_next_life_goes_on(tmp_path: Path) -> None:
    poison, folder = tmp_path / "poison", tmp_path / "checkpoints"

    def make() -> OwnTraining:
        loader = DataLoader(Deadly(poison), batch_size=8, shuffle=True, drop_last=True, num_workers=1)
        return OwnTraining(infinite_batches(loader))

    expected = undisturbed(make)
    life = Life(folder, make)
    life.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=6), lambda: poison.touch())
    with pytest.raises(RuntimeError, match=r"DataLoader worker \(pid"):
        life.live()
    assert not poison.exists()
    done = life.trainer.state.iteration - 1
    assert done >= 6
    check_controller_is_consistent(life, expected)
    check_next_life(folder, expected, done // EVERY * EVERY, make)


# --- StopIteration in the step ----------------------------------------------------------------------------------------


def test_an_iterator_that_runs_dry_in_a_step_of_ones_own_ends_the_run(expected: Trace, tmp_path: Path) -> None:
    life = Life(tmp_path)
    own = iter(range(6))  # one for each iteration, and the author forgot that there are more
    step = life.trainer._process_function

    def with_own_iterator(engine: Engine, batch: Any) -> Any:
        next(own)
        return step(engine, batch)

    life.trainer._process_function = with_own_iterator
    with pytest.raises((RuntimeError, StopIteration)):
        life.live()
    assert life.trainer.state.iteration == 7
    check_controller_is_consistent(life, expected)
    check_next_life(tmp_path, expected, 4)


def test_an_iterator_that_runs_dry_in_our_step_is_an_error_that_says_so() -> None:
    generator, critic = nn.Linear(1, 1), nn.Linear(1, 1)
    own = iter(range(6))

    def prepare(batch: torch.Tensor) -> torch.Tensor:
        next(own)
        return batch

    trainer = create_gan_trainer(
        generator,
        critic,
        torch.optim.SGD(generator.parameters(), lr=0.1),
        torch.optim.SGD(critic.parameters(), lr=0.1),
        data=[torch.zeros(4, 1)],
        latent_dim=1,
        objective="hinge",
        prepare_batch=prepare,
    )
    controller = FixedController(2)
    controller.attach(trainer)
    with pytest.raises(RuntimeError, match="StopIteration inside the training step: an iterator used by it ran dry"):
        run(trainer)
    assert (trainer.state.iteration, controller.generator_updates, controller.critic_updates) == (4, 3, 6)


# --- clocks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump", [-1e9, 1e9], ids=["back", "forth"])
def test_clocks_that_jump_change_nothing(
    jump: float, expected: Trace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gc.collect()  # torch's loaders of earlier tests wait for their workers by the clock when they are collected
    for name in ("time", "monotonic", "perf_counter"):
        original = getattr(time, name)
        calls = [0]

        def jumping(original: Callable[[], float] = original, calls: list[int] = calls) -> float:
            calls[0] += 1
            return original() + jump * calls[0]

        monkeypatch.setattr(time, name, jumping)
    life = Life(tmp_path)
    trace = life.live()
    assert trace == expected
    # The newest is the one with the most iterations, whatever the files' times say.
    os.utime(tmp_path / "checkpoint_12.pt", (0, 0))
    assert contents(tmp_path) == ["checkpoint_12.pt", "checkpoint_8.pt"]
    assert files.find(tmp_path, "trainer").iteration == 12
    check_next_life(tmp_path, expected, 12)
