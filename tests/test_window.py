"""The window of a signal between two decisions, against a plain reference."""

from __future__ import annotations

import json
import math
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adaptive_critic.decision.saved import read_window
from adaptive_critic.decision.window import SignalWindow
from adaptive_critic.signals import Picked
from tests.streams import streams


class Sums:
    """Components x + y and x * y of this iteration alone."""

    names: ClassVar[tuple[str, ...]] = ("sum", "product")
    width: ClassVar[int] = 2
    paired: ClassVar[bool] = False
    domain: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    hint: ClassVar[str] = ""

    def pick(self, output: Any, steps: int) -> Picked | None:
        return Picked(output.scalars, output.observed)

    def combine(self, *picked: Any) -> tuple[Any, ...]:
        x, y = picked
        return x + y, x * y


class Changes(Sums):
    """Component: x now minus y in the iteration before."""

    names: ClassVar[tuple[str, ...]] = ("change",)
    paired: ClassVar[bool] = True

    def combine(self, *picked: Any) -> tuple[Any, ...]:
        x, _, _, y_before = picked
        return (x - y_before,)


number = st.integers(-1000, 1000).map(lambda k: k / 16) | st.sampled_from([math.nan, math.inf])
iterations = streams([number, number, st.booleans()], longest=100)
Iterations = list[tuple[float, float, bool]]


def reference(signal: Any, rows: Iterations) -> list[float]:
    """Return counts, sums and sums of squares, from lists alone."""
    good, bad, values = 0, 0, []
    for index, (x, y, observed) in enumerate(rows):
        if not observed or (signal.paired and index == 0):
            continue
        before = rows[index - 1][:2] if signal.paired else ()
        components = signal.combine(x, y, *before)
        if all(map(math.isfinite, components)):
            good += 1
            values.append(components)
        else:
            bad += 1
    columns = list(zip(*values, strict=True)) or [()] * len(signal.names)
    return [good, bad, *map(math.fsum, columns), *(math.fsum(v * v for v in column) for column in columns)]


def fill(window: SignalWindow, rows: Iterations, form: str) -> None:
    for index, (x, y, observed) in enumerate(rows):
        tensors = form == "tensors" or (form == "mixed" and index % 3 == 0)
        pair: Any = (torch.tensor(x, dtype=torch.float64), torch.tensor(y, dtype=torch.float64)) if tensors else (x, y)
        window.gather(Picked(pair, observed), {}, 1)


@pytest.mark.parametrize("signal", [Sums(), Changes()])
@given(rows=iterations, form=st.sampled_from(["floats", "tensors", "mixed"]), read=st.booleans())
def test_equals_the_reference(signal: Any, rows: Iterations, form: str, read: bool) -> None:
    window = SignalWindow(signal, lagged=False)
    fill(window, rows, form)
    values = window.read()[0] if read else window.vector().tolist()
    assert values == pytest.approx(reference(signal, rows), rel=1e-12, abs=1e-9)


@pytest.mark.parametrize("signal", [Sums(), Changes()])
@given(rows=iterations, form=st.sampled_from(["floats", "tensors", "mixed"]), cut=st.integers(0, 100))
def test_a_restored_one_goes_on_bit_for_bit(signal: Any, rows: Iterations, form: str, cut: int) -> None:
    one, twin = SignalWindow(signal), SignalWindow(signal)
    fill(one, rows[:cut], form)
    twin.restore(read_window(json.loads(json.dumps(one.state_dict())), signal))
    fill(one, rows[cut:], form)
    fill(twin, rows[cut:], form)
    assert repr(one.state_dict()) == repr(twin.state_dict())
    assert one.read() == twin.read()


@given(first=iterations, second=iterations)
def test_the_next_window_compares_with_the_last_row_of_this_one(first: Iterations, second: Iterations) -> None:
    window = SignalWindow(Changes())
    fill(window, first, "tensors")
    window.read()
    fill(window, second, "tensors")
    joined = [*[(*row[:2], False) for row in first], *second]
    assert window.read()[0] == pytest.approx(reference(Changes(), joined), rel=1e-12, abs=1e-9)
    window.pause()
    assert window.read() == ([0.0] * 4, 1)


def test_memory_stays_bounded() -> None:
    window = SignalWindow(Changes())
    fill(window, [(1.0, 2.0, True)] * 10_000, "floats")
    assert len(window.state_dict()["moments"]["rows"]) <= 64
    assert window.vector()[0] == 9_999.0


def test_rows_are_copied() -> None:
    window, x = SignalWindow(Sums()), torch.tensor(1.0)
    window.gather(Picked((x, x), True), {}, 1)
    x.fill_(5.0)
    assert window.vector()[:3].tolist() == [1.0, 0.0, 2.0]
