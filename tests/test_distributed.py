"""Two gloo processes: the same n and the same control state on every rank, whatever each of them sees.

This file also holds the program that each rank runs: it goes through all scenarios and writes what it saw. The ranks
meet through a file, so that no port has to be free, and a rank that hangs is ended by the time limit and fails every
test.
"""

from __future__ import annotations

import json
import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.processes import run_side_by_side

ROOT = Path(__file__).parents[1]
RANKS = 2
LIMIT = 180  # seconds for all scenarios; they take about ten
ITERATIONS = 60
STARTED = ["all_reduce", "all_gather"]  # what ranks say when a run begins: one message, of which Ignite makes two


# --- the program of a rank --------------------------------------------------------------------------------------------


def main(rank: int, meeting_point: str, result: str) -> None:
    from datetime import timedelta

    import ignite.distributed as idist
    import torch

    torch.set_num_threads(1)
    idist.initialize(
        "gloo",
        init_method=f"file://{meeting_point}",
        rank=rank,
        world_size=RANKS,
        timeout=timedelta(seconds=60),
    )
    collectives: list[str] = []
    for name in ("all_reduce", "all_gather", "all_gather_object", "broadcast", "barrier", "reduce"):
        setattr(torch.distributed, name, _counted(name, getattr(torch.distributed, name), collectives))
    results = {scenario.__name__: scenario(rank, collectives) for scenario in SCENARIOS}
    Path(result).write_text(json.dumps(results))
    idist.finalize()


def _counted(name: str, original: Callable[..., Any], collectives: list[str]) -> Callable[..., Any]:
    def counted(*args: Any, **more: Any) -> Any:
        collectives.append(name)
        return original(*args, **more)

    return counted


def _holding(original: Callable[..., Any], held: list[Any]) -> Callable[..., Any]:
    def holding(*args: Any, **more: Any) -> Any:
        held.append(args)
        return original(*args, **more)

    return holding


def _samples(rank: int) -> Any:
    from tests.handlers.table import healthy

    # Far apart, and so that a rank on its own would go another way than the other.
    return healthy(ITERATIONS, share=0.2 if rank == 0 else 0.02, start=0 if rank == 0 else 37)


def _run(
    rank: int, code: str, change: Callable[[int, dict[str, Any]], Any] | None = None, **more: Any
) -> dict[str, Any]:
    """Run an engine over this rank's samples; return n, the whole state at each iteration, and the error."""
    from ignite.engine import Engine, Events

    from tests.handlers.table import make, output, snapshot

    samples = _samples(rank)

    def step(engine: Any, batch: Any) -> Any:
        index = engine.state.iteration - 1
        out = output(samples[index], engine.state.num_discriminator_steps, "tensor" if index % 2 else "floats")
        return out if change is None else change(index, out)

    trainer, controller = Engine(step), make(code, **more)
    controller.attach(trainer)
    seen: dict[str, Any] = {"n": [], "state": [], "error": None}

    def record(engine: Any) -> None:
        seen["n"].append(engine.state.num_discriminator_steps)
        state = json.loads(snapshot(controller))
        state["law"].pop("moments", None)  # this rank's own, not yet shared
        seen["state"].append(state)

    trainer.add_event_handler(Events.ITERATION_COMPLETED, record)
    try:
        trainer.run(range(ITERATIONS))
    except Exception as error:  # the error is what is tested
        seen["error"] = f"{type(error).__name__}: {error}"
        seen["at"] = trainer.state.iteration
    seen["bad"] = getattr(controller, "bad_observations", 0)
    return seen


def agreement(rank: int, collectives: list[str]) -> dict[str, Any]:
    from tests.handlers.table import FEEDBACK, HANDLERS

    options: list[dict[str, Any]] = [{}, {"update_every": 4}, {"lagged": True}]
    found = {}
    for name, code in HANDLERS.items():
        for more in options if name in FEEDBACK else [{}]:
            found[f"{name} {more}"] = _run(rank, code, **more)
    return found


