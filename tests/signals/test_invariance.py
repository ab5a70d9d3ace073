"""A critic's scale and offset are arbitrary under a Wasserstein objective: D -> a*D + b must change nothing.

Scores here are multiples of 1/1024 below 16, scales are powers of two and offsets whole numbers, so that every scaled
and shifted score is exact in double precision, and what changes is what the rule makes of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adaptive_critic import LossRatioPIDController, WassersteinGap, WassersteinGapController
from adaptive_critic.handlers.base import FeedbackController
from tests.handlers.table import FORMS, healthy
from tests.streams import streams

N = 5
score = st.integers(-16 * 1024, 16 * 1024).map(lambda k: k / 1024)
Iteration = tuple[Sequence[float], Sequence[float], float]


def iterations(longest: int, least: int) -> st.SearchStrategy[list[Iteration]]:
    rows = streams([score] * (2 * N + 1), longest, least)
    return rows.map(lambda drawn: [(row[:N], row[N : 2 * N], row[-1]) for row in drawn])


CONTROLLERS: dict[str, dict[str, Any]] = {
    "gap": {"warmup": 2, "gain": 0.1, "window": 4, "limits": (1, 20)},
    "PID": {"kp": 0.5, "ki": 0.05, "kd": 0.2, "smoothing": 0.75},
}


def new(name: str) -> FeedbackController:
    options = CONTROLLERS[name]
    return WassersteinGapController(**options) if name == "gap" else LossRatioPIDController("wasserstein", **options)


def recorded() -> list[Iteration]:
    """Return a stream in which the critic is ahead and the generator's share of it changes, in multiples of 1/1024."""

    def grid(value: float) -> float:
        return round(1024 * value) / 1024

    return [
        ([grid(sample.d_real)] * N, [grid(sample.d_fake)] * N, grid(sample.g_fake))
        for sample in healthy(120, share=0.3)
    ]


def outputs(stream: Sequence[Iteration], scale: float, offset: float, form: str, n: int = N) -> list[dict[str, Any]]:
    """Return what a step would return with the critic scale * D + offset, whose generator loss is -E[D(G(z))]."""
    result = []
    for d_real, d_fake, g_fake in stream:
        out: dict[str, Any] = {
            "d_real": [scale * value + offset for value in d_real[:n]],
            "d_fake": [scale * value + offset for value in d_fake[:n]],
            "g_fake": scale * g_fake + offset,
        }
        if form != "floats":
            out = {key: torch.tensor(value, dtype=torch.float64) for key, value in out.items()}
        if form == "tuple":
            out = {key: value if value.ndim == 0 else tuple(value.unbind()) for key, value in out.items()}
        result.append(out)
    return result


def trajectory(name: str, outs: Sequence[dict[str, Any]]) -> list[tuple[int, float, float]]:
    controller = new(name)
    return [(controller.observe(out), controller.ratio, controller.signal) for out in outs]


@pytest.mark.parametrize("name", CONTROLLERS)
@given(
    stream=iterations(longest=30, least=1),
    exponent=st.integers(-20, 20),
    offset=st.integers(-1024, 1024),
    form=st.sampled_from(FORMS),
)
def test_any_stream(name: str, stream: list[Iteration], exponent: int, offset: int, form: str) -> None:
    scale = 2.0**exponent
    plain = trajectory(name, outputs(stream, 1.0, 0.0, "floats"))
    # The offset is scaled along, so that the sum stays exact.
    moved = trajectory(name, outputs(stream, scale, scale * offset, form))
    assert [n for n, _, _ in moved] == [n for n, _, _ in plain]
    assert [repr(ratio) for _, ratio, _ in moved] == [repr(ratio) for _, ratio, _ in plain]
    assert [repr(signal) for _, _, signal in moved] == [repr(signal) for _, _, signal in plain]


@pytest.mark.parametrize("name", CONTROLLERS)
@pytest.mark.parametrize(("scale", "offset"), [(1.0, 100.0), (1024.0, 0.0), (2.0**-30, 0.0), (8.0, -512.0)])
@pytest.mark.parametrize("form", FORMS)
def test_a_recorded_stream(name: str, scale: float, offset: float, form: str) -> None:
    plain = trajectory(name, outputs(recorded(), 1.0, 0.0, "floats"))
    assert trajectory(name, outputs(recorded(), scale, offset, form)) == plain
    assert len({n for n, _, _ in plain}) > 2, "the stream has to move n"


@pytest.mark.parametrize("name", CONTROLLERS)
@pytest.mark.parametrize(("scale", "offset"), [(3.7, 11.3), (0.013, -7.1), (1e4, 1e3)])
def test_a_recorded_stream_in_single_precision(name: str, scale: float, offset: float) -> None:
    """With inexact scores n stays the same where it is not on the edge of rounding, and the ratio nearly so."""
    plain = trajectory(name, outputs(recorded(), 1.0, 0.0, "floats"))
    outs = outputs(recorded(), scale, offset, "tensor")
    moved = trajectory(name, [{key: value.float() for key, value in out.items()} for out in outs])
    for (_, ratio, _), (_, other, _) in zip(plain, moved, strict=True):
        assert other == pytest.approx(ratio, rel=0.02)


def test_losses_are_not_invariant_and_the_gap_rules_do_not_look_at_them() -> None:
    for name in CONTROLLERS:
        outs = outputs(recorded(), 1.0, 0.0, "floats")
        with_losses = [out | {"d_loss": [100.0 * k] * N, "g_loss": -50.0 * k} for k, out in enumerate(outs)]
        assert trajectory(name, with_losses) == trajectory(name, outs)


@given(stream=iterations(longest=20, least=2), exponent=st.integers(-10, 10), offset=st.integers(-64, 64))
def test_the_metric_scales_with_the_critic_and_has_no_offset(
    stream: list[Iteration], exponent: int, offset: int
) -> None:
    scale = 2.0**exponent
    for phase in ("updates", "before", "after"):
        one, other = WassersteinGap(phase, alpha=0.5), WassersteinGap(phase, alpha=0.5)
        for plain, moved in zip(
            outputs(stream, 1.0, 0.0, "floats"), outputs(stream, scale, scale * offset, "tensor"), strict=True
        ):
            one.update(plain)
            other.update(moved)
        assert float(other.compute()) == pytest.approx(scale * float(one.compute()), rel=1e-6, abs=1e-4 * scale)


def test_kappa_is_the_share_that_one_generator_update_uses_up() -> None:
    """On paper: the gap is 2 after the critic's updates and 1.5 after the generator's, a quarter is used up."""
    controller = WassersteinGapController(initial=3, setpoint=0.02, window=1, warmup=0, gain=0.1)
    controller.observe({"d_real": [3.0], "d_fake": [1.0], "g_fake": 1.0})
    controller.observe({"d_real": [3.0, 9.0], "d_fake": [1.5, 0.0], "g_fake": 7.0})
    assert controller.signal == 0.25
    assert controller.ratio == pytest.approx(3.0 * math.exp(0.1))
