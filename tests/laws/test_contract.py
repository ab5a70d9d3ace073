"""Every feedback law under one contract: a row each, a new law is a new row."""

from __future__ import annotations

import dataclasses
import importlib
import itertools
import json
import math
import pkgutil
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptive_critic import laws
from adaptive_critic.laws import (
    AccuracyGateLaw,
    AccuracyLadderLaw,
    DistancePIDLaw,
    FeedbackLaw,
    GapShareLaw,
    LossChangeRateLaw,
    Observation,
    RatesPIDLaw,
    SharePIDLaw,
    TwoThresholdLaw,
)
from adaptive_critic.laws.adarpgan import LossVarianceLaw
from adaptive_critic.laws.effort import CriticEffortLaw
from tests.streams import streams

NUMBER = st.floats(-1e154, 1e154)  # its square is finite as well: the controller holds on anything else
SHARE = st.floats(0.0, 1.0)
# What is drawn suits every law: each takes its own columns of it.
Drawn = list[tuple[float, float, float, int]]
DRAWN = streams((NUMBER, NUMBER, SHARE, st.integers(1, 50)), longest=30, least=1)


class Row(NamedTuple):
    """A law and what is promised of it."""

    law: FeedbackLaw[Any]
    components: int
    """how many numbers it observes"""
    ratio: float
    """where it starts"""
    shares: bool = False
    """they are shares, not any number"""
    bumpless: bool = False
    """the first update proposes the ratio in force"""
    per_iteration: bool = False
    """a decision over k iterations moves k times as far"""
    scale_free: bool = False
    """the same proposals for D -> a*D, which scales every component by a"""
    more: Sequence[float] = ()
    """an observation that asks for more critic updates"""
    fewer: Sequence[float] = ()
    """one that asks for fewer"""
    settles: int = 1
    """observations of one kind after which the law moves that way"""


TABLE = {
    "gap share": Row(
        GapShareLaw(base=0.5), 2, 4.0, bumpless=True, per_iteration=True, scale_free=True,
        more=(0.5, 1.0), fewer=(0.001, 1.0), settles=150,
    ),
    "distance PID": Row(
        DistancePIDLaw(0.3, 0.5, 0.02, kd=0.1), 1, 5.0, bumpless=True, per_iteration=True,
        more=(1.4,), fewer=(0.1,), settles=60,
    ),
    "share PID": Row(
        SharePIDLaw(0.05, 0.1, 0.02, kd=0.1), 2, 5.0, bumpless=True, per_iteration=True, scale_free=True,
        more=(0.5, 1.0), fewer=(0.001, 1.0), settles=60,
    ),
    "rates PID": Row(
        RatesPIDLaw(1.0, 0.1, 0.02, kd=0.1), 2, 5.0, bumpless=True, per_iteration=True, scale_free=True,
        more=(3.0, 1.0), fewer=(1.0, 3.0), settles=60,
    ),
    "ladder": Row(AccuracyLadderLaw(grace=3), 1, 1.0, shares=True, more=(0.1,), fewer=(), settles=200),
    "loss change rate": Row(LossChangeRateLaw(), 2, 3.0, more=(3.0, 1.0), fewer=(1.0, 1.0)),
    "two thresholds": Row(TwoThresholdLaw(1.0, 1.0), 2, 3.0, more=(1.5, 0.5), fewer=(0.5, 1.5)),
    "loss variance": Row(LossVarianceLaw(cooldown=3), 1, 3.0),
    "gate": Row(AccuracyGateLaw(steps=2), 1, 1.0, shares=True, more=(0.5,), fewer=(0.9,)),
}  # fmt: skip

every_law = pytest.mark.parametrize("row", TABLE.values(), ids=TABLE.keys())


def rows_with(promise: str) -> pytest.MarkDecorator:
    kept = {name: row for name, row in TABLE.items() if getattr(row, promise)}
    assert kept, promise
    return pytest.mark.parametrize("row", kept.values(), ids=kept.keys())


def observation(mean: Sequence[float], iterations: int = 1) -> Observation:
    return Observation(tuple(mean), tuple(value * value for value in mean), iterations)


