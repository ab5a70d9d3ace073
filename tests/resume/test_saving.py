"""resume_exactly: the same script again goes on where it was."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from ignite.engine.deterministic import DeterministicEngine
from ignite.handlers import Checkpoint
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from adaptive_critic import FixedController, StateError, complete_recipe, resume_exactly
from adaptive_critic.random_state import RandomState
from adaptive_critic.resume import Resumed, files
from adaptive_critic.resume.trace import Recorder, Trace, first_difference
from tests.resume.own import EPOCH, OwnTraining, run

END = 24
RANDOM_STATES = {"cpu", "python", "numpy"}


def life(folder: Path | None, ends: int, **options: Any) -> tuple[Trace, Resumed | None]:
    """Build the training, go on from the folder, and let it end after so many iterations in all."""
    training = OwnTraining()
    recorder = Recorder(training.trainer, complete_recipe(training.trainer, training.objects), ends, ())
    resumed = None
    if folder is not None:
        resumed = resume_exactly(training.trainer, folder, training.objects, **({"every": EPOCH} | options))
    run(training.trainer)
    return recorder.trace, resumed


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def expected() -> Trace:
    return life(None, END)[0]


def rest(trace: Trace, done: int) -> Trace:
    return {moment: entries for moment, entries in trace.items() if moment.iteration > done}


def test_three_lives_are_one(expected: Trace, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    for ends, done in ((8, 0), (18, 5), (END, 15)):
        trace, resumed = life(folder, ends)
        assert resumed is not None
        assert resumed.iteration == done
        assert (resumed.file is None) == (done == 0)
        found = first_difference(trace, {key: value for key, value in expected.items() if done < key.iteration <= ends},
                                 RANDOM_STATES)  # fmt: skip
        assert found is None
    assert names(folder) == ["checkpoint_15.pt", "checkpoint_20.pt"]  # those of earlier lives are counted


def test_what_was_resumed_is_shown_in_one_line(tmp_path: Path) -> None:
    life(tmp_path, 8)
    _, resumed = life(tmp_path, 9)
    shown = repr(resumed)
    assert shown.startswith(f"Resumed(iteration=5, file='{tmp_path / 'checkpoint_5.pt'}', passed_over=[], to_save=['")
    assert "\n" not in shown
    assert len(shown) < 300 + len(str(tmp_path))


def test_a_file_that_is_cut_off_is_passed_over(
    expected: Trace, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    life(tmp_path, 18, every=3)
    newest = tmp_path / "checkpoint_18.pt"
    newest.write_bytes(newest.read_bytes()[:1000])
    trace, resumed = life(tmp_path, END, every=3)
    assert resumed is not None
    assert (resumed.iteration, resumed.passed_over) == (15, (newest,))
    assert first_difference(trace, rest(expected, 15), RANDOM_STATES) is None
    assert f"{newest} does not load" in caplog.text
    assert names(tmp_path) == ["checkpoint_21.pt", "checkpoint_24.pt"]


def test_if_no_file_loads_the_run_does_not_silently_begin_anew(tmp_path: Path) -> None:
    for iteration in (5, 10):
        (tmp_path / f"checkpoint_{iteration}.pt").write_bytes(b"PK")
    with pytest.raises(RuntimeError, match="none of the 2 checkpoints in .* loads: move them away to begin anew"):
        life(tmp_path, END)


def test_files_of_another_number_of_ranks_are_refused(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "rank0of2_checkpoint_5.pt")
    torch.save({}, tmp_path / "checkpoint_best.pt")  # no name of ours
    with pytest.raises(RuntimeError, match=r"has checkpoints of 2 rank\(s\), this run has 1: an exact resume needs as"):
        life(tmp_path, END)


def small(**objects: Any) -> tuple[Engine, dict[str, Any]]:
    return Engine(lambda engine, batch: None), {"model": nn.Linear(1, 1), **objects}


@pytest.mark.parametrize("change", ["missing", "unknown"])
def test_a_checkpoint_of_other_things_is_refused_and_nothing_is_loaded(change: str, tmp_path: Path) -> None:
    trainer, objects = small()
    resume_exactly(trainer, tmp_path, objects, every=5)
    trainer.run(range(5))
    trainer, objects = small()
    weight = objects["model"].weight.detach().clone()
    if change == "missing":
        objects["average"] = nn.Linear(1, 1)
        message = r"checkpoint_5\.pt has no 'average'; it has \['model', 'random_state', 'trainer'\]"
    else:
        objects = {"other": objects["model"]}
        message = r"has no 'other'"
    with pytest.raises(StateError, match=message):
        resume_exactly(trainer, tmp_path, objects, every=5)
    if change == "unknown":
        with pytest.raises(StateError, match="also has 'model', which is not among the objects to save"):
            resume_exactly(trainer, tmp_path, {}, every=5)
    assert trainer.state.iteration == 0
    assert torch.equal(weight, next(iter(objects.values())).weight)


class Unloadable:
    def state_dict(self) -> dict[str, Any]:
        return {"value": deque([1])}

    def load_state_dict(self, state: Any) -> None:
        raise AssertionError


def test_a_state_that_does_not_load_as_data_is_found_at_the_first_save(tmp_path: Path) -> None:
    trainer, objects = small(mine=Unloadable())
    resume_exactly(trainer, tmp_path, objects, every=2)
    with pytest.raises(
        ValueError,
        match=r"checkpoint_2\.pt was written, but can't be read back: the state of 'mine', a Unloadable, holds "
        r"collections\.deque: return tensors, numbers, .*weights_only=True",
    ):
        trainer.run(range(5))
    assert trainer.state.iteration == 2


def test_an_engine_that_keeps_random_states_is_named_with_what_to_take(tmp_path: Path) -> None:
    trainer = DeterministicEngine(lambda engine, batch: None)
    resume_exactly(trainer, tmp_path, {}, every=2)
    with pytest.raises(ValueError, match=r"the state of 'trainer', a DeterministicEngine, holds .*: take an Engine"):
        trainer.run(DataLoader(TensorDataset(torch.arange(5))))


def test_a_file_that_the_disk_has_lost_is_told_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(path: Path) -> dict[str, Any]:
        raise OSError("Stale file handle")

    trainer, objects = small()
    resume_exactly(trainer, tmp_path, objects, every=2)
    monkeypatch.setattr(files, "load", lost)
    with pytest.raises(ValueError, match="can't be read back: Stale file handle"):
        trainer.run(range(5))


def test_only_the_first_file_is_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading each would double the time that large checkpoints take."""
    read: list[str] = []
    load = files.load

    def recorded(path: Path) -> dict[str, Any]:
        read.append(path.name)
        return load(path)

    monkeypatch.setattr(files, "load", recorded)
    trainer, objects = small()
    resume_exactly(trainer, tmp_path, objects, every=2)
    trainer.run(range(8))
    assert read == ["checkpoint_2.pt"]


