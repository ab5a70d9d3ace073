"""What handlers do beyond their arithmetic, as counts; packed sums against plain ones; the docs' table."""

from __future__ import annotations

import json
import math
import random
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events

from adaptive_critic import distributed
from adaptive_critic.decision.saved import read_window
from adaptive_critic.decision.window import SignalWindow
from adaptive_critic.guard import DivergenceGuard
from adaptive_critic.signals import BothLosses, CriticLossChecked, GapShare, Picked, Signal
from experiments.bench import table
from experiments.bench.counting import collectives, host_reads
from experiments.bench.outputs import engine
from tests.handlers.table import FEEDBACK, OPEN_LOOP, make

ROOT = Path(__file__).parents[1]


def counts(trainer: Engine, attach: Callable[[Engine], None], iterations: int) -> list[tuple[int, int]]:
    """Return host reads and collectives of each iteration's handlers."""
    found: list[tuple[int, int]] = []
    with host_reads() as reads, collectives() as messages:
        for counter in (reads, messages):
            trainer.add_event_handler(Events.ITERATION_STARTED, counter.clear)
        attach(trainer)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: found.append((len(reads), len(messages))))
        trainer.run(range(iterations))
    return found


def test_the_counters_count() -> None:
    x = torch.tensor([1.0, 2.0])
    with host_reads() as reads:
        x.tolist()
        x[0].item()
        float(x[1])
        x.numpy()
        np.asarray(x)
        assert bool(x[0] > 0)
        x.sum().detach().clone()
    assert reads == [
        "tolist",
        "_local_scalar_dense",
        "_local_scalar_dense",
        "numpy",
        "__array__",
        "_local_scalar_dense",
    ]
    with host_reads() as reads:
        pass
    x.tolist()
    assert reads == []


@pytest.mark.parametrize("form", ["tuples", "tensors"])
@pytest.mark.parametrize("code", FEEDBACK.values(), ids=FEEDBACK.keys())
def test_a_closed_loop_in_an_engine(code: str, form: str) -> None:
    """One read at a decision, none between, no collective in one process; also with a guard that checks in between."""
    guard = DivergenceGuard(check_every=7)
    controller = make(code, update_every=5)

    def attach(trainer: Engine) -> None:
        controller.attach(trainer)
        guard.attach(trainer)

    found = counts(engine(lambda _: None, form=form), attach, 70)
    for iteration, (reads, messages) in enumerate(found, start=1):
        assert messages == 0
        assert reads <= (iteration % 5 == 0) + (iteration % 7 == 0), iteration
    assert sum(reads for reads, _ in found) > 20


@pytest.mark.parametrize("code", OPEN_LOOP.values(), ids=OPEN_LOOP.keys())
def test_an_open_loop_reads_nothing(code: str) -> None:
    assert counts(engine(lambda _: None), make(code).attach, 20) == [(0, 0)] * 20


@pytest.mark.parametrize("form", ["tuples", "tensors"])
def test_the_guard_reads_once_at_a_check(form: str) -> None:
    found = counts(engine(lambda _: None, form=form), DivergenceGuard(check_every=6).attach, 60)
    assert found == [(int(iteration % 6 == 0), 0) for iteration in range(1, 61)]