def alone(rank: int, collectives: list[str]) -> dict[str, Any]:
    """The way each handler would have gone with this rank's data only."""
    from adaptive_critic import distributed
    from tests.handlers.table import FEEDBACK, feed, make

    original, distributed.world_size = distributed.world_size, lambda: 1
    try:
        return {name: feed(make(code), _samples(rank))[1] for name, code in FEEDBACK.items()}
    finally:
        distributed.world_size = original


def nan_on_one_rank(rank: int, collectives: list[str]) -> dict[str, Any]:
    import math

    from tests.handlers.table import FEEDBACK

    def change(index: int, out: dict[str, Any]) -> Any:
        if rank == 1 and index == 30:
            return {key: [math.nan] * len(v) if isinstance(v, list) else v * math.nan for key, v in out.items()}
        return out

    return {name: _run(rank, code, change) for name, code in FEEDBACK.items()}


def missing_key_on_one_rank(rank: int, collectives: list[str]) -> dict[str, Any]:
    def change(index: int, out: dict[str, Any]) -> Any:
        return {"loss": 0.0} if rank == 1 and index == 21 else out

    code = "WassersteinGapController()"
    return {
        "at once": _run(rank, code, change),
        "every 5": _run(rank, code, change, update_every=5),
        "lagged": _run(rank, code, change, lagged=True),
    }


def different_configuration(rank: int, collectives: list[str]) -> list[str]:
    from ignite.engine import Engine

    from adaptive_critic import FixedController, WassersteinGapController
    from adaptive_critic.controller import Controller

    pairs: list[tuple[Controller, Controller]] = [
        (FixedController(4), FixedController(5)),
        (WassersteinGapController(gain=0.1), WassersteinGapController(gain=0.2)),
        (FixedController(4), WassersteinGapController()),
    ]
    messages = []
    for pair in pairs:
        engine = Engine(lambda engine, batch: None)
        try:
            pair[rank].attach(engine)
        except ValueError as error:
            messages.append(str(error))
        assert not hasattr(engine.state, "num_discriminator_steps")
    same = Engine(lambda engine, batch: None)
    WassersteinGapController(output_transform=lambda out: out).attach(same)  # a function has no address in its name
    return messages


def collectives_per_iteration(rank: int, collectives: list[str]) -> dict[str, Any]:
    from ignite.engine import Engine

    from tests.handlers.table import FEEDBACK, HANDLERS, make, output

    found: dict[str, Any] = {}
    for name, code in HANDLERS.items():
        feedback = name in FEEDBACK
        for every in (1, 4) if feedback else (1,):
            samples = _samples(rank)
            counts: list[list[str]] = []

            def step(
                engine: Any, batch: Any, samples: Any = samples, counts: list[list[str]] = counts
            ) -> dict[str, Any]:
                counts.append(list(collectives))
                collectives.clear()
                return output(samples[engine.state.iteration - 1], engine.state.num_discriminator_steps)

            trainer, controller = Engine(step), make(code, **({"update_every": every} if feedback else {}))
            controller.attach(trainer)
            collectives.clear()
            trainer.run(range(20))
            counts.append(list(collectives))
            found[f"{name} {every}"] = counts[1:]
    return found


def observe_without_an_engine(rank: int, collectives: list[str]) -> dict[str, Any]:
    from tests.handlers.table import FEEDBACK, feed, make

    return {name: feed(make(code), _samples(rank))[1] for name, code in FEEDBACK.items()}


def rounds_without_an_engine(rank: int, collectives: list[str]) -> list[int]:
    from adaptive_critic import Rounds
    from tests.handlers.table import FEEDBACK, make
    from tests.loops.test_rounds import report

    rounds = Rounds(make(FEEDBACK["gap"], on_divergence="terminate"))
    return [report(rounds, sample) for sample in _samples(rank)]


def checkpoint_on_every_rank(rank: int, collectives: list[str]) -> dict[str, Any]:
    """A state that is saved by a handler attached before the controller costs no second collective."""
    from ignite.engine import Engine, Events

    from tests.handlers.table import make, output

    samples = _samples(rank)
    trainer = Engine(lambda engine, batch: output(samples[engine.state.iteration - 1], 4))
    controller = make("WassersteinGapController(warmup=2, gain=0.2)")
    saved = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED(every=5), lambda: saved.append(controller.state_dict()))
    controller.attach(trainer)
    collectives.clear()
    trainer.run(range(ITERATIONS))
    for state in saved:
        state["law"].pop("moments")
    return {"saved": saved, "collectives": list(collectives)}