def test_what_later_handlers_do_is_saved_and_in_a_second_run_as_well(tmp_path: Path) -> None:
    trainer, objects = small()
    model = objects["model"]
    resume_exactly(trainer, tmp_path, objects, every=2)
    saved_checkpoint = getattr(Checkpoint, "SAVED_CHECKPOINT", None)  # Ignite 0.5.3 brought it
    saves: list[int] = []
    if saved_checkpoint is not None:
        trainer.register_events(saved_checkpoint)
        trainer.add_event_handler(saved_checkpoint, lambda engine: saves.append(engine.state.iteration))

    def write(value: int) -> None:
        with torch.no_grad():
            model.weight.fill_(value)

    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: write(engine.state.iteration))
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: write(100 * engine.state.epoch))
    trainer.run(range(4), max_epochs=1)
    assert files.load(tmp_path / "checkpoint_2.pt")["model"]["weight"].item() == 2
    assert files.load(tmp_path / "checkpoint_4.pt")["model"]["weight"].item() == 100
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: write(-engine.state.iteration))
    trainer.run(range(4), max_epochs=2)
    assert files.load(tmp_path / "checkpoint_6.pt")["model"]["weight"].item() == -6
    assert names(tmp_path) == ["checkpoint_6.pt", "checkpoint_8.pt"]
    if saved_checkpoint is not None:
        assert saves == [2, 4, 6, 8]


class Killed(BaseException):
    """The process ends here: nothing after it runs."""


