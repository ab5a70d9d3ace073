"""Result files: what is written comes back, and what is wrong is named and counted."""

from __future__ import annotations

import copy
import dataclasses
import gzip
import json
import math
from pathlib import Path
from typing import Any

import pytest

from experiments.schema import (
    BestPair,
    FormatError,
    ResultError,
    Run,
    Samples,
    compact,
    load_results,
    run_from_json,
    run_to_json,
    suite_from_json,
    suite_to_json,
    write_json,
)
from tests.experiments.synthetic import png, run, story

SUITE = story().suite
RUN = run_to_json(run("wins", "fixed_2", 100, 4, 8))


def folder(path: Path, *runs: Run) -> Path:
    write_json(path / "tasks.json", suite_to_json(SUITE))
    for entry in runs:
        write_json(path / entry.identity.replace("/", "-") / "result.json", run_to_json(entry))
    return path


def equal(a: Run, b: Run) -> bool:
    """NaN equals NaN here, and nothing else is forgiven."""
    return repr(a) == repr(b)


@pytest.mark.parametrize(
    "entry",
    [
        run("wins", "fixed_2", 100, 4, 8),
        run("wins", "fixed_2", 100, diverged=True),
        run("wins", "fixed_2", 100, failed=True, stop=0.0),
        run("wins", "fixed_2", 100, samples=Samples("points", ((0.5, -1.25),))),
        run("wins", "fixed_2", 100, samples=Samples("image-grid", png())),
    ],
)
def test_runs_survive_json(entry: Run) -> None:
    text = json.dumps(run_to_json(entry), allow_nan=False)
    assert equal(run_from_json(json.loads(text)), entry)


def test_the_suite_survives_json() -> None:
    bare = dataclasses.replace(SUITE.tasks[0], name="bare", targets=None, best_fixed_n=None, floor=None)
    suite = dataclasses.replace(SUITE, tasks=(*SUITE.tasks, bare))
    assert suite_from_json(json.loads(json.dumps(suite_to_json(suite)))) == suite


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("config",), None, r"here\.config: expected dict, got None"),
        (("config", "seed"), -1, r"here\.config\.seed: expected at least 0, got -1"),
        (("config", "seed"), True, r"here\.config\.seed: expected int, got True"),
        (("config", "seed_role"), "test", "'test' is none of tuning, final"),
        (("config", "suite"), "other", "none of development, evaluation"),
        (("config", "task"), "", "an empty name"),
        (("status",), "running", "none of completed, failed"),
        (("error",), 3, "expected str or null, got 3"),
        (("cost", "budget"), 0, "expected a finite number above 0, got 0.0"),
        (("cost", "extra"), -1, "expected a finite number at least 0, got -1.0"),
        (("cost", "grid"), "2", "expected int or float, got '2'"),
        (("curve", "quality"), [1.0], "the curves differ in length"),
        (("curve", "n"), ["x"] * 50, r"here\.curve\.n: expected numbers or null, got 'x'"),
        (("curve", "cost"), [2.0] * 50, "must be finite and increase strictly"),
        (("curve", "cost"), [None] * 50, "must be finite and increase strictly"),
        (("summary", "mean_n"), math.inf, "expected a finite number at least 0, got inf"),
        (("samples",), {"kind": "sound", "data": ""}, "none of image-grid, points"),
        (("samples",), {"kind": "points", "data": [[1]]}, r"expected pairs of numbers, got \[1\]"),
    ],
)
def test_a_wrong_entry_is_named(path: tuple[str, ...], value: Any, message: str) -> None:
    data = copy.deepcopy(RUN)
    inner = data
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(ResultError, match=message):
        run_from_json(data, "here")


@pytest.mark.parametrize("key", sorted(RUN))
def test_a_missing_entry_is_named(key: str) -> None:
    data = {name: value for name, value in RUN.items() if name != key}
    with pytest.raises(ResultError, match=f"no entry '{key}'; there are"):
        run_from_json(data)


def test_a_completed_run_has_evaluations() -> None:
    with pytest.raises(ResultError, match="without a single evaluation"):
        run_from_json(run_to_json(dataclasses.replace(run("wins", "fixed_2", 1, stop=0), status="completed")))


