from __future__ import annotations

import dataclasses
import errno
import json
import math
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from experiments import __main__ as command_line
from experiments import execution
from experiments.contenders import select_contenders
from experiments.execution import DiskFullError, execute, finished
from experiments.parallel import run_all
from experiments.plan import TUNING_SEEDS, Spec, blocks, estimated_seconds, specs, suite_record
from experiments.report.seeds import SEEN
from experiments.runner import Training
from experiments.schema import BestPair, FormatError, Run, Suite, load_results
from experiments.tasks import all_tasks

# Workers are other processes, which cannot import a test: they get its functions by value.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


def _specs(out: Path, contenders: list[str], seeds: list[int] | None = None) -> list[Spec]:
    return specs(out, task_names=["ring"], contender_names=contenders, seeds=seeds, quick=True)


@pytest.fixture
def lines() -> list[str]:
    return []


def _killed_once(spec: Spec, checkpoint_seconds: float) -> Run:
    """Kill the worker in the middle of the first attempt at fixed-2, after its first checkpoint."""
    marker = spec.folder / "killed-here"
    if spec.contender == "fixed-2" and not marker.exists():
        spec.folder.mkdir(parents=True)
        (spec.folder / execution.STARTED).touch()
        marker.touch()
        (contender,) = select_contenders([spec.contender])
        task = dataclasses.replace(spec.load_task(), evaluations=2)

        def kill(reached: int) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        Training(task, contender, spec.seed, math.nan, spec.folder, 0.0, on_evaluation=kill).run()
    return execute(spec, checkpoint_seconds)


def _always_killed(spec: Spec, checkpoint_seconds: float) -> Run:
    if spec.contender == "gap":
        spec.folder.mkdir(parents=True, exist_ok=True)
        (spec.folder / execution.STARTED).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return execute(spec, checkpoint_seconds)


def _comparable(run: Run) -> tuple[Any, ...]:
    return (run.config, run.status, run.diverged, run.curve.quality, run.curve.critic_updates)


def test_a_killed_worker_costs_nothing_that_was_finished(tmp_path: Path, lines: list[str]) -> None:
    runs = _specs(tmp_path / "killed", ["fixed-1", "fixed-2", "fixed-3", "mean-of:gap"])
    done = run_all(runs, say=lines.append, work=_killed_once, checkpoint_seconds=0.0)
    assert [run.status for run in done] == ["completed"] * 5
    assert any("a worker died" in line for line in lines)
    (killed,) = (spec for spec in runs if spec.contender == "fixed-2")
    assert (killed.folder / "killed-here").exists()
    quiet = run_all(_specs(tmp_path / "quiet", ["fixed-1", "fixed-2", "fixed-3", "mean-of:gap"]), say=lines.append)
    assert [_comparable(run) for run in done] == [_comparable(run) for run in quiet]
    # Nothing but the result is left of a finished run.
    assert [path.name for path in runs[0].folder.iterdir()] == ["result.json"]


def test_a_run_that_always_kills_its_worker_is_recorded_and_the_rest_goes_on(tmp_path: Path, lines: list[str]) -> None:
    runs = _specs(tmp_path, ["fixed-1", "fixed-2", "mean-of:gap"])
    done = {run.config.contender: run for run in run_all(runs, say=lines.append, work=_always_killed)}
    assert {name: run.status for name, run in done.items()} == {
        "fixed-1": "completed",
        "fixed-2": "completed",
        "gap": "failed",
        "mean-of:gap": "failed",
    }
    assert "its worker process died" in (done["gap"].error or "")
    assert "the run that it matches has no result" in (done["mean-of:gap"].error or "")
    assert "2 of 4 runs failed" in lines[-1]


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    distributed = pytest.importorskip("distributed")
    # A port of its own choice for everything, and no web page.
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
    ) as cluster:
        yield cluster.scheduler_address


def test_two_dask_workers_give_what_this_process_gives(tmp_path: Path, lines: list[str], scheduler: str) -> None:
    names = ["fixed-1", "fixed-3", "mean-of:gap"]
    done = run_all(_specs(tmp_path / "dask", names), backend="dask", scheduler=scheduler, say=lines.append)
    here = [execute(spec) for spec in _specs(tmp_path / "here", names)]
    assert [_comparable(run) for run in done] == [_comparable(run) for run in here]
    assert all(finished(spec) for spec in _specs(tmp_path / "dask", names))