def halving(folder: Path, killed: bool, early: str | None) -> float:
    """Train for two epochs of 4 iterations; return the learning rate, halved by a handler at the end of an epoch.

    In its first life the process ends within the handlers at the end of epoch 1, before the one that halves.
    """
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    trainer = Engine(lambda engine, batch: None)

    def kill() -> None:
        if killed:
            raise Killed

    def halve(engine: Engine, iter_counter: int = 0) -> None:
        optimizer.param_groups[0]["lr"] /= 2

    if early is not None:
        trainer.add_event_handler(Events.ITERATION_COMPLETED(once=4), lambda: trainer.terminate_epoch(early == "skip"))
    event = Events.EPOCH_COMPLETED if early is None else Events.TERMINATE_SINGLE_EPOCH
    trainer.add_event_handler(event, lambda engine, iter_counter=0: kill())
    trainer.add_event_handler(event, halve)
    resume_exactly(trainer, folder, {"optimizer": optimizer}, every=2)
    trainer.run(range(4 if early is None else 8), max_epochs=2)
    return float(optimizer.param_groups[0]["lr"])


@pytest.mark.filterwarnings("ignore:Data iterator can not provide data:UserWarning")
@pytest.mark.parametrize("early", [None, "skip", "complete"])
def test_what_handlers_at_the_end_of_an_epoch_do_is_not_lost_if_the_process_ends_within_them(
    early: str | None, tmp_path: Path
) -> None:
    """The iteration is saved once, after them; otherwise the resumed run would skip the rest of them."""
    expected = halving(tmp_path / "uninterrupted", False, early)
    with pytest.raises(Killed):
        halving(tmp_path / "killed", True, early)
    assert names(tmp_path / "killed") == ["checkpoint_2.pt"]
    assert halving(tmp_path / "killed", False, early) == expected


def newest(folder: Path) -> int:
    return max(int(path.stem.rpartition("_")[2]) for path in folder.iterdir())


def newest_at_each_end_of_an_epoch(trainer: Engine, folder: Path) -> list[tuple[int, int]]:
    """Return a list that gets, at each EPOCH_COMPLETED, the iteration and that of the newest file by then."""
    found: list[tuple[int, int]] = []
    trainer.add_event_handler(
        Events.EPOCH_COMPLETED, lambda engine: found.append((engine.state.iteration, newest(folder)))
    )
    return found


def test_an_epoch_that_is_resumed_in_its_middle_ends_where_it_would_have(tmp_path: Path) -> None:
    for ends, expected in ((6, [(4, 3)]), (100, [(8, 7), (12, 11)])):
        trainer, objects = small()
        resume_exactly(trainer, tmp_path, objects, every=1)
        found = newest_at_each_end_of_an_epoch(trainer, tmp_path)
        trainer.add_event_handler(Events.ITERATION_COMPLETED(once=ends), trainer.terminate)
        trainer.run(range(4), max_epochs=3)
        assert found == expected


def test_an_epoch_after_one_that_was_ended_early_is_as_long_as_any(tmp_path: Path) -> None:
    trainer, objects = small()
    resume_exactly(trainer, tmp_path, objects, every=1)
    found = newest_at_each_end_of_an_epoch(trainer, tmp_path)
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=2), lambda: trainer.terminate_epoch())
    trainer.run(range(4), max_epochs=2)
    assert found == [(2, 1), (6, 5)]
    assert newest(tmp_path) == 6


def test_the_first_epoch_of_unknown_length_is_saved_at_its_end(tmp_path: Path) -> None:
    """Ignite can't go on from within it, and the handlers of its end may be due at any moment."""
    for expected in (0, 6):
        trainer, objects = small()
        assert resume_exactly(trainer, tmp_path, objects, every=2).iteration == expected
        trainer.add_event_handler(Events.ITERATION_COMPLETED(once=7), trainer.terminate)
        trainer.run(iter_without_length(5), max_epochs=2)
        assert names(tmp_path) == ["checkpoint_5.pt", "checkpoint_6.pt"]


def iter_without_length(count: int) -> Any:
    class Batches:
        def __iter__(self) -> Any:
            return iter(range(count))

    return Batches()


def test_a_run_that_is_terminated_in_an_epoch_s_last_iteration_is_not_saved_there(tmp_path: Path) -> None:
    """Ignite leaves out the handlers of that epoch's end, which the resumed run needs."""
    trainer, objects = small()
    resume_exactly(trainer, tmp_path, objects, every=2)
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=4), trainer.terminate)
    trainer.run(range(4), max_epochs=2)
    assert names(tmp_path) == ["checkpoint_2.pt"]