def probe() -> tuple[Any, list[list[int]]]:
    """Return a lagged controller that decides every 5 iterations and remembers what it was told about them."""
    from adaptive_critic.handlers.base import FeedbackController
    from adaptive_critic.laws import AccuracyGateLaw, Observation
    from adaptive_critic.signals import GeneratedAccuracy

    class Probe(AccuracyGateLaw):
        def update(self, state: Any, observation: Observation, ratio: float) -> Any:
            told.append([observation.iterations, observation.samples])
            return super().update(state, observation, ratio)

    told: list[list[int]] = []
    controller = FeedbackController(Probe(), GeneratedAccuracy(), initial=1, limits=(0, 1), update_every=5, lagged=True)
    return controller, told


def _observe(controller: Any, iterations: int) -> None:
    for _ in range(iterations):
        controller.observe({"g_fake_accuracy": 0.5})


def lagged_state() -> dict[str, Any]:
    """Return a state with the sums of 5 iterations on their way, over all ranks that there are."""
    controller, told = probe()
    _observe(controller, 5)
    assert told == []
    state: dict[str, Any] = json.loads(json.dumps(controller.state_dict()))
    assert state["law"]["in_flight"] != []
    return state


def resumed(state: dict[str, Any]) -> list[list[int]]:
    """Return iterations and samples of the first two decisions of a run that goes on from a state."""
    controller, told = probe()
    controller.load_state_dict(state)
    told.clear()  # loading tries the state out
    _observe(controller, 10)
    return told


def other_number_of_ranks(rank: int, collectives: list[str]) -> dict[str, Any]:
    state = json.loads(os.environ["STATE_OF_ONE_RANK"])
    early = json.loads(os.environ["STATE_OF_ONE_RANK"])
    del early["law"]["in_flight_ranks"]
    return {"from one": resumed(state), "from an early state": resumed(early), "state": lagged_state()}


def loaded_on_one_rank(rank: int, collectives: list[str]) -> list[str]:
    """A checkpoint that only rank 0 has loaded: the ranks would make different numbers of critic updates."""
    from ignite.engine import Engine

    from adaptive_critic import DivergenceGuard, StepDecayController, WassersteinGapController
    from tests.guard.engines import healthy as output

    def build() -> list[Any]:
        return [WassersteinGapController(warmup=2), StepDecayController(milestones={0: 5, 3: 2}), DivergenceGuard()]

    errors = []
    for index in range(3):
        handler, trainer = build()[index], Engine(lambda engine, batch: output(engine.state.iteration, 3))
        handler.attach(trainer)
        trainer.run(range(15))
        states = json.loads(json.dumps([trainer.state_dict(), handler.state_dict()]))
        for loaded in ((0, 1), (0,)):
            again, resumed = build()[index], Engine(lambda engine, batch: output(engine.state.iteration, 3))
            again.attach(resumed)
            if rank in loaded:
                resumed.load_state_dict(states[0])
                again.load_state_dict(states[1])
            try:
                resumed.run(range(15), max_epochs=2)
                errors.append("")
            except ValueError as error:
                errors.append(str(error))
    return errors


def replaced_on_one_rank(rank: int, collectives: list[str]) -> list[str]:
    """A law and limits that rank 1 alone has replaced after attaching: the ranks would part later on."""
    from ignite.engine import Engine

    from adaptive_critic import WassersteinGapController
    from adaptive_critic.laws import GapShareLaw
    from tests.guard.engines import healthy as output

    errors = []
    for attribute in ("law", "limits"):
        controller, trainer = (
            WassersteinGapController(),
            Engine(lambda engine, batch: output(engine.state.iteration, 3)),
        )
        controller.attach(trainer)
        if rank == 1 and attribute == "law":
            controller.law = GapShareLaw(gain=0.5)
        if rank == 1 and attribute == "limits":
            controller.limits = (1, 2)
        try:
            trainer.run(range(5))
            errors.append("")
        except ValueError as error:
            errors.append(str(error))
    return errors


