"""The law on critic effort: its equation, what it does to plants whose kappa does or does not respond, its edges."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from adaptive_critic.laws import Observation
from adaptive_critic.laws.effort import CriticEffortLaw, CriticEffortState

LAW = CriticEffortLaw()
FRESH = LAW.init(1.0)


def state(used: float, gap: float, noise: float = 0.0, variance: float = 0.0, **others: float) -> CriticEffortState:
    """Return a state with these averages, and these variances of both."""
    known = FRESH._replace(used=used, used_square=used * used + noise, gap=gap, gap_square=gap * gap + variance)
    return known._replace(observed=100, **others)  # type: ignore[arg-type]  # floats for floats


def seen(used: float, gap: float, iterations: int = 1) -> Observation:
    """Return an observation without spread."""
    return Observation((used, gap), (used * used, gap * gap), iterations)


def play(
    kappa: Callable[[float], float],
    law: CriticEffortLaw = LAW,
    *,
    ratio: float = 1.0,
    rate: float = 8.0,
    iterations: int = 600,
    every: int = 1,
    limits: tuple[float, float] = (0.25, 20.0),
    rates: tuple[float, float] = (1.0, 16.0),
    noise: float = 0.0,
    scale: float = 1.0,
) -> list[tuple[float, float]]:
    """Return ratio and rate after every decision where kappa follows from the effort; noise alternates."""
    now, path = law.init(ratio), []
    for count in range(iterations // every):
        used = scale * (kappa(ratio * rate) + noise * (-1.0) ** (count // 2))
        now, ratio, rate = law.update(now, seen(used, scale, every), ratio, rate)
        ratio, rate = min(max(ratio, limits[0]), limits[1]), min(max(rate, rates[0]), rates[1])
        path.append((ratio, rate))
    return path


def lag(effort: float) -> float:
    """Return kappa of a critic that lags in proportion to 1 / effort while it keeps up."""
    return 1.0 / (1.0 + effort)


def middle(path: list[tuple[float, float]]) -> float:
    """Return the geometric mean ratio of the last forty decisions."""
    return math.exp(sum(math.log(ratio) for ratio, _ in path[-40:]) / 40)


def test_before_the_first_observation_nothing_is_known() -> None:
    assert math.isnan(LAW.measurement(FRESH))
    assert FRESH.position == 0.0
    assert LAW.init(math.e).position == pytest.approx(1.0)


@pytest.mark.parametrize(("ratio", "faster"), [(0.5, 1.0), (3.0, 1.0), (4.5, 1.5), (6.0, 2.0), (15.0, 2.0)])
def test_a_large_number_moves_faster_as_its_iterations_cost_more(ratio: float, faster: float) -> None:
    lost = state(0.1, 0.0)._replace(position=math.log(ratio))
    after, _, _ = LAW.update(lost, seen(0.1, 0.0), ratio, 8.0)
    assert after.position - lost.position == pytest.approx(faster * LAW.gain)


@pytest.mark.parametrize("gap", [0.0, -0.5])
def test_a_critic_without_advantage_gets_more_updates_at_a_lower_rate(gap: float) -> None:
    lost = state(0.1, gap)
    assert LAW.measurement(lost) == math.inf
    assert LAW.target(lost, 8.0) == math.inf
    after, _, rate = LAW.update(lost, seen(0.1, gap), 1.0, 8.0)
    assert after.position == pytest.approx(LAW.gain)
    assert math.log(rate / 8.0) == pytest.approx(-2 * LAW.rate_gain)


@pytest.mark.parametrize(
    ("averages", "expected"),
    [
        (state(0.3, 1.0), 0.5),  # assumed 1/2, without noise and comparison
        (state(0.6, 1.0), 0.0),
        (state(0.9, 1.0), 0.0),
        (state(0.0, 1.0), 1.0),
        (state(-0.3, 1.0), 1.0),
        (state(0.3, 1.0, square=2.0), 0.0),  # nothing differs between the halves
        (state(0.3, 1.0, square=2.0, product=-0.3), 0.5),  # of 2.0 * 0.3
        (state(0.3, 1.0, square=2.0, product=-1.2), 1.0),
        (state(0.3, 1.0, square=2.0, product=+0.6), 0.0),  # kappa rises with the ratio
        (state(0.3, 1.0, noise=0.045, square=2.0), 0.25),  # as much noise as comparison: half way
        (state(0.3, 1.0, noise=1e9, square=2.0), 0.5),
    ],
)
def test_the_responding_share(averages: CriticEffortState, expected: float) -> None:
    assert LAW.responding(averages) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("averages", "expected"),
    [
        (state(0.0, 1.0), 0.5),
        (state(-0.1, 1.0), 0.5),
        (state(0.3, 1.0), 0.5 + 0.5 * 6.0),
        (state(0.08, 1.0, square=2.0), 0.8),  # nothing responds, and one update for every kappa of 0.1
        (state(0.04, 1.0, square=2.0), 0.5),
        (state(0.3, 1.0, square=2.0), 1.0),  # but no more than one
        (state(0.3, 1.0, square=2.0, product=-0.6), 0.5 + 6.0),
        (state(0.0, 1.0, variance=0.16), 0.5),  # a swing of 0.4 of the gap: 2.5 times that is 1
        (state(0.0, 1.0, variance=0.36), 0.75),
        (state(0.0, 1.0, variance=9.0), 2.0),  # at most four times
        (state(0.0, 1.0, noise=9.0, variance=9.0), 0.5),  # noise of batches is not a swing
    ],
)
def test_target_follows_the_equation(averages: CriticEffortState, expected: float) -> None:
    assert LAW.target(averages, 4.0) == pytest.approx(expected)


def test_squares_that_overflowed_say_nothing() -> None:
    huge = FRESH._replace(used=1e200, used_square=math.inf, gap=1e201, gap_square=math.inf, observed=100, square=5.0)
    assert LAW.responding(huge) == pytest.approx(0.0)  # no contrast in five comparisons
    assert LAW.target(huge, 4.0) == pytest.approx(1.0)
    tiny = FRESH._replace(used=1e-200, gap=1e100, observed=100, square=5.0)
    assert LAW.responding(tiny) == pytest.approx(1.0)
    _, ratio, rate = LAW.update(huge, Observation((1e200, 1e201), (math.inf, math.inf)), 1.0, 1.0)
    assert math.isfinite(ratio)
    assert math.isfinite(rate)


@pytest.mark.parametrize("law", [LAW, replace(LAW, contrast=0.0)])
@pytest.mark.parametrize("gap", [5e-324, 1e-200, 1e200])
def test_a_gap_of_any_size_leads_to_finite_numbers(law: CriticEffortLaw, gap: float) -> None:
    edge = FRESH._replace(used=1.0, used_square=1.0, gap=gap, gap_square=3.0, offset=0.4, since=5, observed=100)
    for observation in (seen(1e-100, 0.0), seen(-1e100, 1e100)):
        result, ratio, rate = law.update(edge, observation, 1.0, 8.0)
        assert all(map(math.isfinite, (*result, ratio, rate)))


def test_a_base_that_rounds_to_zero_lets_the_ratio_sink() -> None:
    path = play(lambda effort: 0.0, replace(LAW, base=5e-324, warmup=0), iterations=200)
    assert path[-1][0] == 0.25


def test_both_are_held_until_the_warmup_is_over() -> None:
    path = play(lambda effort: 0.5, iterations=12)
    assert path[:9] == [(1.0, 8.0)] * 9
    assert path[9][0] != 1.0
    lost = state(0.1, -0.5)
    assert LAW.update(lost._replace(observed=8), seen(0.1, -0.5), 1.0, 8.0)[1:] == (1.0, 8.0)
    assert LAW.update(lost._replace(observed=9), seen(0.1, -0.5), 1.0, 8.0)[2] < 8.0


@pytest.mark.parametrize(
    ("noise", "product", "move"),
    [
        (0.0, 0.0, -2 * 0.3 / 0.7),  # nothing responds, and no noise hides it
        (0.0, -0.12, -2 * 0.1 / 0.7),  # a share of 0.2
        (0.045 / 99, 0.0, -2 * (0.3 - 0.005 - 0.05) / 0.7),  # a hundredth of the assumed half, give or take 0.05
        (0.045, 0.0, 0.0),  # 0.25, give or take 0.35
        (0.1, 0.6, 0.0),
    ],
)
def test_the_rate_falls_only_by_a_share_that_is_low_beyond_its_noise(noise: float, product: float, move: float) -> None:
    known = state(0.3, 1.0, noise=noise, square=2.0, product=product)
    same = Observation((0.3, 1.0), (known.used_square, 1.0))
    assert math.log(LAW.update(known, same, 1.0, 8.0)[2] / 8.0) == pytest.approx(LAW.rate_gain * move, abs=1e-9)


@pytest.mark.parametrize(("every", "iterations"), [(1, 30), (2, 30), (3, 36), (4, 36), (5, 40), (7, 56), (10, 70)])
def test_the_rate_rises_once_both_halves_have_been_seen(every: int, iterations: int) -> None:
    rates = [rate for _, rate in play(lambda effort: 2.0 / (1.0 + effort), iterations=80, every=every)]
    held = iterations // every - 1
    assert rates[:held] == [8.0] * held
    assert 8.0 < rates[held] <= 8.0 * math.exp(every * LAW.rate_gain)


@pytest.mark.parametrize("observed", [10, 100])
@pytest.mark.parametrize("broken", [seen(0.1, -1.01), seen(4.01, 1.0), seen(-4.01, 1.0)])
def test_a_rate_at_which_the_critic_overshoots_is_halved_at_once(observed: int, broken: Observation) -> None:
    known = state(0.1, 1.0)._replace(observed=observed)
    after, ratio, rate = LAW.update(known, broken, 1.5, 8.0)
    assert (ratio, rate) == (1.5, 4.0)
    assert after == known._replace(ceiling=math.log(4.0))  # what was seen enters no average
    again, _, rate = LAW.update(after, broken, 1.5, rate)
    assert rate == 2.0
    assert again.ceiling == math.log(2.0)


def test_averages_of_a_few_iterations_tell_no_overshoot() -> None:
    known = state(0.1, 1.0)._replace(observed=8)
    after, _, rate = LAW.update(known, seen(0.1, -5.0), 1.0, 8.0)
    assert rate == 8.0
    assert (after.observed, after.ceiling) == (9, known.ceiling)


def test_where_a_bound_holds_the_rate_up_a_lost_critic_is_averaged() -> None:
    now, ratio, rate = LAW.update(state(0.1, 1.0), seen(0.1, -2.0), 1.0, 1.0)
    assert rate == 0.5
    for _ in range(40):
        now, ratio, _ = LAW.update(now, seen(0.1, -2.0), ratio, 1.0)
    assert now.gap < 0.0
    assert ratio > 2.0


@pytest.mark.parametrize("known", [state(0.1, 1.0), state(0.1, 0.0), state(0.1, -0.5), FRESH])
def test_noise_and_a_lost_critic_are_no_overshoot(known: CriticEffortState) -> None:
    used, gap = (3.99, -0.99) if known.gap > 0.0 else (9.0, -5.0)
    assert LAW.update(known, seen(used, gap), 1.0, 8.0)[0].ceiling == 700.0


@pytest.mark.parametrize(
    ("seen_now", "rate"),
    [
        (seen(0.5, -2.19), 8.0),  # u varies by 0.8 of the average gap: 3.99 of that from the average
        (seen(0.5, -2.21), 4.0),
        (seen(4.49, 1.0), 8.0),
        (seen(4.51, 1.0), 4.0),
        (seen(-4.01, 1.0), 4.0),
    ],
)
def test_within_four_deviations_it_is_no_overshoot(seen_now: Observation, rate: float) -> None:
    noise = 0.8**2 if seen_now.mean[0] == 0.5 else 1.0
    known = state(0.5, 1.0, noise=noise)._replace(observed=10)
    assert LAW.update(known, seen_now, 1.0, 8.0)[2] == rate


def test_the_rate_rises_again_by_a_factor_of_two_in_2000_iterations() -> None:
    now, _, rate = LAW.update(state(0.1, 1.0), seen(0.1, -2.0), 1.0, 16.0)
    ratio, rates = 1.0, [rate]
    for _ in range(2000):
        now, ratio, rate = LAW.update(now, seen(20.0 * lag(ratio * rate), 1.0), min(ratio, 20.0), min(rate, 16.0))
        rates.append(rate)
    assert rates[400] == pytest.approx(8.0 * 2 ** (400 / 2000))
    assert rates[2000] == pytest.approx(16.0)


def test_a_first_bound_doubles_in_2000_iterations_too() -> None:
    law = CriticEffortLaw(bound=4.0)
    now, ratio, rate, rates = law.init(1.0), 1.0, 4.0, []
    for _ in range(2001):
        now, ratio, rate = law.update(now, seen(20.0 * lag(ratio * rate), 1.0), min(ratio, 20.0), min(rate, 16.0))
        rates.append(rate)
    assert rates[400] == pytest.approx(4.0 * 2 ** (401 / 2000))
    assert rates[2000] == pytest.approx(4.0 * 2 ** (2001 / 2000))


@pytest.mark.parametrize(
    ("bound", "base", "observed", "gap", "most"),
    [
        (7.9, 1.0, 149, 1.0, 1.5),
        (7.9, 2.0, 149, 1.0, 3.0),
        (7.9, 1.0, 150, 1.0, 12.5),
        (8.0, 1.0, 149, 1.0, 12.5),
        (math.inf, 1.0, 10, 1.0, 12.5),
        (2.0, 1.0, 10, -1.0, math.inf),  # a critic that has lost the generator needs its updates
    ],
)
def test_a_critic_that_is_fast_already_gets_few_updates_at_first(
    bound: float, base: float, observed: int, gap: float, most: float
) -> None:
    known = state(0.6, gap, noise=1e6)._replace(observed=observed, product=-1e9, square=1e9)  # all of kappa responds
    assert CriticEffortLaw(bound=bound, base=base).target(known, 4.0) == pytest.approx(most)


@pytest.mark.parametrize("bound", [0.0, -1.0, math.nan, -math.inf, "4"])
def test_bounds_that_are_none(bound: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="bound="):
        CriticEffortLaw(bound=bound)


@pytest.mark.parametrize(("kappa", "rises"), [(0.099, False), (0.101, True)])
def test_the_rate_does_not_rise_where_the_critic_keeps_up(kappa: float, rises: bool) -> None:
    _, _, rate = LAW.update(state(kappa, 1.0), seen(kappa, 1.0), 1.0, 8.0)
    assert (rate > 8.0) is rises


def test_one_overshoot_among_the_iterations_of_a_decision_is_seen() -> None:
    once = Observation((0.1, 0.6), (0.01, (9 * 1.0 + 9.0) / 10), 10)  # nine gaps of 1, one of -3
    assert LAW.update(state(0.1, 0.5), once, 1.0, 8.0)[2] == 4.0
    assert LAW.update(state(0.1, 0.7), once, 1.0, 8.0)[2] > 4.0


def test_where_effort_helps_the_rate_rises_first() -> None:
    path = play(lambda effort: 4.0 / (1.0 + effort), rate=1.0)
    assert path[-1][1] == 16.0
    assert 1.5 < middle(path) < 3.0
    enough = play(lag, rate=1.0)
    assert 1.0 < enough[-1][1] < 16.0
    assert lag(middle(enough) * enough[-1][1]) == pytest.approx(2 * LAW.setpoint, rel=0.3)
    bounded = play(lag, rate=1.0, rates=(1.0, 2.0))
    assert bounded[-1][1] == 2.0
    assert 1.3 < middle(bounded) < 3.0  # updates do what the rate can't


@pytest.mark.parametrize("level", [0.1, 0.3, 0.55])
def test_where_effort_does_not_help_both_go_back(level: float) -> None:
    path = play(lambda effort: level, ratio=3.0)
    assert path[-1][1] == 1.0
    assert middle(path) == pytest.approx(1.0, rel=0.1)


def test_where_more_effort_makes_it_worse_both_go_back() -> None:
    path = play(lambda effort: 0.1 + 0.01 * effort, ratio=2.0)
    assert path[-1][1] == 1.0
    assert middle(path) == pytest.approx(1.0, rel=0.1)


def test_noise_leaves_the_rate_up() -> None:
    path = play(lambda effort: 0.12, noise=0.5)
    assert path[-1][1] == 16.0


@pytest.mark.parametrize(("scale", "offset"), [(7.0, 3.0), (0.01, -100.0)])
def test_scale_and_offset_of_the_critic_do_not_matter(scale: float, offset: float) -> None:
    def run(factor: float, shift: float) -> list[tuple[float, float]]:
        now, ratio, rate, path = LAW.init(1.0), 1.0, 8.0, []
        for count in range(200):
            real = factor * (2.0 + 0.3 * math.sin(count)) + shift
            before = factor * (1.0 + 0.2 * math.cos(3.0 * count)) + shift
            after = before + factor * (0.2 / ratio + 0.1 * math.sin(5.0 * count))
            now, ratio, rate = LAW.update(now, seen(after - before, real - before), ratio, rate)
            path.append((ratio, rate))
        return path

    for plain, scaled in zip(run(1.0, 0.0), run(scale, offset), strict=True):
        assert scaled == pytest.approx(plain, rel=1e-6)


@pytest.mark.parametrize("every", [1, 4, 30])
@pytest.mark.parametrize("kappa", [0.0, 0.3, 3.9])
def test_moves_are_bounded(kappa: float, every: int) -> None:
    path = play(lambda effort: kappa, every=every, iterations=300, limits=(1e-9, 1e9), rates=(1e-9, 1e9))
    for (ratio, rate), (next_ratio, next_rate) in pairwise(path):
        assert abs(math.log(next_ratio / ratio)) <= 2 * LAW.gain * every + 2 * LAW.dither + 1e-9
        assert abs(math.log(next_rate / rate)) <= min(2 * LAW.rate_gain * every, 1.0) + 1e-9


def test_a_decision_over_very_many_iterations_is_quick_and_arrives() -> None:
    low = state(0.3, 1.0, position=math.log(0.25))
    for law, iterations in ((LAW, 10**15), (replace(LAW, gain=1e-5), 10**6)):
        now, ratio, rate = law.update(low, seen(0.3, 1.0, iterations), 0.25, 8.0)
        assert law.target(now, 8.0) * math.exp(now.offset) == pytest.approx(ratio, rel=1e-3)
        assert 8.0 / math.e <= rate <= 8.0 * math.e


def test_the_first_observation_sets_the_averages() -> None:
    now, _, _ = LAW.update(FRESH, Observation((0.2, 3.0), (0.5, 10.0)), 1.0, 8.0)
    assert now[:4] == (0.2, 0.5, 3.0, 10.0)
    assert now.observed == 1


def test_a_decision_over_k_iterations_does_about_what_k_decisions_do() -> None:
    for kappa in (lambda effort: 2.0 / (1.0 + effort), lambda effort: 0.3):
        single, joint = play(kappa, ratio=2.0), play(kappa, ratio=2.0, every=3)
        assert joint[-1][1] == pytest.approx(single[-1][1], rel=0.1)
        assert middle(joint) == pytest.approx(middle(single), rel=0.15)


def test_a_decision_of_delay_does_not_swap_the_halves() -> None:
    now, ratio, rate, past = LAW.init(1.0), 1.0, 2.0, [1.0, 1.0]
    for _ in range(200):
        now, ratio, rate = LAW.update(now, seen(lag(past[-2]), 1.0, 10), ratio, rate)
        rate = min(max(rate, 1.0), 4.0)
        past.append(ratio * rate)
    assert rate == 4.0


def test_a_ratio_held_at_a_bound_stays_there() -> None:
    path = play(lambda effort: 0.0, limits=(1.0, 20.0))
    assert {ratio for ratio, _ in path[60:]} == {1.0}


def test_the_middle_follows_a_ratio_that_others_set() -> None:
    for ratio, offset, expected in ((5.0, 0.4, math.log(5.0) - 0.4), (0.1, -0.4, math.log(0.1) + 0.4)):
        now, _, _ = LAW.update(state(0.0, 1.0, offset=offset), seen(0.0, 1.0), ratio, 4.0)
        assert now.position == pytest.approx(expected, abs=2 * LAW.gain)


def test_a_ratio_that_limits_hold_says_nothing_about_effort() -> None:
    pinned = play(lambda effort: 0.3, limits=(1.0, 1.0))
    assert pinned[-1] == (1.0, 16.0)  # a share of 1 - 0.3 / 0.6 stays assumed
    capped = play(lambda effort: 3.0 / (1.0 + effort), limits=(0.25, 3.0), rates=(1.0, 1.0))
    assert all(ratio == 3.0 for ratio, _ in capped[100:])


def test_the_dither_is_symmetric_and_switches_every_ten_iterations() -> None:
    now, ratio = state(0.0, 1.0, position=math.log(0.5)), 0.5
    offsets = []
    for _ in range(40):
        now, ratio, _ = LAW.update(now, seen(0.0, 1.0), ratio, 4.0)
        assert math.log(ratio) == pytest.approx(now.position + now.offset)
        assert math.exp(now.position) == pytest.approx(0.5, rel=1e-6)
        offsets.append(now.offset)
    assert offsets == [*[0.4] * 10, *[-0.4] * 10, *[0.4] * 10, *[-0.4] * 10]


@pytest.mark.parametrize(("every", "decisions"), [(2, 5), (4, 3), (10, 3)])
def test_halves_last_three_decisions_at_least(every: int, decisions: int) -> None:
    now, ratio, offsets = state(0.0, 1.0), 1.0, []
    for _ in range(2 * decisions):
        now, ratio, _ = LAW.update(now, seen(0.0, 1.0, every), ratio, 4.0)
        offsets.append(now.offset)
    assert offsets == [*[0.4] * decisions, *[-0.4] * decisions]


def test_iterations_right_after_a_switch_are_not_compared() -> None:
    for since in range(5):
        now, _, _ = LAW.update(state(0.1, 1.0, offset=0.4, other=-0.8, since=since), seen(0.3, 1.0), 1.0, 8.0)
        assert now.product == (pytest.approx(0.08) if since >= 3 else 0.0)
        assert now.square == (pytest.approx(0.16) if since >= 3 else 0.0)


@pytest.mark.parametrize(
    ("offset", "other", "distance"),
    [
        (0.4, -0.8, 0.4),
        (0.4, -0.2, 0.1),  # limits cut the other half
        (0.4, -9.0, 0.4),  # the ratio moved between the halves: that is not the dither
        (0.4, 0.5, 0.0),
        (-0.4, 0.8, -0.4),
        (-0.4, 0.2, -0.1),
        (-0.4, -0.5, 0.0),
    ],
)
def test_only_what_the_dither_did_is_compared(offset: float, other: float, distance: float) -> None:
    before = state(0.1, 1.0, offset=offset, other=other, since=5)
    now, _, _ = LAW.update(before, seen(0.3, 1.0), 1.0, 8.0)
    assert now.product == pytest.approx(distance * 0.2)
    assert now.square == pytest.approx(distance**2)
    outlier, _, _ = LAW.update(before, seen(3.9, 1.0), 1.0, 8.0)
    assert outlier.product == pytest.approx(distance)  # one outlier says no more than this


def test_it_is_a_pure_function_whose_state_survives_json() -> None:
    now, ratio, rate = LAW.init(1.0), 1.0, 8.0
    for count in range(50):
        observation = seen(0.1 + 0.05 * math.sin(count), 1.0 + 0.1 * math.cos(count))
        result = LAW.update(now, observation, ratio, rate)
        read = CriticEffortState(*json.loads(json.dumps(now)))
        assert read == now
        assert LAW.update(read, observation, ratio, rate) == result
        now, ratio, rate = result


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("setpoint", 0.0, "above 0"),
        ("setpoint", 1.0, "below 1"),
        ("base", 0.0, "above 0"),
        ("contrast", -1.0, "at least 0"),
        ("dither", 0.0, "above 0"),
        ("dither", 1.5, "at most 1"),
        ("saturation", 0.0, "above 0"),
        ("gain", 0.0, "above 0"),
        ("gain", 1.5, "at most 1"),
        ("rate_gain", 0.0, "above 0"),
        ("rate_gain", 1.5, "at most 1"),
        ("window", 0.5, "at least 1"),
        ("memory", math.nan, "finite"),
        ("memory", 0.0, "at least 1"),
        ("warmup", -1, "at least 0"),
    ],
)
def test_a_field_out_of_range_is_quoted(field: str, value: float, words: str) -> None:
    with pytest.raises(ValueError, match=f"{field}={value!r}.*{words}"):
        replace(LAW, **{field: value})  # type: ignore[arg-type]


def test_a_field_of_the_wrong_type_is_refused() -> None:
    with pytest.raises(TypeError, match="warmup=2.0"):
        CriticEffortLaw(warmup=2.0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="gain='fast'"):
        CriticEffortLaw(gain="fast")  # type: ignore[arg-type]
    assert CriticEffortLaw(window=30).window.hex() == (30.0).hex()