def observations(row: Row, drawn: Drawn) -> list[Observation]:
    return [observation([share] if row.shares else [x, y][: row.components], k) for x, y, share, k in drawn]


def run(
    law: FeedbackLaw[Any],
    observations: Sequence[Observation],
    ratio: float,
    limits: tuple[float, float] = (1.0, 20.0),
    state: Any = None,
) -> tuple[list[float], list[float], Any]:
    """Return the proposals, the ratios in force after limits, and the last state."""
    state = law.init(ratio) if state is None else state
    proposals, ratios = [], []
    for one in observations:
        state, proposed = law.update(state, one, ratio)
        ratio = min(max(proposed, limits[0]), limits[1])
        proposals.append(proposed)
        ratios.append(ratio)
    return proposals, ratios, state


def test_every_feedback_law_has_a_row() -> None:
    modules = [
        importlib.import_module(f"{laws.__name__}.{found.name}") for found in pkgutil.iter_modules(laws.__path__)
    ]
    defined = {thing for module in modules for thing in vars(module).values() if dataclasses.is_dataclass(thing)}
    found = {law for law in defined if hasattr(law, "update") and hasattr(law, "inputs")}
    assert len(found) > 10
    # A base class, and a law of rate and ratio: tests/laws/test_effort.py.
    missing = found - {laws.PIDLaw, CriticEffortLaw} - {type(row.law) for row in TABLE.values()}
    assert not missing, f"add a row for {missing}"


@every_law
@given(drawn=DRAWN)
def test_proposals_are_finite_and_positive(row: Row, drawn: Drawn) -> None:
    proposals, _, _ = run(row.law, observations(row, drawn), row.ratio)
    assert all(map(math.isfinite, proposals)), proposals
    assert all(p >= 0.0 and p.is_integer() if row.law.whole else p > 0.0 for p in proposals), proposals


ENDS = (5e-324, 1.7976931348623157e308)


@every_law
@given(drawn=DRAWN, start=st.sampled_from([None, *ENDS]))
def test_proposals_stay_finite_without_limits(row: Row, drawn: Drawn, start: float | None) -> None:
    start = row.ratio if row.law.whole or start is None else start
    proposals, _, _ = run(row.law, observations(row, drawn), start, limits=ENDS)
    assert all(map(math.isfinite, proposals)), proposals
    assert all(p >= 0.0 if row.law.whole else p > 0.0 for p in proposals), proposals


@rows_with("bumpless")
@given(drawn=DRAWN, ratio=st.floats(0.1, 100.0))
def test_the_first_update_proposes_the_ratio_in_force(row: Row, drawn: Drawn, ratio: float) -> None:
    first = observations(row, drawn)[0]
    _, proposed = row.law.update(row.law.init(ratio), first._replace(iterations=1), ratio)
    assert proposed == pytest.approx(ratio, rel=1e-12)


@every_law
@given(drawn=DRAWN)
def test_deterministic_and_pure(row: Row, drawn: Drawn) -> None:
    law = row.law
    *earlier, last = observations(row, drawn)
    _, ratios, state = run(law, earlier, row.ratio)
    before, configuration = tuple(map(repr, state)), repr(law)
    results = [repr(law.update(state, last, [row.ratio, *ratios][-1])) for _ in range(2)]
    assert results[0] == results[1]
    assert tuple(map(repr, state)) == before
    assert repr(law) == configuration


@every_law
def test_configuration_is_frozen(row: Row) -> None:
    assert dataclasses.is_dataclass(row.law)
    for field in dataclasses.fields(row.law):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(row.law, field.name, getattr(row.law, field.name))


@every_law
@given(drawn=DRAWN, cut=st.integers(0, 30))
def test_state_is_plain_numbers_and_survives_json(row: Row, drawn: Drawn, cut: int) -> None:
    law = row.law
    straight, _, _ = run(law, observations(row, drawn), row.ratio)
    head, ratios, state = run(law, observations(row, drawn[:cut]), row.ratio)
    assert all(type(value) in (int, float) for value in state), state
    assert [type(value) for value in state] == [type(value) for value in law.init(row.ratio)]
    restored = type(state)(*json.loads(json.dumps(state)))
    tail, _, _ = run(law, observations(row, drawn[cut:]), ratios[-1] if ratios else row.ratio, state=restored)
    assert head + tail == straight


