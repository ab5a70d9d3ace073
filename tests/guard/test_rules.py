"""The divergence rules, with floats."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptive_critic.guard.divergence import DivergenceRules, Judgement
from adaptive_critic.guard.evidence import Evidence, summarise
from adaptive_critic.guard.rules import RulesState, Verdict
from tests.streams import streams

Columns = Mapping[str, Sequence[float]]

# Multiples of 1/64 within 2**20: differences of such numbers are exact in floating point.
exact = st.integers(-(2**20), 2**20).map(lambda k: k / 64)
finite = st.floats(-1e6, 1e6)


def judge(
    rules: DivergenceRules, checks: Sequence[Columns], updates: Sequence[Columns] | None = None
) -> tuple[list[Judgement], RulesState]:
    state, judgements = rules.init(), []
    for columns, moved in zip(checks, updates or [{}] * len(checks), strict=True):
        state, judgement = rules.update(state, summarise(columns, moved))
        judgements.append(judgement)
    return judgements, state


def verdicts(rules: DivergenceRules, checks: Sequence[Columns]) -> list[Verdict | None]:
    return [judgement.verdict for judgement in judge(rules, checks)[0]]


def scores(real: Sequence[float], fake: Sequence[float]) -> Columns:
    return {"d_real": real, "d_fake": fake, "d_loss": [f - r for r, f in zip(real, fake, strict=True)]}


def noisy(level: float, rng: random.Random, iterations: int = 10) -> Columns:
    """Scores of a critic with about this gap."""
    return scores(
        [level + rng.gauss(0, 0.1) for _ in range(iterations)], [rng.gauss(0, 0.1) for _ in range(iterations)]
    )


# --- non-finite ---------------------------------------------------------------------------------------------------


@given(
    st.lists(finite, min_size=1, max_size=12),
    st.sampled_from([math.nan, math.inf, -math.inf]),
    st.sampled_from(["d_real", "d_fake", "d_loss", "g_loss", "g_fake", "d_real_std"]),
    st.data(),
)
def test_one_bad_value_is_found_at_once_wherever_it_is(
    values: list[float], bad: float, name: str, data: st.DataObject
) -> None:
    columns = {key: list(values) for key in ("d_real", "d_fake", "d_loss", "g_loss", "g_fake", "d_real_std")}
    columns[name][data.draw(st.integers(0, len(values) - 1))] = bad
    (verdict,) = verdicts(DivergenceRules(), [columns])
    assert verdict == Verdict("non_finite", f"{name} not finite", {})


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (["g_loss"], "g_loss not finite"),
        (["g_loss", "d_loss"], "g_loss and d_loss not finite"),
        (["d_real", "d_fake", "g_loss"], "d_real, d_fake and g_loss not finite"),
        (["d_real", "d_fake", "g_loss", "d_loss"], "d_real, d_fake, g_loss and d_loss not finite"),
    ],
)
def test_all_names_with_bad_values_are_given(bad: list[str], reason: str) -> None:
    (verdict,) = verdicts(DivergenceRules(), [{key: [1.0, -math.inf] for key in bad} | {"g_fake": [0.0]}])
    assert verdict is not None
    assert verdict.reason == reason


def test_a_sum_that_overflows_is_no_bad_value() -> None:
    assert summarise({"g_loss": [1.7e308, 1.7e308]}).non_finite == ()


def test_bad_values_leave_the_history_alone() -> None:
    rules = DivergenceRules()
    _, before = judge(rules, [scores([1.0, 2.0], [0.0, 0.0])] * 4)
    after, judgement = rules.update(before, summarise(scores([math.nan, 1e9], [0.0, 0.0])))
    assert after.levels == before.levels
    assert not judgement.clean


def test_a_gap_too_large_for_a_float_is_a_bad_value() -> None:
    assert summarise({"d_real": [1e308], "d_fake": [-1e308]}) == Evidence(("gap",), {}, {}, {}, None)
    assert summarise({"g_loss": [math.nan], "d_loss": [1.0]}) == Evidence(("g_loss",), {}, {}, {}, None)


def test_every_level_is_gathered() -> None:
    columns = {"d_real": [5.0, 3.0], "d_fake": [1.0, 0.0], "d_loss": [-6.0], "d_penalty": [7.0, 8.0, 11.0]}
    evidence = summarise(columns)
    assert evidence.levels == {"gap": 3.5, "d_loss": 6.0, "d_penalty": 8.0}
    assert evidence.peaks == {"gap": 4.0, "d_loss": 6.0, "d_penalty": 11.0}


def test_the_spread_is_the_larger_of_the_two() -> None:
    for real, fake in ((1.0, 3.0), (3.0, 1.0)):
        evidence = summarise({"d_real_std": [real], "d_fake_std": [fake]})
        assert (evidence.levels, evidence.peaks) == ({"spread": 3.0}, {"spread": 3.0})


# --- explosion ----------------------------------------------------------------------------------------------------


@given(st.lists(finite, min_size=3, max_size=3), st.integers(1, 80))
def test_constant_streams_are_clean(values: list[float], length: int) -> None:
    real, fake, loss = values
    columns = {"d_real": [real] * 5, "d_fake": [fake] * 5, "d_loss": [loss] * 5, "g_loss": [loss] * 5}
    columns |= {"d_real_std": [abs(real)] * 5, "d_fake_std": [abs(fake)] * 5}
    judgements, _ = judge(DivergenceRules(), [columns] * length)
    assert all(judgement == Judgement(None, clean=True) for judgement in judgements)


@given(
    streams([exact, exact], longest=90, least=1),
    st.integers(1, 5),
    exact,
    st.integers(1, 3),
)
def test_adding_a_constant_to_the_critic_changes_no_judgement(
    iterations: list[tuple[float, float]], every: int, offset: float, patience: int
) -> None:
    checks = [iterations[first : first + every] for first in range(0, len(iterations), every)]
    rules = DivergenceRules(patience=patience, warmup=2, threshold=2.0, floor=0.1)
    plain = [scores(*zip(*check, strict=True)) for check in checks]
    moved = [scores(*zip(*[(r + offset, f + offset) for r, f in check], strict=True)) for check in checks]
    assert judge(rules, moved) == judge(rules, plain)


@given(st.integers(1, 5), st.integers(3, 30), st.sampled_from(["gap", "spread", "d_loss"]))
def test_an_explosion_is_found_after_patience_checks(patience: int, healthy: int, name: str) -> None:
    quiet = {
        "gap": {"d_real": [1.0] * 5, "d_fake": [0.0] * 5},
        "spread": {"d_real_std": [1.0] * 5, "d_fake_std": [0.5] * 5},
        "d_loss": {"d_loss": [1.0] * 5},
    }[name]
    loud = {key: [value * 1e4 for value in values] for key, values in quiet.items()}
    rules = DivergenceRules(patience=patience, warmup=3)
    judgements, _ = judge(rules, [quiet] * healthy + [loud] * patience)
    assert [j.verdict for j in judgements[:-1]] == [None] * (healthy + patience - 1)
    assert [j.clean for j in judgements] == [True] * healthy + [False] * patience
    last = judgements[-1].verdict
    assert last is not None
    assert last.rule == "explosion"
    assert last.values == {name: 1e4, f"{name}_limit": 11.0}


def test_the_limit_is_the_median_and_so_many_deviations() -> None:
    rule = DivergenceRules(threshold=3.0, floor=0.5, relative_floor=0.25).outside_limits
    assert rule.explosion.limit([1.0, 1.0, 1.0]) == 1.0 + 3 * 0.5  # the floor
    assert rule.explosion.limit([8.0, 8.0, 8.0]) == 8.0 + 3 * 2.0  # the share of the median
    assert rule.explosion.limit([0.0, 8.0, 16.0]) == 8.0 + 3 * 8.0  # the median absolute deviation
    assert rule.dead.limit([0.0, 8.0, 16.0]) == 8e-4


@pytest.mark.parametrize(
    ("healthy", "level", "found"), [(5, 11.1, True), (5, 10.9, False), (4, 11.1, False), (4, 1e9, False)]
)
def test_the_defaults_find_a_rise_by_ten_score_units_after_five_checks(healthy: int, level: float, found: bool) -> None:
    judged = verdicts(DivergenceRules(), [{"d_loss": [1.0]}] * healthy + [{"d_loss": [level]}] * 3)
    assert (judged[-1] is not None) is found


def test_a_level_at_the_limit_is_no_explosion_and_one_beyond_is() -> None:
    rules = DivergenceRules(patience=1, warmup=3, threshold=3.0, floor=0.5, relative_floor=0.0)
    quiet = [{"d_loss": [1.0]}] * 3
    assert verdicts(rules, [*quiet, {"d_loss": [2.5]}])[-1] is None
    assert verdicts(rules, [*quiet, {"d_loss": [-2.5625]}])[-1] is not None


def test_suspicious_checks_must_follow_each_other() -> None:
    quiet, loud = {"d_loss": [1.0]}, {"d_loss": [1e6]}
    rules = DivergenceRules(patience=2, warmup=3)
    assert verdicts(rules, [quiet] * 5 + [loud, quiet] * 20) == [None] * 45


def test_suspicious_levels_never_enter_the_history() -> None:
    rules = DivergenceRules(patience=2, warmup=3, window=4)
    _, state = judge(rules, [{"d_loss": [1.0]}] * 3 + [{"d_loss": [1e6]}] * 9)
    assert state.levels == {"d_loss": (1.0, 1.0, 1.0)}
    _, state = judge(rules, [{"d_loss": [float(k)]} for k in range(9)])
    assert state.levels == {"d_loss": (5.0, 6.0, 7.0, 8.0)}


def test_nothing_is_judged_before_the_warmup() -> None:
    rules = DivergenceRules(patience=1, warmup=3)
    loud = {"d_loss": [1e6]}
    assert verdicts(rules, [{"d_loss": [1.0]}, {"d_loss": [1.0]}, loud]) == [None, None, None]


def test_a_warmup_of_one_check_judges_the_second() -> None:
    rules = DivergenceRules(patience=1, warmup=1)
    found = verdicts(rules, [{"d_loss": [1.0]}, {"d_loss": [1e6]}])
    assert [verdict and verdict.rule for verdict in found] == [None, "explosion"]


@pytest.mark.parametrize(("height", "rule"), [(1100.0, None), (1101.0, "spike"), (-1101.0, "spike"), (1e9, "spike")])
def test_a_single_value_is_no_explosion_and_a_spike_if_it_is_large(height: float, rule: str | None) -> None:
    rules = DivergenceRules(patience=1, warmup=3)
    calm, spike = {"d_loss": [1.0] * 5}, {"d_loss": [1.0, 1.0, height, 1.0, 1.0]}
    judgements, _ = judge(rules, [calm] * 3 + [spike, calm])
    assert judgements[-1] == Judgement(None, clean=True)
    verdict, clean = judgements[3]
    assert (verdict and verdict.rule, clean) == (rule, rule is None)
    assert verdicts(rules, [spike] * 3) == [None] * 3  # nothing to compare with


def test_all_spikes_are_given() -> None:
    once = scores([2.0, 2.0, 10002.0], [1.0, 1.0, 2.0])
    verdict = verdicts(DivergenceRules(spike_limit=10), [scores([2.0], [1.0])] * 6 + [once])[-1]
    assert verdict is not None
    assert verdict.values == {"gap": 10000.0, "gap_limit": 110.0, "d_loss": 10000.0, "d_loss_limit": 110.0}
    assert verdict.reason == "gap 1e+04 is beyond 110, d_loss 1e+04 is beyond 110 once"


def test_a_spike_beside_an_explosion_or_a_collapse_is_part_of_it() -> None:
    calm, wild = {"g_loss": [0.0], "d_loss": [1.0] * 5, "d_penalty": [1.0] * 3}, {"d_loss": [99.0] * 5}
    found = verdicts(DivergenceRules(patience=2), [calm] * 6 + [{**wild, "d_penalty": [1.0, 1e9, 1.0]}] * 2)
    assert [verdict and verdict.rule for verdict in found] == [None] * 7 + ["explosion"]
    clear, flat = scores([5.0, 5.5, 5.2], [0.0] * 3), scores([1.0, -1.0, 0.0], [0.0] * 3)
    spike = {**flat, "d_loss": [0.0, 0.0, 1e9]}
    found = verdicts(DivergenceRules(patience=2), [clear] * 6 + [spike] * 3)
    assert [verdict and verdict.rule for verdict in found] == [None] * 6 + ["spike", "collapse", "spike"]


def test_a_critic_that_learns_from_nothing_is_healthy() -> None:
    # A gap that doubles every 30 iterations, to 1000 times the first.
    checks = [scores([0.02 * 2 ** (k / 3)] * 10, [0.0] * 10) for k in range(30)]
    checks += [checks[-1]] * 30
    assert verdicts(DivergenceRules(), checks) == [None] * 60


def test_critic_updates_may_be_absent() -> None:
    rules = DivergenceRules()
    judgements, state = judge(rules, [{"g_loss": [0.5], "g_fake": [0.1]}] * 30)
    assert all(judgement == Judgement(None, clean=True) for judgement in judgements)
    assert state == rules.init()


def test_all_levels_that_are_beyond_their_limits_are_given() -> None:
    verdict = verdicts(DivergenceRules(patience=3), [scores([2.0], [1.0])] * 6 + [scores([101.0], [1.0])] * 3)[-1]
    assert verdict is not None
    assert verdict.values == {"gap": 100.0, "gap_limit": 11.0, "d_loss": 100.0, "d_loss_limit": 11.0}
    assert verdict.reason == "gap 100 is beyond 11, d_loss 100 is beyond 11 at 3 checks in a row"


def test_an_explosion_that_goes_on_is_found_again_after_patience_checks() -> None:
    found = verdicts(DivergenceRules(patience=3), [scores([2.0], [1.0])] * 6 + [scores([101.0], [1.0])] * 9)
    assert [index for index, verdict in enumerate(found) if verdict is not None] == [8, 11, 14]


def test_a_check_that_is_not_finite_is_in_no_row() -> None:
    """Neither of explosions nor of flat gaps: what was counted before it counts no more."""
    rules, broken = DivergenceRules(patience=3), {"g_loss": [math.nan]}
    calm, wild = scores([2.0], [1.0]), scores([101.0], [1.0])
    found = verdicts(rules, [*[calm] * 6, wild, wild, broken, wild, wild, wild])
    assert [index for index, verdict in enumerate(found) if verdict is not None] == [8, 11]
    clear, flat = scores([5.0, 5.5], [0.0, 0.0]), scores([1.0, -1.0], [0.0, 0.0])
    found = verdicts(rules, [*[clear] * 3, flat, flat, broken, flat, flat, flat])
    assert [verdict.rule for verdict in found if verdict is not None] == ["non_finite", "collapse"]
    assert found[8] is not None


# --- a dead critic ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gap", "spread"])
def test_a_critic_that_no_longer_responds_is_found(name: str) -> None:
    alive = {"gap": scores([3.0] * 5, [1.0] * 5), "spread": {"d_real_std": [2.0] * 5, "d_fake_std": [1.0] * 5}}[name]
    dead = {key: [1.0 if key.startswith("d_real") else 1.0 - 1e-4] * 5 for key in alive}
    if name == "spread":
        dead = {key: [1e-4] * 5 for key in alive}
    found = verdicts(DivergenceRules(patience=4, warmup=3), [alive] * 6 + [dead] * 4)
    assert found[:-1] == [None] * 9
    assert found[-1] is not None
    assert found[-1].rule == "dead"
    assert found[-1].values[f"{name}_limit"] == 2e-4


def test_all_levels_that_are_dead_are_given() -> None:
    alive = {**scores([3.0] * 5, [1.0] * 5), "d_real_std": [2.0] * 5, "d_fake_std": [1.0] * 5}
    dead = {key: [1e-5] * 5 for key in alive}
    verdict = verdicts(DivergenceRules(patience=1, warmup=3), [alive] * 6 + [dead])[-1]
    assert verdict is not None
    assert verdict.reason == "gap 0 is below 0.0002, spread 1e-05 is below 0.0002 at 1 checks in a row"


def test_the_loss_of_a_critic_that_always_wins_may_vanish() -> None:
    assert verdicts(DivergenceRules(), [{"d_loss": [1.4]}] * 20 + [{"d_loss": [0.0]}] * 20) == [None] * 40


def test_no_critic_is_dead_with_a_share_of_0() -> None:
    dead = [scores([1.0] * 5, [1.0] * 5)] * 20
    found = verdicts(DivergenceRules(dead=0.0), [scores([3.0] * 5, [1.0] * 5)] * 20 + dead)
    assert {verdict.rule for verdict in found if verdict is not None} == {"collapse"}


# --- collapse -----------------------------------------------------------------------------------------------------


def test_collapse_is_found_once_after_patience_checks() -> None:
    rng = random.Random(0)
    flat = scores([1.0, -1.0] * 5, [0.0] * 10)
    found = verdicts(DivergenceRules(patience=4), [noisy(5.0, rng) for _ in range(10)] + [flat] * 50)
    where = [index for index, verdict in enumerate(found) if verdict is not None]
    assert where == [13]
    verdict = found[13]
    assert verdict is not None
    assert verdict.rule == "collapse"
    assert verdict.values == {"gap": 0.0, "gap_standard_error": pytest.approx(1 / 3)}


def test_collapse_is_found_again_after_a_recovery() -> None:
    rng = random.Random(0)
    flat = scores([1.0, -1.0] * 5, [0.0] * 10)
    episode = [noisy(5.0, rng) for _ in range(3)] + [flat] * 3
    found = verdicts(DivergenceRules(patience=3), episode * 2)
    assert [index for index, verdict in enumerate(found) if verdict is not None] == [5, 11]


def test_a_collapse_that_a_suspicious_level_hid_is_found_after_it() -> None:
    clear, flat = scores([5.0, 5.5], [0.0, 0.0]), scores([1.0, -1.0], [0.0, 0.0])
    loud = {**flat, "d_loss": [1e6] * 2}
    found = verdicts(DivergenceRules(patience=2), [*[clear] * 6, flat, loud, flat, flat])
    assert [(index, verdict.rule) for index, verdict in enumerate(found) if verdict is not None] == [(8, "collapse")]


@pytest.mark.parametrize(
    ("checks", "found"),
    [
        ("ccc fff", [5]),
        ("cc fff", []),  # not clear for patience checks
        ("c f cc fff", []),  # not in a row
        ("ccc ff c ff", []),  # not flat for patience checks in a row
        ("ccc ff c fff", [8]),
        ("ccc fff cc fff", [5]),  # found; not clear for patience checks since then
    ],
)
def test_clear_and_then_flat_for_patience_checks_in_a_row(checks: str, found: list[int]) -> None:
    kinds = {"c": scores([5.0, 5.5], [0.0, 0.0]), "f": scores([1.0, -1.0], [0.0, 0.0])}
    judged = verdicts(DivergenceRules(patience=3), [kinds[kind] for kind in checks.replace(" ", "")])
    assert [index for index, verdict in enumerate(judged) if verdict is not None] == found
    for index in found:
        verdict = judged[index]
        assert verdict is not None
        assert verdict.reason == "the gap 0 is within two standard errors (1) of 0 at 3 checks in a row"


def test_a_critic_that_never_saw_a_difference_has_not_collapsed() -> None:
    flat = scores([1.0, -1.0] * 5, [0.0] * 10)
    assert verdicts(DivergenceRules(patience=1), [flat] * 50) == [None] * 50


def test_two_standard_errors_decide() -> None:
    # Both with a standard error of 1; means of 1.75 and 2.25.
    flat, significant = scores([0.75, 2.75], [0.0, 0.0]), scores([1.25, 3.25], [0.0, 0.0])
    rules = DivergenceRules(patience=1)
    gaps = [summarise(columns).gap for columns in (flat, significant)]
    assert gaps == [pytest.approx((1.75, 1.0)), pytest.approx((2.25, 1.0))]
    assert verdicts(rules, [significant, flat])[-1] is not None
    assert verdicts(rules, [significant, significant])[-1] is None


def test_checks_without_critic_updates_do_not_count_for_collapse() -> None:
    rng = random.Random(0)
    flat, skipped = scores([1.0, -1.0] * 5, [0.0] * 10), {"g_loss": [0.5]}
    start = [noisy(5.0, rng) for _ in range(3)]
    found = verdicts(DivergenceRules(patience=3), [*start, flat, skipped, flat, skipped, flat])
    assert [index for index, verdict in enumerate(found) if verdict is not None] == [7]


def test_arm_lets_a_collapse_be_found_again() -> None:
    rules = DivergenceRules(patience=2)
    flat = summarise(scores([1.0, -1.0] * 5, [0.0] * 10))
    state = rules.arm(rules.init())
    for found in (None, "collapse", None, None, None):
        state, judgement = rules.update(state, flat)
        assert (judgement.verdict and judgement.verdict.rule) == found
    state = rules.arm(state)
    for found in (None, "collapse"):
        state, judgement = rules.update(state, flat)
        assert (judgement.verdict and judgement.verdict.rule) == found


# --- any input ----------------------------------------------------------------------------------------------------

anything = st.floats(allow_nan=True, allow_infinity=True)
columns = st.dictionaries(
    st.sampled_from(["d_real", "d_fake", "d_loss", "g_loss", "g_fake", "d_real_std", "d_fake_std", "d_penalty"]),
    st.lists(anything, min_size=1, max_size=4),
    max_size=5,
)
distance = anything.map(abs)
updates = st.fixed_dictionaries({}, optional={name: st.lists(distance, min_size=1, max_size=2) for name in "gd"})


@given(streams([columns, updates], longest=40))
def test_any_stream_keeps_the_state_bounded_and_finite(drawn: list[tuple[Columns, Columns]]) -> None:
    checks, moves = [seen for seen, _ in drawn], [moved for _, moved in drawn]
    rules = DivergenceRules(patience=2, window=4, warmup=2)
    judgements, state = judge(rules, checks, moves)
    assert 0 <= state.suspicious < 2
    assert 0 <= state.significant <= 2
    assert 0 <= state.flat <= 2
    for values in (*state.levels.values(), *state.updates.values()):
        assert all(0 <= value < math.inf for value in values)
    assert all(len(levels) <= 4 for levels in state.levels.values())
    for sizes in state.updates.values():
        assert len(sizes) <= 2 + 4
        assert list(sizes[2:-1]) == sorted(sizes[2:-1])
    # Judging depends on nothing but what was given.
    assert judge(rules, checks, moves) == (judgements, state)


@given(streams([exact.map(abs)], longest=60), st.integers(1, 3), st.integers(-40, 40))
def test_updates_are_judged_by_the_largest_so_far_and_the_latest_in_any_unit(
    drawn: list[tuple[float]], patience: int, exponent: int
) -> None:
    rules, kept, row = DivergenceRules(patience=patience, window=5, warmup=3), list[float](), 0
    first = 3
    expected = []
    for (size,) in drawn:
        usual = max(sorted(kept)[-2], kept[-1]) if len(kept) >= 3 else math.inf
        beyond = size > max(usual if row else 5.0 * usual, 0.01 / 2.0**exponent)
        row = row + 1 if beyond else 0
        expected.append(row == patience)
        times = 0 if size == 0 else 1 if not beyond else 2 if row == patience else 0
        for latest in [size] * times:
            kept, first = ([*sorted(kept)[-4:], latest], 0) if first == 0 else ([], first - 1)
        row %= patience
    judgements, _ = judge(rules, [{}] * len(drawn), [{"g": [size * 2.0**exponent]} for (size,) in drawn])
    assert [judgement.verdict is not None for judgement in judgements] == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patience": 0}, "patience=0: expected an int of at least 1"),
        ({"patience": -1}, "patience=-1"),
        ({"window": 2}, "window=2: expected an int of at least 3"),
        ({"warmup": 0}, "warmup=0"),
        ({"warmup": 51}, "warmup=51: expected an int of at most window=50"),
        ({"threshold": -1.0}, "threshold=-1.0: expected a number above 0"),
        ({"threshold": math.nan}, "threshold=nan"),
        ({"floor": 0}, "floor=0: expected a number above 0"),
        ({"relative_floor": -0.1}, "relative_floor=-0.1: expected a number at least 0"),
        ({"dead": 1.0}, "dead=1.0: expected a number at least 0 and below 1"),
    ],
)
def test_numbers_out_of_range(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DivergenceRules(**arguments)


@pytest.mark.parametrize("arguments", [{"patience": 2.0}, {"patience": True}, {"threshold": "5"}])
def test_wrong_types(arguments: dict[str, Any]) -> None:
    (name,) = arguments
    with pytest.raises(TypeError, match=f"{name}="):
        DivergenceRules(**arguments)