def test_a_killed_dask_worker_costs_nothing_that_was_finished(tmp_path: Path, lines: list[str], scheduler: str) -> None:
    runs = _specs(tmp_path, ["fixed-1", "fixed-2", "fixed-3"])
    done = run_all(
        runs, backend="dask", scheduler=scheduler, say=lines.append, work=_killed_once, checkpoint_seconds=0.0
    )
    assert [run.status for run in done] == ["completed"] * 3


def _never(spec: Spec, checkpoint_seconds: float) -> Run:
    raise AssertionError(f"made again: {spec}")


def test_a_finished_run_is_skipped_and_a_half_written_one_made_again(tmp_path: Path, lines: list[str]) -> None:
    runs = _specs(tmp_path, ["fixed-1", "fixed-2"])
    first = run_all(runs, jobs=1, say=lines.append)
    assert run_all(runs, jobs=1, say=lines.append, work=_never) == first
    assert lines[-1] == "2 of 2 runs are finished already"
    result = runs[0].folder / "result.json"
    result.write_text(result.read_text()[:200])
    again = run_all(runs, jobs=1, say=lines.append)
    assert _comparable(again[0]) == _comparable(first[0])
    assert again[1] == first[1]


def test_a_result_of_another_format_stops_with_a_reason(tmp_path: Path, lines: list[str]) -> None:
    (spec,) = _specs(tmp_path, ["fixed-1"])
    run_all([spec], jobs=1, say=lines.append)
    path = spec.folder / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 999}))
    with pytest.raises(FormatError, match="999"):
        run_all([spec], jobs=1, say=lines.append)


def test_a_failure_is_recorded_with_its_traceback(
    tmp_path: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = _specs(tmp_path, ["fixed-1", "fixed-2"])
    original = Training.run

    def broken(self: Training) -> Any:
        if self.task.name == "ring" and getattr(self.handler, "num_discriminator_steps", 0) == 1:
            raise ArithmeticError("the law divided by zero")
        return original(self)

    monkeypatch.setattr(Training, "run", broken)
    first, second = run_all(runs, jobs=1, say=lines.append)
    assert (first.status, second.status) == ("failed", "completed")
    assert first.error is not None
    assert "Traceback" in first.error
    assert "ArithmeticError: the law divided by zero" in first.error
    assert any("FAILED: ArithmeticError: the law divided by zero" in line for line in lines)
    monkeypatch.undo()
    assert run_all(runs, jobs=1, say=lines.append)[0].status == "failed"
    assert run_all(runs, jobs=1, say=lines.append, retry_failed=True)[0].status == "completed"


def test_a_full_disk_stops_everything_with_a_reason(
    tmp_path: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = _specs(tmp_path, ["fixed-1", "fixed-2"])

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFullError, match=r"no space left for .*seed-0.*finished runs are kept"):
        run_all(runs, jobs=1, say=lines.append)
    assert not list(tmp_path.rglob("result.json"))
    monkeypatch.undo()
    assert [run.status for run in run_all(runs, jobs=1, say=lines.append)] == ["completed"] * 2


def test_wrong_backends_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="backend='threads': must be one of loky, dask"):
        run_all([], backend="threads")
    with pytest.raises(ValueError, match="go together"):
        run_all([], backend="dask")


def test_a_matching_run_brings_the_run_that_it_matches_along(tmp_path: Path) -> None:
    runs = _specs(tmp_path, ["mean-of:gap"])
    assert [spec.contender for spec in runs] == ["gap", "mean-of:gap"]
    assert runs[1].matches == runs[0].folder


def test_blocks_cover_the_suite_and_keep_the_roles_of_seeds_apart() -> None:
    found = blocks().values()
    covered = {name for block in found for name in block.tasks}
    assert covered == set(all_tasks())
    for block in found:
        tuning = {seed in TUNING_SEEDS for seed in block.seeds}
        assert len(tuning) == 1
    for task in all_tasks().values():
        final = [b for b in found if task.name in b.tasks and not set(b.seeds) & set(TUNING_SEEDS)]
        # Those of the law before, which had been looked at, and fresh ones.
        looked_at, fresh = (range(41, 49), range(55, 60)) if task.cheap else (range(16, 22), range(22, 27))
        expected = set() if task.suite == "development" else {*looked_at, *fresh}
        assert {seed for block in final for seed in block.seeds} == expected
        seen = {seed for group in SEEN if group.cheap is task.cheap for seed in group.seeds}
        assert seen.issuperset(looked_at)
        assert seen.isdisjoint(fresh)