def test_with_several_ranks_a_decision_and_a_check_are_one_message_each(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors: list[int] = []

    def summed(vector: torch.Tensor) -> torch.Tensor:
        vectors.append(vector.numel())
        return vector * 2

    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(distributed, "all_equal", lambda description: None)
    monkeypatch.setattr(distributed, "sum_over_ranks", summed)
    for code in FEEDBACK.values():
        vectors.clear()
        found = counts(engine(lambda _: None), make(code, update_every=5, lagged=False).attach, 20)
        assert len(vectors) == 4
        assert [reads for reads, _ in found] == [int(iteration % 5 == 0) for iteration in range(1, 21)]
    vectors.clear()
    found = counts(engine(lambda _: None), DivergenceGuard(check_every=5).attach, 20)
    assert len(vectors) == 4
    assert [reads for reads, _ in found] == [int(iteration % 5 == 0) for iteration in range(1, 21)]


def test_one_observation_crosses_few_files() -> None:
    """Calls in an iteration with a decision and without a guard, and how many of them lead to another file."""
    controller = make("WassersteinGapController()")
    trainer = engine(controller.attach)
    called: list[tuple[str, str]] = []
    package = str(ROOT / "adaptive_critic")

    def profile(frame: FrameType, event: str, _: Any) -> None:
        callee, caller = frame.f_code.co_filename, frame.f_back
        if event != "call" or not callee.startswith(package):
            return
        while caller is not None and not caller.f_code.co_filename.startswith(package):
            caller = caller.f_back
        called.append((callee, "" if caller is None else caller.f_code.co_filename))

    # The 300th: early ones also check the form of the output.
    trainer.add_event_handler(Events.ITERATION_STARTED(once=300), lambda: sys.setprofile(profile))
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=300), lambda: sys.setprofile(None))
    before = sys.getprofile()
    try:
        trainer.run(range(300))
    finally:
        sys.setprofile(before)
    crossed = [callee for callee, caller in called if callee != caller]
    assert 20 <= len(crossed) <= 30
    assert len(called) <= 35


def test_no_event_is_fired_that_no_one_listens_to(monkeypatch: pytest.MonkeyPatch) -> None:
    fired: list[Any] = []
    monkeypatch.setattr(Engine, "fire_event", lambda self, event: fired.append(event))
    controller = make("StepDecayController(milestones={0: 3, 5: 2})")
    engine(controller.attach).run(range(10))
    assert controller.num_discriminator_steps == 2
    assert fired == []


@pytest.mark.parametrize("signal", [GapShare(), BothLosses(), CriticLossChecked()], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("observed", [0.0, 0.5, 1.0])
def test_packed_sums_equal_plain_ones_at_every_step(signal: Signal, observed: float) -> None:
    draw = random.Random(0)
    window, plain = SignalWindow(signal), [0.0] * (2 + 2 * len(signal.names))
    before: tuple[float, ...] = ()
    for _ in range(100):  # rows are folded into sums at every 32nd
        now = tuple(draw.gauss(0.0, 3.0) if draw.random() < 0.95 else math.nan for _ in range(signal.width))
        seen = draw.random() < observed
        picked = Picked(tuple(torch.tensor(value, dtype=torch.float64) for value in now), seen)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(signal, "pick", lambda output, steps: output)
            window.gather(picked, {}, 1)
        if seen and (before or not signal.paired):
            parts = signal.combine(*now, *(before if signal.paired else ()))
            if all(map(math.isfinite, parts)):
                addends = [1.0, 0.0, *parts, *(part * part for part in parts)]
            else:
                addends = [0.0, 1.0]
            plain = [a + b for a, b in zip(plain, addends + [0.0] * (len(plain) - len(addends)), strict=True)]
        before = now
        state = window.state_dict()  # asking for the sums folds them: the one that goes on is not asked
        one, twin = SignalWindow(signal), SignalWindow(signal)
        for restored in (one, twin):
            restored.restore(read_window(state, signal))
        assert one.read()[0] == pytest.approx(plain, abs=1e-9)
        assert twin.vector().tolist() == pytest.approx(plain, abs=1e-9)


def test_the_docs_show_what_was_measured() -> None:
    page = (ROOT / "docs" / "overhead.md").read_text(encoding="utf-8")
    result = json.loads((ROOT / "experiments" / "results" / "overhead.json").read_text(encoding="utf-8"))
    assert table.insert(page, table.markdown(result)) == page, "run `make bench`, or correct the table by hand"


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="expected the markers"):
        table.insert("# What it costs", "table")