def test_a_run_of_the_first_edition_had_the_tasks_rate_and_no_averaged_generator() -> None:
    old = json.loads(json.dumps(RUN))
    del old["curve"]["rate"], old["curve"]["ema_quality"], old["summary"]["mean_rate"]
    read = run_from_json(old)
    assert read.summary.mean_rate == 1.0
    assert read.curve.rate == (1.0,) * len(read.curve.cost)
    assert [math.isnan(quality) for quality in read.curve.ema_quality] == [True] * len(read.curve.cost)


def test_best_pairs_are_read_as_they_were_written() -> None:
    best = BestPair("fixed_1", "fixed_2", "ttur")
    tasks = tuple(dataclasses.replace(task, best_pair=best) for task in SUITE.tasks)
    suite = dataclasses.replace(SUITE, tasks=tasks, pairs=("ttur", "fixed_2"))
    assert suite_from_json(json.loads(json.dumps(suite_to_json(suite)))) == suite
    broken = suite_to_json(suite)
    broken["tasks"][0]["best_pair"]["late"] = 3
    with pytest.raises(ResultError, match=r"best_pair\.late: expected str, got 3"):
        suite_from_json(broken)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "fixed", "steps": None}, "'steps' belongs to kind fixed"),
        ({"kind": "matched", "matches": None, "steps": None}, "'matches' to kind matched"),
        ({"rate": 4.0}, "fixed n with another rate than 1 is of kind pair; got kind fixed, rate 4"),
        ({"kind": "pair", "steps": None, "rate": 0.0}, "rate: expected a finite number above 0"),
        ({"kind": "ours"}, "none of fixed, pair, schedule"),
    ],
)
def test_a_wrong_contender_is_named(change: dict[str, Any], message: str) -> None:
    data = suite_to_json(SUITE)
    data["contenders"][0].update(change)
    with pytest.raises(ResultError, match=message):
        suite_from_json(data)


def test_a_suite_that_was_described_before_there_were_pairs_is_read() -> None:
    data = suite_to_json(SUITE)
    del data["pairs"]
    for entry in data["contenders"]:
        del entry["rate"]
    for entry in data["tasks"]:
        del entry["best_pair"]
    assert suite_from_json(data) == SUITE


def test_wrong_tasks_are_named() -> None:
    data = suite_to_json(SUITE)
    data["tasks"][0]["targets"] = {"early": 1.0, "late": 2.0}
    with pytest.raises(ResultError, match=r"tasks\[wins\]\.targets: late must be below early"):
        suite_from_json(data)
    data = suite_to_json(SUITE)
    data["tasks"][1]["name"] = "wins"
    with pytest.raises(ResultError, match="task listed twice: wins"):
        suite_from_json(data)


def test_look_ups_list_what_there_is() -> None:
    with pytest.raises(ValueError, match="unknown task 'x'; there are: loses, pid, ring, wins"):
        SUITE.task("x")
    with pytest.raises(ValueError, match=r"no contender holds n at 7; .*'1', '2', '5'"):
        SUITE.fixed(7)


# Compact files


def test_compact_rounds_curves_alone(tmp_path: Path) -> None:
    exact = dataclasses.replace(run("wins", "fixed_2", 100, 4, 8, final=1 / 3), identity="x")
    exact = dataclasses.replace(exact, summary=dataclasses.replace(exact.summary, mean_n=1 / 3))
    compact([exact], folder(tmp_path) / "block.jsonl.gz")
    (found,) = load_results(tmp_path).runs
    assert found.curve.quality[-1] == 0.33333
    assert found.summary == exact.summary
    assert found.config == exact.config


def test_compact_gives_the_same_bytes_for_the_same_runs(tmp_path: Path) -> None:
    runs = list(story().runs)
    compact(runs, tmp_path / "a.jsonl.gz")
    compact(runs[::-1], tmp_path / "b.jsonl.gz")
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()
    with pytest.raises(ValueError, match=r"must end in \.jsonl\.gz"):
        compact(runs, tmp_path / "a.json")


def test_several_blocks_and_raw_runs_are_one_folder(tmp_path: Path) -> None:
    runs = story().runs
    folder(tmp_path, *runs[:5])
    compact(runs[5:40], tmp_path / "block-1.jsonl.gz")
    compact(runs[30:], tmp_path / "deeper" / "block-2.jsonl.gz")
    found = load_results(tmp_path)
    assert found.problems == ()
    assert sorted(r.identity for r in found.runs) == sorted(r.identity for r in runs)