def test_no_block_takes_more_than_ninety_minutes_on_two_cores(tmp_path: Path) -> None:
    best, bare = BestPair("pair-10x2", "pair-10x4", "pair-10x8"), suite_record()
    tasks = tuple(dataclasses.replace(task, best_pair=best) for task in bare.tasks)
    chosen = dataclasses.replace(bare, tasks=tasks, pairs=("pair-1x2", "pair-1x4", "pair-1x8"))
    minutes = {name: estimated_seconds(specs(tmp_path, block_names=[name], suite=chosen)) / 120 for name in blocks()}
    assert max(minutes.values()) <= 90, minutes


def test_on_final_seeds_only_the_chosen_pairs_run(tmp_path: Path) -> None:
    tasks, best = ["grid", "pinwheel", "two-moons"], BestPair("pair-1x8", "pair-2x4", "fixed-1")
    bare = suite_record()
    chosen = dataclasses.replace(
        bare,
        tasks=tuple(dataclasses.replace(t, best_pair=best if t.name == "pinwheel" else None) for t in bare.tasks),
        pairs=("pair-1x4",),
    )

    def pairs(block: str, suite: Suite | None) -> dict[str, set[str]]:
        found = specs(tmp_path, block_names=[block], task_names=tasks, suite=suite)
        return {t: {s.contender for s in found if s.task == t and s.contender.startswith("pair-")} for t in tasks}

    assert pairs("cheap", chosen) == {
        "grid": set(),
        "pinwheel": {"pair-1x8", "pair-2x4", "pair-1x4"},
        "two-moons": {"pair-1x4"},
    }
    assert pairs("cheap", None) == {"grid": set(), "pinwheel": set(), "two-moons": set()}
    assert len(pairs("tuning", chosen)["pinwheel"]) == len(pairs("development", None)["grid"]) == 20
    # Who names a pair and a seed gets it.
    asked = specs(tmp_path, task_names=["two-moons"], contender_names=["pair-10x16"], seeds=[25])
    assert [(s.contender, s.seed) for s in asked] == [("pair-10x16", 25)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tasks", "rign"], "unknown task 'rign'; there are: "),
        (["--contenders", "n5"], "unknown contender 'n5'; there are: fixed-1"),
        (["--block", "all"], "unknown block 'all'; there are: development"),
        (["--tasks", "ring", "--contenders", "gap-aware-rate"], "no run is left"),
    ],
)
def test_bad_names_are_answered_with_the_list(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.main(["run", *arguments, "--out", str(tmp_path)]) == 1
    assert message in capsys.readouterr().err


def test_the_command_line_runs_lists_and_writes_the_compact_form(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = dataclasses.replace(all_tasks()["ring"], budget=40.0, evaluations=2, evaluation_samples=100)
    monkeypatch.setitem(all_tasks(), "ring", task)
    out, results = tmp_path / "out", tmp_path / "results"
    choice = ["--block", "development", "--tasks", "ring", "--contenders", "fixed-1", "fixed-2", "--out", str(out)]
    assert command_line.main(["run", "--jobs", "1", *choice]) == 0
    assert command_line.main(["list", *choice]) == 0
    assert "development" in capsys.readouterr().out
    assert command_line.main(["compact", *choice, "--results", str(results)]) == 0
    loaded = load_results(results)
    assert not loaded.problems
    assert {(run.config.contender, run.config.seed) for run in loaded.runs} == {
        (name, seed) for name in ("fixed-1", "fixed-2") for seed in TUNING_SEEDS
    }
    assert {run.config.seed for run in loaded.runs if run.samples is not None} == {1000}


def test_an_incomplete_block_is_not_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    choice = ["--block", "development", "--tasks", "ring", "--out", str(tmp_path / "out")]
    results = tmp_path / "results"
    assert command_line.main(["compact", *choice, "--results", str(results)]) == 0
    assert "0 of" in capsys.readouterr().out
    assert not list(results.glob("*.gz"))
