"""Four ranks under torchrun: replicated networks, different data, every handler, and what goes wrong on one of them.

This file is also the program that each rank runs, within the example that users start. It goes through all scenarios in
one start of the four processes, which is what costs time, and each rank writes what it saw.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "experiments" / "examples" / "distributed.py"
RANKS = 4
LIMIT = 240  # seconds until a rank that hangs is ended; all scenarios take about ten on an idle machine
ITERATIONS = 30


# --- the program of a rank --------------------------------------------------------------------------------------------


def program(local_rank: int, args: argparse.Namespace) -> None:
    import faulthandler

    import ignite.distributed as idist

    from experiments.examples import distributed as example

    faulthandler.dump_traceback_later(LIMIT, exit=True)  # a rank that waits for ever shows where, and ends
    result = args.save / f"{idist.get_rank()}.json"
    results: dict[str, Any] = {"example": example.train(local_rank, args)}
    for scenario in SCENARIOS:
        results[scenario.__name__] = scenario(args)
    result.write_text(json.dumps(results))


def _attached(trainer: Any) -> dict[str, Any]:
    """Attach every handler of the table, each under its own name, in each kind of timing; return them by name."""
    from tests.handlers.table import FEEDBACK, HANDLERS, make

    controllers: dict[str, Any] = {}
    for name, code in HANDLERS.items():
        timings: list[dict[str, Any]] = [{}, {"update_every": 4}, {"lagged": True}] if name in FEEDBACK else [{}]
        for timing in timings:
            key = " ".join([name, *timing])
            controllers[key] = make(code, param_name=f"n_{len(controllers)}", **timing)
            controllers[key].attach(trainer)
    return controllers


def _shared(controller: Any) -> dict[str, Any]:
    """Return the state, without what this rank alone has observed since the last decision."""
    state: dict[str, Any] = json.loads(json.dumps(controller.state_dict()))
    state["law"].pop("moments", None)
    return state


def _run(args: argparse.Namespace, change: Callable[[Any], None] | None = None) -> dict[str, Any]:
    """Train with every handler and a guard; return what each iteration ran with, and how it ended."""
    import ignite.distributed as idist
    from ignite.engine import Events

    from adaptive_critic import FixedController
    from adaptive_critic.guard import DivergenceGuard
    from experiments.examples import distributed as example

    trainer = example.make_trainer(args)
    if change is not None:
        trainer.add_event_handler(Events.ITERATION_COMPLETED, change)
    guard = DivergenceGuard("terminate_epoch", check_every=5, cooldown=10, override_iterations=5)
    FixedController(3, limits=(2, 3), on_divergence=guard).attach(trainer)
    controllers = _attached(trainer)
    seen: dict[str, Any] = {"n": [], "state": [], "outputs": [], "epochs": [], "error": None}

    def before(engine: Any) -> None:
        seen["epochs"].append(engine.state.epoch)
        seen["n"].append({key: getattr(engine.state, c.param_name) for key, c in controllers.items()})

    def after(engine: Any) -> None:
        seen["state"].append({key: _shared(controller) for key, controller in controllers.items()})
        seen["outputs"].append(float(engine.state.output["g_loss"]))

    trainer.add_event_handler(Events.ITERATION_STARTED, before)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, after)
    try:
        trainer.run(max_iters=ITERATIONS, epoch_length=ITERATIONS)
    except Exception as error:  # the error is what is tested
        seen["error"] = f"{type(error).__name__}: {error}"
    seen["iteration"] = trainer.state.iteration
    seen["guard"] = guard.history
    seen["bad"] = {key: getattr(c, "bad_observations", None) for key, c in controllers.items()}
    seen["rank"] = idist.get_rank()
    return seen


def healthy(args: argparse.Namespace) -> dict[str, Any]:
    return _run(args)


def nan_on_rank_1(args: argparse.Namespace) -> dict[str, Any]:
    import ignite.distributed as idist

    def poison(engine: Any) -> None:
        if engine.state.iteration == 12 and idist.get_rank() == 1:
            scores = {key: value * math.nan for key, value in engine.state.output.items() if key != "num_samples"}
            engine.state.output = engine.state.output | scores

    return _run(args, poison)


def missing_key_on_rank_2(args: argparse.Namespace) -> dict[str, Any]:
    import ignite.distributed as idist

    def cut(engine: Any) -> None:
        if engine.state.iteration == 8 and idist.get_rank() == 2:
            engine.state.output = {"d_real": engine.state.output["d_real"], "g_loss": engine.state.output["g_loss"]}

    return _run(args, cut)


def torn_down(args: argparse.Namespace) -> dict[str, Any]:
    """The last scenario: the process group is gone afterwards."""
    import torch
    from ignite.engine import Engine, Events

    from adaptive_critic import WassersteinGapController
    from adaptive_critic.guard import DivergenceGuard

    output = {"d_real": [1.0], "d_fake": [0.5], "d_loss": [0.0], "g_loss": 0.1, "g_fake": 0.2}
    trainers = {"controller": Engine(lambda *_: output), "guard": Engine(lambda *_: output)}
    WassersteinGapController().attach(trainers["controller"])
    DivergenceGuard(check_every=2).attach(trainers["guard"])

    def tear_down(engine: Engine) -> None:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()

    seen: dict[str, Any] = {}
    for name, trainer in trainers.items():
        trainer.add_event_handler(Events.ITERATION_STARTED(once=4), tear_down)
        try:
            trainer.run(range(10))
        except Exception as error:  # the error is what is tested
            seen[name] = [trainer.state.iteration, f"{type(error).__name__}: {error}"]
    return seen


SCENARIOS = [healthy, nan_on_rank_1, missing_key_on_rank_2, torn_down]


# --- the tests --------------------------------------------------------------------------------------------------------


def started(*command: str) -> str:
    """Run a command to its end; nothing that it started outlives the limit."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "GLOO_SOCKET_IFNAME": "lo"}
    process = subprocess.Popen(
        [sys.executable, *command],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        text, _ = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        process.terminate()  # torchrun then ends the ranks, which are not of its process group
        text, _ = process.communicate()
        pytest.fail(f"not done after {LIMIT} seconds:\n{text}")
    assert process.returncode == 0, text
    return text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that four ranks have written into."""
    where = tmp_path_factory.mktemp("ranks")
    torchrun = ["-m", "torch.distributed.run", "--nproc_per_node", str(RANKS), "--rdzv_backend", "c10d"]
    torchrun += ["--rdzv_endpoint", "localhost:0"]  # any free port
    text = started(*torchrun, __file__, "--iterations", str(ITERATIONS), "--save", str(where))
    assert text.count(" of 4: 30 iterations") == RANKS, text
    return where


@pytest.fixture(scope="module")
def ranks(folder: Path) -> list[dict[str, Any]]:
    """Return what each rank saw."""
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(RANKS)]


def same(values: list[Any]) -> bool:
    """Return whether all are the same, bit for bit: as text, where NaN is NaN and a float's text is its bits."""
    return len({json.dumps(value, sort_keys=True) for value in values}) == 1


def test_the_example_runs_alike_on_four_ranks(ranks: list[dict[str, Any]]) -> None:
    assert same([rank["example"] for rank in ranks])
    assert len(ranks[0]["example"]["steps"]) == ITERATIONS


def test_every_handler_agrees_at_every_iteration_on_different_data(ranks: list[dict[str, Any]]) -> None:
    runs = [rank["healthy"] for rank in ranks]
    assert [run["rank"] for run in runs] == list(range(RANKS))
    assert [run["error"] for run in runs] == [None] * RANKS
    assert len({tuple(run["outputs"]) for run in runs}) == RANKS, "every rank has data of its own"
    assert same([run["n"] for run in runs])
    assert same([run["state"] for run in runs])
    assert len(runs[0]["n"]) == ITERATIONS
    assert len(runs[0]["n"][0]) > 30
    moved = [key for key in runs[0]["n"][0] if len({n[key] for n in runs[0]["n"]}) > 1]
    assert len(moved) > 20, "else there is nothing to agree on"


def test_a_nan_on_one_rank_holds_all_and_the_guard_acts_on_all(ranks: list[dict[str, Any]]) -> None:
    runs = [rank["nan_on_rank_1"] for rank in ranks]
    assert [run["error"] for run in runs] == [None] * RANKS
    assert same([run["n"] for run in runs])
    assert same([run["state"] for run in runs])
    assert same([run["bad"] for run in runs])
    for key, bad in runs[0]["bad"].items():
        law_before, law_after = (runs[0]["state"][index][key]["law"] for index in (10, 11))
        if bad is not None and "update_every" not in key and "lagged" not in key:
            assert bad >= 1 or "skip" in key, key
            assert json.dumps(law_before.get("values")) == json.dumps(law_after.get("values")), key
    assert same([run["guard"] for run in runs])
    (record,) = runs[0]["guard"]
    assert (record["iteration"], record["rule"], record["action"]) == (15, "non_finite", "terminate_epoch")
    assert same([run["epochs"] for run in runs])
    assert runs[0]["epochs"] == [1] * 15 + [2] * 15


def test_a_missing_key_on_one_rank_is_the_same_error_everywhere(ranks: list[dict[str, Any]]) -> None:
    runs = [rank["missing_key_on_rank_2"] for rank in ranks]
    assert same([run["error"] for run in runs])
    assert runs[0]["error"].startswith("StepOutputError: rank 2: the training step's output has no ")
    assert [run["iteration"] for run in runs] == [8] * RANKS


def test_a_process_group_that_is_torn_down_is_named(ranks: list[dict[str, Any]]) -> None:
    for rank in ranks:
        for what, iteration in (("controller", 4), ("guard", 0)):
            at, message = rank["torn_down"][what]
            assert at == iteration
            assert message.startswith("RuntimeError: the ranks of this run can't agree any more"), message


def test_a_run_goes_on_with_two_ranks_under_idist_parallel(folder: Path, ranks: list[dict[str, Any]]) -> None:
    checkpoint = folder / f"checkpoint_{ITERATIONS}.pt"
    arguments = ["--iterations", str(ITERATIONS + 10), "--resume", str(checkpoint)]
    text = started(str(EXAMPLE), "--parallel", "--nproc_per_node", "2", *arguments)
    lines = [line for line in text.splitlines() if line.startswith("rank ")]
    assert len(lines) == 2
    assert len({line.split("hash ")[1] for line in lines}) == 1
    assert all(" of 2: 10 iterations" in line for line in lines)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    from experiments.examples import distributed

    distributed.start(program, distributed.parse())