@every_law
def test_measurement_is_nan_before_there_is_one_or_a_number(row: Row) -> None:
    state = row.law.init(row.ratio)
    assert isinstance(row.law.measurement(state), float)
    middle = row.more or row.fewer or (1.0,) * row.components
    state, _ = row.law.update(state, observation(middle), row.ratio)
    assert math.isfinite(row.law.measurement(state))


@every_law
def test_the_response_has_the_right_direction(row: Row) -> None:
    for asked, sign in ((row.more, 1), (row.fewer, -1)):
        if asked:
            _, ratios, _ = run(row.law, [observation(asked)] * row.settles, row.ratio, (0.0, 20.0))
            assert sign * (ratios[-1] - row.ratio) > 0, (asked, ratios[-1])


@rows_with("fewer")
@given(drawn=DRAWN, blends=st.lists(SHARE, min_size=2, max_size=5))
def test_the_response_is_monotone(row: Row, drawn: Drawn, blends: list[float]) -> None:
    """After the same history an observation between the two kinds is answered between them."""
    law = row.law
    if isinstance(law, GapShareLaw):
        # What is used up by more is also used up less evenly, which is taken for noise of batches: less contrast is
        # missing then, and its factor falls by more than the sum rises, if only by a little.
        law = dataclasses.replace(law, contrast=0.0)
    _, ratios, state = run(law, observations(row, drawn), row.ratio)
    answers = []
    for blend in sorted(blends):
        mean = [(1.0 - blend) * low + blend * high for low, high in zip(row.fewer, row.more, strict=True)]
        answers.append(law.update(state, observation(mean), ratios[-1])[1])
    for lower, higher in itertools.pairwise(answers):
        assert higher >= lower * (1.0 - 1e-12), (sorted(blends), answers)


@rows_with("fewer")
def test_recovers_from_long_saturation(row: Row) -> None:
    """However long a law sat at a limit, it leaves it within ``settles`` decisions once it is asked the other way."""
    law = row.law
    for ask, answer, limit in ((row.more, row.fewer, 10.0), (row.fewer, row.more, 1.0)):
        left_after = []
        for duration in (300, 3_000):
            _, ratios, state = run(law, [observation(ask)] * duration, row.ratio, (1.0, 10.0))
            assert ratios[-1] == limit or law.whole
            _, after, _ = run(law, [observation(answer)] * row.settles, ratios[-1], (1.0, 10.0), state)
            left = [index for index, ratio in enumerate(after) if ratio != ratios[-1]]
            assert left, "never leaves the limit"
            left_after.append(left[0])
        assert left_after[0] == left_after[1], "what it integrated against the limit keeps growing"


@rows_with("per_iteration")
@pytest.mark.parametrize("asked", ["more", "fewer"])
def test_a_decision_over_k_iterations_moves_k_times_as_far(row: Row, asked: str) -> None:
    """The distance on the log scale after as many iterations, decided one by one and five at a time."""
    law: Any = row.law
    if isinstance(law, laws.PIDLaw):
        # The integral alone; kp acts once per decision, by its nature. The slew limit is per iteration too.
        law = dataclasses.replace(law, kp=0.0, kd=0.0, smoothing=0.0)
    else:
        none = {"warmup": 0, "window": 1.0}  # observes at once and remembers nothing
        law = dataclasses.replace(law, **{key: none[key] for key in none if hasattr(law, key)})
    mean = getattr(row, asked)
    single, _, _ = run(law, [observation(mean)] * 11, 5.0, (0.0, math.inf))
    # The first update is one iteration in both: it starts the PID's averages.
    grouped, _, _ = run(law, [observation(mean), *[observation(mean, 5)] * 2], 5.0, (0.0, math.inf))
    assert math.log(grouped[-1] / grouped[0]) == pytest.approx(math.log(single[-1] / single[0]), rel=1e-9)
    assert abs(math.log(grouped[-1] / grouped[0])) > 0.01