SCENARIOS = [
    agreement,
    alone,
    nan_on_one_rank,
    missing_key_on_one_rank,
    different_configuration,
    collectives_per_iteration,
    observe_without_an_engine,
    rounds_without_an_engine,
    checkpoint_on_every_rank,
    other_number_of_ranks,
    loaded_on_one_rank,
    replaced_on_one_rank,
]


def main_torn_down(rank: int, meeting_point: str, result: str) -> None:
    """The process group goes away in the middle of a run, in several ways; a new one is there for the next case."""
    from datetime import timedelta

    import ignite.distributed as idist
    import torch
    from ignite.distributed.comp_models.base import _SerialModel
    from ignite.engine import Engine, Events

    from adaptive_critic import DivergenceGuard, WassersteinGapController
    from tests.guard.engines import healthy as output

    torch.set_num_threads(1)
    makers: dict[str, Callable[[], Any]] = {
        "controller": lambda: WassersteinGapController(update_every=2),
        "lagged controller": lambda: WassersteinGapController(update_every=2, lagged=True),
        "guard": lambda: DivergenceGuard(check_every=2),
    }
    seen: dict[str, list[Any]] = {}
    # Groups end milliseconds after Ignite gathered. With torch 2.3 that may take for ever (pytorch/pytorch#154976),
    # unless the tensors of each collective are held until then.
    held: list[Any] = []
    for name in ("all_reduce", "all_gather"):
        setattr(torch.distributed, name, _holding(getattr(torch.distributed, name), held))

    def run(case: str, what: str, end: Callable[[], None], ranks: tuple[int, ...]) -> None:
        idist.initialize(
            "gloo",
            init_method=f"file://{meeting_point} {case} {what}",
            rank=rank,
            world_size=RANKS,
            timeout=timedelta(seconds=30),
        )
        trainer = Engine(lambda engine, batch: output(engine.state.iteration, 3))
        makers[what]().attach(trainer)
        if rank in ranks:
            trainer.add_event_handler(Events.ITERATION_STARTED(once=4), end)
        error: Exception | None = None
        try:
            trainer.run(range(20))
        except Exception as caught:  # the error is what is tested
            error = caught
        seen[f"{case}, {what}"] = [trainer.state.iteration, f"{type(error).__name__}: {error}"]
        Path(result).write_text(json.dumps(seen))
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        idist.utils._set_model(_SerialModel())  # Ignite remembers the group that it was not told the end of

    def destroy() -> None:
        torch.distributed.destroy_process_group()

    for what in makers:
        run("destroyed on all", what, destroy, (0, 1))
        run("destroyed on one", what, destroy, (0,))
        run("finalized on all", what, idist.finalize, (0, 1))
    run("a process ends", "guard", lambda: os._exit(0), (1,))


# --- the tests --------------------------------------------------------------------------------------------------------


def started(program: Callable[[int, str, str], None], folder: Path, **variables: str) -> list[dict[str, Any]]:
    """Run a program of this file on all ranks, return what each of them wrote."""
    arguments = [(rank, str(folder / "meeting"), str(folder / f"{rank}.json")) for rank in range(RANKS)]
    run_side_by_side(program, arguments, folder, limit=LIMIT, variables={"GLOO_SOCKET_IFNAME": "lo", **variables})
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(RANKS)]