def test_writing_leaves_nothing_half_written(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": math.nan})
    path.with_name("blocked").mkdir()
    with pytest.raises(OSError, match="blocked"):
        write_json(path.with_name("blocked"), {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["blocked", "result.json"]


# Folders


def test_no_folder_and_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere: no tasks\.json"):
        load_results(tmp_path / "nowhere")
    found = load_results(folder(tmp_path))
    assert (found.runs, found.problems) == ((), ())


def test_another_version_is_refused(tmp_path: Path) -> None:
    folder(tmp_path)
    write_json(tmp_path / "r" / "result.json", {**RUN, "format": 2})
    with pytest.raises(FormatError, match=r"r/result\.json: format 2, but this code reads format 1"):
        load_results(tmp_path)
    write_json(tmp_path / "tasks.json", {**suite_to_json(SUITE), "format": 0})
    with pytest.raises(FormatError, match="format 0"):
        load_results(tmp_path)


def test_half_written_files_are_skipped_and_counted(tmp_path: Path) -> None:
    good = run("wins", "fixed_2", 100, 4, 8)
    folder(tmp_path, good)
    text = json.dumps(RUN)
    for name, content in {"cut": text[:200], "empty": "", "binary": "\x00", "list": "[]"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text(content)
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong" / "result.json").write_bytes(b"\xff\xfe{}")
    found = load_results(tmp_path)
    assert [r.identity for r in found.runs] == [good.identity]
    assert [p.where.split("/")[0] for p in found.problems] == ["binary", "cut", "empty", "list", "wrong"]
    assert all("half-written or not JSON" in p.reason for p in found.problems if p.where[0] != "l")


def test_a_cut_compact_file_gives_what_is_whole(tmp_path: Path) -> None:
    runs = [run("wins", "fixed_2", seed, 4, 8, final=1 + seed / 7) for seed in range(200)]
    folder(tmp_path)
    compact(runs, tmp_path / "block.jsonl.gz")
    whole = (tmp_path / "block.jsonl.gz").read_bytes()
    (tmp_path / "block.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    found = load_results(tmp_path)
    assert 0 < len(found.runs) < 200
    (problem,) = found.problems
    assert "unreadable after line" in problem.reason
    (tmp_path / "block.jsonl.gz").write_bytes(b"no gzip at all")
    assert "unreadable after line 0" in load_results(tmp_path).problems[0].reason


def test_one_bad_line_costs_one_run(tmp_path: Path) -> None:
    folder(tmp_path)
    lines = [json.dumps(run_to_json(run("wins", "fixed_2", seed))) for seed in range(3)]
    lines[1] = "{"
    (tmp_path / "block.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    found = load_results(tmp_path)
    assert [r.config.seed for r in found.runs] == [0, 2]
    assert [p.where for p in found.problems] == ["block.jsonl.gz:2"]


def test_unknown_names_are_skipped_and_listed(tmp_path: Path) -> None:
    folder(tmp_path, run("wins", "nobody", 1), run("nothing", "fixed_1", 1), run("ring", "fixed_1", 1))
    reasons = " ".join(p.reason for p in load_results(tmp_path).problems)
    assert "unknown contender 'nobody'" in reasons
    assert "unknown task 'nothing'" in reasons
    assert "run as a task of the evaluation suite, described as development" in reasons


def test_two_results_for_one_seed_are_reported(tmp_path: Path) -> None:
    older, newer = (run("wins", "fixed_2", 7, identity=name, final=q) for name, q in (("a", 1.0), ("b", 3.0)))
    found = load_results(folder(tmp_path, older, newer))
    assert [r.identity for r in found.runs] == ["b"]
    assert [(p.where, p.reason.split(":")[0]) for p in found.problems] == [
        ("a/result.json", "replaced by b/result.json")
    ]


def test_a_seed_with_both_roles_is_reported(tmp_path: Path) -> None:
    found = load_results(
        folder(tmp_path, run("wins", "fixed_2", 7), run("wins", "fixed_1", 7, role="tuning", identity="t"))
    )
    assert [(p.where, p.reason) for p in found.problems] == [("wins", "seeds are both tuning and final: [7]")]


def test_a_run_that_no_guard_watched_has_no_count_of_interventions() -> None:
    """None is not 0: no guard is no proof that a guard would have left the run alone."""
    assert run_from_json(RUN | {"interventions": None}).interventions is None
    assert run_from_json(RUN | {"interventions": 3}).interventions == 3