@rows_with("scale_free")
@given(drawn=streams([st.floats(-1e3, 1e3, width=32)] * 2, longest=60, least=1), exponent=st.integers(-40, 40))
def test_scale_free(row: Row, drawn: list[tuple[float, float]], exponent: int) -> None:
    means, scale = [pair[: row.components] for pair in drawn], 2.0**exponent
    plain, _, _ = run(row.law, [observation(mean) for mean in means], row.ratio)
    scaled, _, _ = run(row.law, [observation([scale * value for value in mean]) for mean in means], row.ratio)
    # A power of two scales without rounding; the logarithms of the rates differ in their last bits.
    assert scaled == pytest.approx(plain, rel=1e-9)


def test_gap_share_warms_up_and_then_moves_by_the_gain() -> None:
    """By the gain per iteration up to r = 3, in proportion to r up to 6, by twice the gain beyond."""
    law = GapShareLaw(setpoint=0.01, gain=0.02, warmup=20)  # (0.9, 1) asks for 92: an error of 1 all the way
    proposals, _, _ = run(law, [observation((0.9, 1.0))] * 90, 2.0)
    assert proposals[:19] == [2.0] * 19
    position = math.log(2.0)
    for proposal in proposals[19:]:
        position += 0.02 * min(max(math.exp(position) / 3.0, 1.0), 2.0)
        assert proposal == pytest.approx(math.exp(position), rel=1e-9)
    assert proposals[-1] > 6.5, "both ends of the clip are passed"


def test_gap_share_decides_over_any_number_of_iterations() -> None:
    """At rest after very many, without taking a step for each of them."""
    law = GapShareLaw(setpoint=0.01, base=1.5, warmup=0)
    for iterations in (1_000, 1_001, 10**6, 10**15):
        _, ratio = law.update(law.init(3.0), observation((0.02, 1.0), iterations), 3.0)
        assert ratio == pytest.approx(3.5, rel=1e-6)


def test_gap_share_rests_at_base_plus_one_update_per_setpoint() -> None:
    law = GapShareLaw(setpoint=0.01, base=1.5)
    _, ratios, _ = run(law, [observation((0.02, 1.0))] * 1000, 3.0)
    assert ratios[-1] == pytest.approx(1.5 + 0.02 / 0.01, rel=1e-6)


def test_gap_share_asks_for_more_where_the_gap_hardly_stands_out_from_its_fluctuations() -> None:
    """Gaps of 1 +- 0.8: a contrast of 1.25 where 2.5 are asked for, so twice the number; less noise of batches."""
    noisy = Observation((0.02, 1.0), (0.02**2, 1.0 + 0.8**2))
    law = GapShareLaw(setpoint=0.01, base=1.5, contrast=2.5)
    _, ratios, _ = run(law, [noisy] * 1000, 3.0)
    assert ratios[-1] == pytest.approx(2.0 * 3.5, rel=1e-6)
    clear = Observation((0.02, 1.0), (0.02**2, 1.0 + 0.3**2))
    _, ratios, _ = run(law, [clear] * 1000, 3.0)
    assert ratios[-1] == pytest.approx(3.5, rel=1e-6)
    # Of a variance of 1, 0.36 is the noise of finite batches: it is in the generator's share as well.
    batches = Observation((0.02, 1.0), (0.02**2 + 0.36, 2.0))
    _, ratios, _ = run(law, [batches] * 1000, 3.0)
    assert ratios[-1] == pytest.approx(2.0 * 3.5, rel=1e-6)
    _, ratios, _ = run(law, [Observation((0.02, 1.0), (0.02**2 + 1.0, 2.0))] * 1000, 3.0)
    assert ratios[-1] == pytest.approx(3.5, rel=1e-6)
    _, ratios, _ = run(dataclasses.replace(law, contrast=0.0), [noisy] * 1000, 3.0)
    assert ratios[-1] == pytest.approx(3.5, rel=1e-6)


