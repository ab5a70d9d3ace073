"""Host reads: none between decisions, one at a decision; the lagged mode decides one decision late."""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from ignite.engine import Engine
from torch.utils._python_dispatch import TorchDispatchMode

from tests.handlers.table import FEEDBACK, HANDLERS, feed, healthy, make, output

READS = ("item", "tolist", "numpy", "cpu", "__array__", "__bool__", "__float__", "__int__", "__index__")


class _Dispatched(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch does not annotate it
    """Counts what reaches the host below Python: .item() and all that goes through it."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            self.count += 1
        return func(*args, **(kwargs or {}))


class Counter:
    """Host reads since the last call of :meth:`taken`."""

    def __init__(self) -> None:
        self.named = 0
        self.mode = _Dispatched()  # type: ignore[no-untyped-call]
        self.depth = 0

    def taken(self) -> int:
        """Return the number of reads and start anew; a named read counts once, whatever it does inside."""
        count, self.named, self.mode.count = self.named + self.mode.count, 0, 0
        return count


@contextmanager
def counted_reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter]:
    counter = Counter()

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def read(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            below = counter.mode.count
            counter.depth += 1
            try:
                return original(tensor, *args, **kwargs)
            finally:
                counter.depth -= 1
                counter.mode.count = below
                if counter.depth == 0:
                    counter.named += 1

        return read

    with monkeypatch.context() as patch:
        for name in READS:
            patch.setattr(torch.Tensor, name, wrap(getattr(torch.Tensor, name)))
        with counter.mode:
            yield counter


def test_the_counter_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    values = torch.tensor([1.0, 2.0])
    with counted_reads(monkeypatch) as counter:
        assert counter.taken() == 0
        values.tolist()
        assert counter.taken() == 1
        values[0].item()
        float(values[0])
        assert counter.taken() == 2
        bool(values[0] > 0.0)
        values.numpy()
        int(values[0])
        assert counter.taken() == 3
        torch.ops.aten._local_scalar_dense(values[0])
        assert counter.taken() == 1
        torch.stack([values, values]).sum()
        values.detach().clone()
        assert counter.taken() == 0


@pytest.mark.parametrize("code", HANDLERS.values(), ids=HANDLERS.keys())
@pytest.mark.parametrize("form", ["tensor", "tuple"])
@pytest.mark.parametrize("more", [{}, {"update_every": 5}, {"update_every": 50}, {"update_every": 5, "lagged": True}])
def test_one_read_at_a_decision_and_none_between(
    code: str, form: str, more: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    feedback = code in FEEDBACK.values()
    controller = make(code, **(more if feedback else {}))
    every = more.get("update_every", 1)
    reads = []
    with counted_reads(monkeypatch) as counter:
        for sample in healthy(110):
            out = output(sample, min(controller.num_discriminator_steps, 20), form)
            counter.taken()
            controller.observe(out)
            reads.append(counter.taken())
    due = [index % every == 0 for index in range(1, 111)]
    assert not any(count for count, decision in zip(reads, due, strict=True) if not decision)
    assert max(reads) == (1 if feedback else 0)
    if feedback:
        # The first decision may have nothing to read yet: a rule that compares two iterations, or a lagged one.
        assert sum(reads) >= sum(due) - 2 - sum(1 for n in feed(make(code, **more), healthy(110))[0] if n == 0)


@pytest.mark.parametrize("code", HANDLERS.values(), ids=HANDLERS.keys())
def test_an_engine_adds_no_read(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = healthy(60)
    reads: list[int] = []
    with counted_reads(monkeypatch) as counter:

        def step(engine: Any, batch: Any) -> Any:
            out = output(stream[engine.state.iteration - 1], min(engine.state.num_discriminator_steps, 20), "tensor")
            reads.append(counter.taken())
            return out

        trainer = Engine(step)
        make(code, **({"update_every": 6} if code in FEEDBACK.values() else {})).attach(trainer)
        trainer.run(range(60))
        reads.append(counter.taken())
    assert sum(reads) <= (10 if code in FEEDBACK.values() else 0)
    assert not any(reads[k] for k in range(1, 61) if k % 6)


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("code", [FEEDBACK[name] for name in ("gap", "PID, hinge", "ladder", "loss change rate")])
@pytest.mark.parametrize("form", ["floats", "tensor"])
def test_lagged_is_exactly_one_decision_late(code: str, every: int, form: str) -> None:
    """With n held by the data (the same number of entries), the ratios are those of the plain twin, shifted by one."""
    plain, late = make(code, update_every=every, lagged=False), make(code, update_every=every, lagged=True)
    decisions: dict[str, list[float]] = {"plain": [], "late": []}
    for index, sample in enumerate(healthy(90), start=1):
        out = output(sample, 4, form)
        plain.observe(out)
        late.observe(out)
        if index % every == 0:
            decisions["plain"].append(plain.ratio)
            decisions["late"].append(late.ratio)
    assert decisions["late"][0] == make(code).ratio
    assert decisions["late"][1:] == decisions["plain"][:-1]
    assert len(set(decisions["plain"])) > 1


def test_without_lagged_tensors_on_the_cpu_are_read_at_once() -> None:
    one, other = make(FEEDBACK["gap"]), make(FEEDBACK["gap"], lagged=False)
    assert feed(one, healthy(40), "tensor") == feed(other, healthy(40), "tensor")


def test_what_a_step_writes_into_its_buffers_later_makes_no_difference() -> None:
    """Steps may return the same tensors at every iteration."""
    for code in FEEDBACK.values():
        fresh, reused = make(code, update_every=4), make(code, update_every=4)
        buffers = output(healthy(1)[0], 4, "tensor")
        for sample in healthy(60):
            out = output(sample, 4, "tensor")
            for key, value in out.items():
                buffers[key].copy_(value)
            fresh.observe(out)
            reused.observe(buffers)
            assert reused.ratio == fresh.ratio
            for value in buffers.values():
                value.fill_(math.nan)


def test_gradients_are_not_kept_alive() -> None:
    for code in FEEDBACK.values():
        controller = make(code, update_every=50)
        leaves: list[weakref.ref[torch.Tensor]] = []
        for sample in healthy(5):
            own = {key: value.requires_grad_() for key, value in output(sample, 3, "tensor").items()}
            leaves += map(weakref.ref, own.values())
            controller.observe({key: value * 1.0 for key, value in own.items()})
            del own
        gc.collect()
        assert not any(leaf() is not None for leaf in leaves), "a graph holds its leaves"