@pytest.fixture(scope="module")
def state_of_one_rank() -> dict[str, Any]:
    """Return the state of a run of one process, with sums on their way."""
    return lagged_state()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory, state_of_one_rank: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the results of each rank."""
    return started(main, tmp_path_factory.mktemp("ranks"), STATE_OF_ONE_RANK=json.dumps(state_of_one_rank))


def test_all_ranks_agree_at_every_iteration(ranks: list[dict[str, Any]]) -> None:
    one, other = (result["agreement"] for result in ranks)
    assert len(one) > 30
    for case, run in one.items():
        assert run["error"] is None, (case, run["error"])
        assert run["n"] == other[case]["n"], case
        # As text: NaN is the same as NaN, and a float's text is its bits.
        assert json.dumps(run["state"]) == json.dumps(other[case]["state"]), case
        assert len(run["n"]) == ITERATIONS


def test_the_ranks_would_have_disagreed_alone(ranks: list[dict[str, Any]]) -> None:
    """The test above would hold for data on which every rank decides the same by itself."""
    one, other = (result["alone"] for result in ranks)
    for name in ("gap", "PID, wasserstein", "PID, hinge", "ladder", "loss change rate", "two thresholds", "gate"):
        assert one[name] != other[name], name


def test_a_loop_without_an_engine_agrees_too(ranks: list[dict[str, Any]]) -> None:
    assert ranks[0]["observe_without_an_engine"] == ranks[1]["observe_without_an_engine"]


def test_rounds_agree_too(ranks: list[dict[str, Any]]) -> None:
    one, other = (result["rounds_without_an_engine"] for result in ranks)
    assert one == other
    assert len(set(one)) > 1


def test_a_nan_on_one_rank_holds_all(ranks: list[dict[str, Any]]) -> None:
    one, other = (result["nan_on_one_rank"] for result in ranks)
    for name, run in one.items():
        assert json.dumps(run["state"]) == json.dumps(other[name]["state"]), name
        for result in (run, other[name]):
            assert result["error"] is None
            assert result["bad"] in (1, 2), (name, result["bad"])  # 2 where the next iteration compares with it
            before, during = result["state"][29]["law"], result["state"][30]["law"]
            assert json.dumps(during["values"]) == json.dumps(before["values"]), name
            assert during["ratio"] == before["ratio"]


@pytest.mark.parametrize(("case", "at"), [("at once", 22), ("every 5", 25), ("lagged", 23)])
def test_a_missing_key_on_one_rank_is_the_same_error_on_all(ranks: list[dict[str, Any]], case: str, at: int) -> None:
    errors = [result["missing_key_on_one_rank"][case] for result in ranks]
    assert errors[0]["error"] == errors[1]["error"]
    found = "StepOutputError: rank 1: the training step's output has no 'd_real', 'd_fake' and 'g_fake'; it has"
    assert errors[0]["error"].startswith(found)
    assert [error["at"] for error in errors] == [at, at]


def test_different_configurations_are_refused_on_all_ranks(ranks: list[dict[str, Any]]) -> None:
    one, other = (result["different_configuration"] for result in ranks)
    assert one == other
    assert len(one) == 3
    assert "rank 0 has FixedController(4), rank 1 has FixedController(5)" in one[0]
    assert "gain=0.1" in one[1]
    assert "gain=0.2" in one[1]
    assert "WassersteinGapController()" in one[2]


def test_one_all_reduce_at_a_decision_and_nothing_between(ranks: list[dict[str, Any]]) -> None:
    from tests.handlers.table import FEEDBACK

    for result in ranks:
        for case, counts in result["collectives_per_iteration"].items():
            name, every = case.rsplit(maxsplit=1)
            decides = int(every) if name in FEEDBACK else ITERATIONS + 1
            for iteration, found in enumerate(counts, start=1):
                assert found == (["all_reduce"] if iteration % decides == 0 else []), (case, iteration)


def test_saving_costs_no_collective(ranks: list[dict[str, Any]]) -> None:
    one, other = (result["checkpoint_on_every_rank"] for result in ranks)
    assert one["saved"] == other["saved"]
    assert [state["generator_updates"] for state in one["saved"]] == list(range(5, ITERATIONS + 1, 5))
    assert one["collectives"] == [*STARTED, *["all_reduce"] * ITERATIONS]


def test_a_checkpoint_that_one_rank_has_not_loaded_is_an_error_on_all(ranks: list[dict[str, Any]]) -> None:
    one, other = (result["loaded_on_one_rank"] for result in ranks)
    assert one == other
    for loaded_by_all, loaded_by_one, name in zip(
        one[::2], one[1::2], ("WassersteinGap", "StepDecay", "Div"), strict=True
    ):
        assert loaded_by_all == ""
        assert loaded_by_one.startswith(f"ranks begin from different states: rank 0 has {name}")
        assert "at iteration 15" in loaded_by_one
        assert "at iteration 0" in loaded_by_one
        assert loaded_by_one.endswith("load the same checkpoint and set the same law and limits on every rank")


def test_a_law_or_limits_replaced_on_one_rank_are_an_error_on_all(ranks: list[dict[str, Any]]) -> None:
    one, other = (result["replaced_on_one_rank"] for result in ranks)
    assert one == other
    assert [error.startswith("ranks begin from different states") for error in one] == [True, True]


def test_sums_on_their_way_are_counted_by_the_ranks_that_sent_them(
    ranks: list[dict[str, Any]], state_of_one_rank: dict[str, Any]
) -> None:
    """[iterations, samples] of the decision that was on its way, and of the next one."""
    assert resumed(state_of_one_rank) == [[5, 5], [5, 5]]
    one, other = (result["other_number_of_ranks"] for result in ranks)
    assert one == other
    assert one["from one"] == [[5, 5], [5, 10]]
    assert resumed(one["state"]) == [[5, 10], [5, 5]]  # two ranks' sums, on one rank
    assert one["from an early state"][1] == [5, 10]  # taken to be of two ranks, and back on track


def test_a_group_that_goes_away_is_named_on_every_rank(tmp_path: Path) -> None:
    seen = started(main_torn_down, tmp_path)
    assert [len(cases) for cases in seen] == [10, 9]  # the last case ends the process of rank 1
    for cases in seen:
        for case, (iteration, error) in cases.items():
            assert iteration == 4, case  # at the next decision or check
            assert error.startswith("RuntimeError: the ranks of this run can't agree any more: the process g"), case
            assert "destroy_process_group() only after trainer.run() has returned" in error, case


@pytest.mark.parametrize("attached", ["FixedController(3)", "WassersteinGapController()", "DivergenceGuard('hold')"])
def test_a_rank_that_attaches_alone_is_told_so_when_it_has_waited_in_vain(
    attached: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others never come: gloo gives up after the process group's timeout."""
    import ignite.distributed as idist
    from ignite.engine import Engine

    import adaptive_critic
    from adaptive_critic import distributed

    def give_up(*args: Any, **more: Any) -> None:
        raise RuntimeError("Timed out waiting 8000ms for recv operation to complete")

    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(idist, "all_gather", give_up)
    handler, trainer = eval(attached, vars(adaptive_critic)), Engine(lambda engine, batch: None)
    with pytest.raises(
        RuntimeError, match=r"Attach the same controllers and guards on every rank.*\(Timed out waiting"
    ):
        handler.attach(trainer)
    monkeypatch.undo()
    handler.attach(trainer)  # nothing is left behind


def test_what_was_summed_last_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a group of torch 2.3 that is destroyed soon after a decision may wait for ever."""
    import ignite.distributed as idist
    import torch

    from adaptive_critic import distributed

    summed: list[weakref.ref[torch.Tensor]] = []

    def all_reduce(tensor: torch.Tensor, **more: Any) -> torch.Tensor:
        summed.append(weakref.ref(tensor))
        return tensor * 2

    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(idist, "all_reduce", all_reduce)
    for _ in range(20):
        assert distributed.sum_over_ranks(torch.ones(3)).tolist() == [2.0, 2.0, 2.0]
    assert [reference() is not None for reference in summed] == [False] * 12 + [True] * 8


def test_one_process_makes_no_collective(monkeypatch: pytest.MonkeyPatch) -> None:
    import ignite.distributed as idist
    import torch

    from tests.handlers.table import HANDLERS, feed, healthy, make

    def refuse(*args: Any, **more: Any) -> None:
        raise AssertionError("a collective in a single process")

    for module, names in ((torch.distributed, ("all_reduce", "all_gather")), (idist, ("all_reduce", "all_gather"))):
        for name in names:
            monkeypatch.setattr(module, name, refuse)
    for code in HANDLERS.values():
        feed(make(code), healthy(20))