def test_gap_share_averages_over_a_third_of_the_run_and_then_over_its_window() -> None:
    """Against weights written out one by one; a decision over k iterations weighs as k single ones do."""
    law = GapShareLaw(window=20.0)
    values = [math.sin(0.7 * index) for index in range(120)]
    state, grouped = law.init(4.0), law.init(4.0)
    mean, square = 0.0, 0.0
    for index, value in enumerate(values, start=1):
        alpha = 1.0 if index == 1 else max(1.0 / 20.0, 3.0 / (index + 3.0))
        mean, square = mean + alpha * (value - mean), square + alpha * (value * value - square)
        state, _ = law.update(state, observation((0.5 * value, value)), 4.0)
        assert state[:4] == pytest.approx((0.5 * mean, 0.25 * square, mean, square), rel=1e-9)
    for _ in range(40):
        grouped, _ = law.update(grouped, observation((0.5, 1.0), 3), 4.0)
    single = law.init(4.0)
    for _ in range(120):
        single, _ = law.update(single, observation((0.5, 1.0)), 4.0)
    assert grouped[:4] == pytest.approx(single[:4], rel=1e-9)
    assert grouped.observed == single.observed == 120


@pytest.mark.parametrize(
    ("mean", "error"),
    [
        ((0.15, 1.0), 0.0),  # 1 + 0.15 / 0.05 = 4
        ((0.35, 1.0), math.log(2.0)),
        ((0.05, 1.0), -math.log(2.0)),
        ((1.0, 1.0), 1.0),  # clipped
        ((0.0, 1.0), -1.0),
        ((-0.05, 1.0), -1.0),  # the base is used up
        ((-0.3, 1.0), -1.0),
        ((0.05, 0.0), 1.0),  # no advantage left
        ((0.05, -1.0), 1.0),
        ((-0.5, -1.0), 1.0),  # the generator has outrun the critic, whatever the numerator
    ],
)
def test_gap_share_error(mean: tuple[float, float], error: float) -> None:
    law = GapShareLaw(setpoint=0.05, base=1.0, window=1.0, warmup=0, gain=0.3)
    _, proposed = law.update(law.init(4.0), observation(mean), 4.0)
    assert math.log(proposed / 4.0) == pytest.approx(0.3 * 4.0 / 3.0 * error, abs=1e-12)


def test_ladder_follows_the_published_scheduler() -> None:
    """Written from the paper's rule; DStepScheduler counts generator updates on a rung, and averages from the first."""
    rungs = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000]
    accuracies = [0.5 + 0.4 * math.sin(0.37 * k) for k in range(400)]
    law = AccuracyLadderLaw(grace=7, smoothing=0.8, threshold=0.6)
    average, rung, updates, expected = None, 0, 0, []
    for accuracy in accuracies:
        average = accuracy if average is None else 0.8 * average + (1 - 0.8) * accuracy
        updates += 1
        if updates >= 7 and average <= 0.6:
            rung, updates = min(rung + 1, len(rungs) - 1), 0
        expected.append(rungs[rung])
    proposals, _, _ = run(law, [observation((a,)) for a in accuracies], 1.0, (1.0, 1e6))
    assert proposals == expected
    assert set(proposals) == set(rungs)


@pytest.mark.parametrize(
    ("d_loss", "g_loss", "moved"),
    [(1.0, 0.0, 1), (2.0, 2.0, 1), (0.99, 1.0, -1), (0.99, 0.99, 0)],
)
def test_two_thresholds(d_loss: float, g_loss: float, moved: int) -> None:
    law = TwoThresholdLaw(1.0, 1.0)
    assert law.update(law.init(3.0), observation((d_loss, g_loss)), 3.0)[1] == 3.0 + moved


@pytest.mark.parametrize(("d_rate", "g_rate", "moved"), [(2.1, 1.0, 1), (2.0, 1.0, -1), (0.0, 0.0, -1)])
def test_loss_change_rate(d_rate: float, g_rate: float, moved: int) -> None:
    law = LossChangeRateLaw(balance=2.0)
    assert law.update(law.init(3.0), observation((d_rate, g_rate)), 3.0)[1] == 3.0 + moved


@pytest.mark.parametrize(("accuracy", "steps"), [(0.0, 3), (0.8, 3), (0.81, 0), (1.0, 0)])
def test_gate(accuracy: float, steps: int) -> None:
    law = AccuracyGateLaw(steps=3, threshold=0.8)
    assert law.update(law.init(3.0), observation((accuracy,)), 3.0)[1] == steps