def test_a_recipe_is_completed_with_the_random_state_last() -> None:
    trainer, objects = small()
    generator, state = torch.Generator(), RandomState(torch.device("cpu"))
    vars(trainer.state)["to_save"] = {"state": state, "listed": nn.Linear(1, 1)}
    recipe = complete_recipe(trainer, objects | {"latents": generator, "engine": trainer})
    assert list(recipe) == ["listed", "model", "latents", "engine", "state"]
    saved = recipe["latents"].state_dict()
    first = torch.rand(2, generator=generator)
    recipe["latents"].load_state_dict(saved)
    assert torch.equal(torch.rand(2, generator=generator), first)
    with pytest.raises(StateError, match=r"no saved state of a torch\.Generator"):
        recipe["latents"].load_state_dict({"generator": torch.zeros(3, dtype=torch.uint8)})


@pytest.mark.parametrize(
    ("objects", "options", "error", "message"),
    [
        ({"model": 3}, {}, TypeError, r"objects\['model'\] has no state_dict\(\): .* got int"),
        ([], {}, TypeError, r"objects=\[\]: expected a dict"),
        ({1: nn.Linear(1, 1)}, {}, TypeError, "has the key 1: expected names, got int"),
        ({"trainer": nn.Linear(1, 1)}, {}, ValueError, r"objects\['trainer'\]: that name is kept .*, got Linear"),
        ({"listed": nn.Linear(1, 1)}, {}, ValueError, "'listed' is another object in trainer.state.to_save"),
        ({}, {"every": 0}, ValueError, "every=0: expected an int of at least 1"),
        ({}, {"every": 2.0}, TypeError, r"every=2\.0: expected an int"),
        ({}, {"keep": 0}, ValueError, "keep=0: expected at least 2"),
        ({}, {"device": "cude"}, ValueError, "device='cude': expected a torch device such as 'cpu'"),
        ({}, {"device": 3.5}, TypeError, "device=3.5: expected a torch device"),
        ({}, {"device": "cuda:99"}, ValueError, "device='cuda:99': expected a torch device"),
        ({}, {"folder": ""}, ValueError, "folder='': expected a path, '.' for the current folder"),
        ({"model": nn.Linear}, {}, TypeError, r"objects\['model'\] is the class Linear: expected an object of it"),
        ({}, {"folder": None}, TypeError, "folder=None: expected a path, got NoneType"),
        ({}, {"keep": 1}, ValueError, "keep=1: expected at least 2, as Ignite removes the old"),
    ],
)
def test_bad_arguments_are_refused(
    objects: Any, options: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    trainer, _ = small()
    vars(trainer.state)["to_save"] = {"listed": nn.Linear(1, 1)}
    defaults: dict[str, Any] = {"folder": tmp_path / "folder", "every": 5}
    with pytest.raises(error, match=message):
        resume_exactly(trainer, objects=objects, **defaults | options)
    assert not (tmp_path / "folder").exists()
    with pytest.raises(TypeError, match=r"trainer=None: expected an ignite\.engine\.Engine"):
        resume_exactly(None, tmp_path, {}, every=5)  # type: ignore[arg-type]  # it is what is tested


def test_a_second_call_for_a_trainer_replaces_the_first(tmp_path: Path) -> None:
    trainer, objects = small()
    for epochs in (2, 8):
        resumed = resume_exactly(trainer, tmp_path, objects, every=5)
        assert resumed.iteration == (0 if epochs == 2 else 20)
        trainer.run(range(10), max_epochs=epochs)
    assert names(tmp_path) == ["checkpoint_75.pt", "checkpoint_80.pt"]


def test_a_run_that_is_complete_says_so(tmp_path: Path) -> None:
    for expected in (0, 10):
        trainer, objects = small(controller=FixedController(2))
        objects["controller"].attach(trainer)
        resumed = resume_exactly(trainer, str(tmp_path), objects, every=5)
        assert resumed.iteration == expected
        if resumed.iteration < 10:
            trainer.run(range(10))
    assert objects["controller"].critic_updates == 20
