"""Statistics against closed forms, brute force, and a suite whose answers are known."""

from __future__ import annotations

import dataclasses
import doctest
import importlib
import itertools
import math
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats

from experiments.schema import TARGETS, BestFixed, BestPair, ContenderRecord, Results, Suite
from experiments.statistics import (
    BEST_FIXED,
    OWN_MEAN,
    SHARES,
    Goal,
    Table,
    best_pairs,
    calibrate,
    compare,
    cost_to_target,
    interquartile_mean,
    log_ratio,
    mean_ratio,
    median_task,
    performance_profile,
    probability_of_improvement,
    quality_at_cost,
    share_of_tasks,
    task_estimate,
    verdict,
)
from tests.experiments import synthetic
from tests.experiments.synthetic import CONTENDERS, paired_story, run, story, task

finite = st.floats(-3, 3)
samples = st.integers(2, 6).flatmap(
    lambda runs: st.lists(st.lists(finite, min_size=2, max_size=2), min_size=runs, max_size=runs)
)


@pytest.mark.parametrize("module", ["aggregates", "measures", "resampling", "robust"])
def test_examples_in_docstrings(module: str) -> None:
    found = doctest.testmod(importlib.import_module(f"experiments.statistics.{module}"))
    assert found.attempted > 0
    assert found.failed == 0


# Cost to target


@pytest.mark.parametrize(
    ("quality", "expected"),
    [
        ([9, 9, 9, 9], (80.0, False)),
        ([1, 1, 9, 9], (10.0, True)),
        ([3, 3, 3, 3], (10.0, True)),  # at the target is enough
        ([1, 9, 1, 9], (80.0, False)),  # two lucky evaluations that do not follow each other
        ([9, 9, 9, 1], (80.0, False)),  # nothing confirms the last one
        ([9, 9, 1, 1], (30.0, True)),
        ([1, math.nan, 1, 2], (30.0, True)),
        ([math.nan] * 4, (80.0, False)),
        ([-math.inf] * 4, (80.0, False)),
    ],
)
def test_cost_to_target(quality: list[float], expected: tuple[float, bool]) -> None:
    assert cost_to_target([10, 20, 30, 40], quality, target=3, budget=40) == expected


@given(st.lists(st.one_of(st.floats(0, 2), st.just(math.nan)), max_size=8))
def test_cost_to_target_is_what_a_loop_finds(quality: list[float]) -> None:
    expected = (16.0, False)
    for k in range(len(quality) - 1):
        if quality[k] <= 1 and quality[k + 1] <= 1:
            expected = (k + 1.0, True)
            break
    assert cost_to_target(np.arange(1, len(quality) + 1), quality, target=1, budget=8) == expected


def test_cost_to_target_refuses_bad_input() -> None:
    with pytest.raises(ValueError, match=r"\(2,\) and \(1,\)"):
        cost_to_target([1, 2], [1], 1, 1)
    with pytest.raises(ValueError, match="target=0"):
        cost_to_target([1], [1], 0, 1)


# Quality at equal cost


def test_quality_at_cost_takes_the_nearest_grid_point_and_the_median_of_three() -> None:
    cost, quality = [10.0, 22.0, 30.0, 41.0, 50.0], [9.0, 2.0, 6.0, 4.0, 0.0]
    assert quality_at_cost(cost, quality, at=40, grid=10) == 4.0  # 41 counts as the grid point 40: median of 2, 6, 4
    assert quality_at_cost(cost, quality, at=40, grid=10, window=1) == 4.0
    assert quality_at_cost(cost, quality, at=20, grid=10) == 5.5
    assert quality_at_cost(cost, quality, at=2, grid=10) == math.inf


def test_quality_at_cost_of_a_run_that_stopped_or_diverged() -> None:
    assert quality_at_cost([10, 20], [1, 1], at=40, grid=10) == math.inf
    assert quality_at_cost([], [], at=40, grid=10) == math.inf
    assert quality_at_cost([10, 20, 30], [1.0, math.nan, 2.0], at=30, grid=10) == 2.0
    assert quality_at_cost([10, 20, 30], [1.0, math.nan, math.nan], at=30, grid=10) == math.inf
    with pytest.raises(ValueError, match="window=0"):
        quality_at_cost([1], [1], 1, 1, window=0)


# Ratios and their averages


def test_log_ratio_cuts_and_ties() -> None:
    got = np.exp(log_ratio([1, math.inf, 1, math.inf, 1000, 0, 0], [2, 1, math.inf, math.inf, 1, 1, -1]))
    assert_allclose(got, [0.5, 100, 0.01, 1, 100, 0.01, 1])
    with pytest.raises(ValueError, match="without NaN"):
        log_ratio([math.nan], [1.0])


@given(samples)
def test_task_estimate_is_symmetric_and_its_interval_holds_it(sample: list[list[float]]) -> None:
    there, back = task_estimate(sample), task_estimate(-np.array(sample))
    assert_allclose(there.value * back.value, 1)
    assert there.low <= there.value * (1 + 1e-12)
    assert there.high >= there.value * (1 - 1e-12)
    by_hand = np.median([row[0] for row in sample]) + np.median([row[1] for row in sample])
    assert_allclose(there.value, math.exp(by_hand / 2))


def test_interval_of_a_mean_is_the_exact_bootstrap_distribution() -> None:
    # Three rows have 27 equally likely resamples: the percentile interval of 2000 draws has to end at their
    # extremes.
    rows = np.log([[1.0], [2.0], [8.0]])
    means = sorted(np.mean(rows[list(pick)]) for pick in itertools.product(range(3), repeat=3))
    found = task_estimate(rows, average="mean")
    assert_allclose(found.value, (1 * 2 * 8) ** (1 / 3))
    assert_allclose([found.low, found.high], np.exp([means[0], means[-1]]))


def test_interval_of_many_seeds_agrees_with_the_normal_law() -> None:
    rng = np.random.default_rng(3)
    rows = rng.normal(0.2, 0.5, size=(400, 1))
    found = task_estimate(rows, average="mean")
    half = 1.96 * rows.std() / math.sqrt(400)
    assert_allclose(np.log([found.low, found.high]), [rows.mean() - half, rows.mean() + half], atol=0.006)


def test_both_targets_of_a_seed_are_drawn_together() -> None:
    # The targets cancel within every seed, so a resample of whole seeds can't vary; one of single entries
    # would.
    rows = np.array([[1.0, -1.0], [2.0, -2.0], [-3.0, 3.0], [0.5, -0.5]])
    found = task_estimate(rows, average="mean")
    assert_allclose([found.low, found.value, found.high], 1)


def test_one_seed_has_a_value_and_no_interval() -> None:
    found = task_estimate([[math.log(3)]])
    assert_allclose(found.value, 3)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert math.isnan(mean_ratio([[[0.0]], [[0.0], [1.0]]]).low)


def test_same_seed_same_interval() -> None:
    rows = np.random.default_rng(0).normal(size=(7, 2))
    assert task_estimate(rows) == task_estimate(rows)
    assert task_estimate(rows) != task_estimate(rows, seed=1)


def test_mean_ratio_weighs_tasks_alike_whatever_their_seeds() -> None:
    few, many = np.full((2, 2), math.log(4)), np.zeros((50, 2))
    found = mean_ratio([few, many])
    assert_allclose([found.low, found.value, found.high], 2)
    with pytest.raises(ValueError, match="no task"):
        mean_ratio([])


def test_resampling_tasks_widens_the_interval_to_the_tasks_themselves() -> None:
    tasks = [np.full((3, 1), math.log(r)) for r in (0.25, 1.0, 4.0)]
    assert_allclose([mean_ratio(tasks).low, mean_ratio(tasks).high], 1)
    wide = mean_ratio(tasks, resample_tasks=True)
    assert_allclose([wide.low, wide.value, wide.high], [0.25, 1, 4])


def test_averages_refuse_bad_samples() -> None:
    with pytest.raises(ValueError, match="shape"):
        task_estimate([1.0, 2.0])
    with pytest.raises(ValueError, match="finite"):
        task_estimate([[math.inf]])
    with pytest.raises(ValueError, match="'mode'"):
        task_estimate([[1.0]], average="mode")


def test_share_of_tasks() -> None:
    tasks = [np.log([[r], [r]]) for r in (0.5, 1.0, 0.9, 2.0)]
    found = share_of_tasks(tasks)
    assert (found.low, found.value, found.high) == (0.5, 0.5, 0.5)  # exactly 1 is no win
    torn = share_of_tasks([np.log([[0.5], [0.5], [3.0]])])
    assert (torn.low, torn.value, torn.high) == (0.0, 1.0, 1.0)


# Aggregates that a few extreme runs do not move, against Agarwal and others 2021 and scipy


def column(values: Iterable[float]) -> list[list[float]]:
    return [[value] for value in values]


@given(st.lists(st.integers(0, 4), min_size=2, max_size=6), st.data())
def test_probability_of_improvement_is_mann_whitney(x: list[int], data: st.DataObject) -> None:
    y = data.draw(st.lists(st.integers(0, 4), min_size=len(x), max_size=len(x)))
    u = stats.mannwhitneyu(y, x, method="asymptotic").statistic if len(set(x + y)) > 1 else len(x) ** 2 / 2
    there = probability_of_improvement([column(x)], [column(y)])
    back = probability_of_improvement([column(y)], [column(x)])
    assert_allclose(there.value, u / len(x) ** 2)
    assert_allclose([there.value + back.value, there.low + back.high, there.high + back.low], 1)


def test_probability_of_improvement_of_a_matrix_is_the_mean_over_tasks_of_mann_whitney() -> None:
    # The paper's definition: P(X > Y) per task by the U statistic, then the mean; here lower is better.
    rng = np.random.default_rng(8)
    x, y = rng.integers(0, 9, size=(2, 5, 7, 2)).astype(float)
    by_scipy = [
        stats.mannwhitneyu(y[task, :, target], x[task, :, target]).statistic / 49
        for task, target in itertools.product(range(5), range(2))
    ]
    assert_allclose(probability_of_improvement(list(x), list(y)).value, np.mean(by_scipy))


def test_probability_of_improvement_averages_tasks_and_takes_infinities() -> None:
    found = probability_of_improvement(
        [column([1, 1]), column([math.inf] * 2)], [column([2, 2]), column([math.inf] * 2)]
    )
    assert (found.low, found.value, found.high) == (0.75, 0.75, 0.75)
    with pytest.raises(ValueError, match="paired"):
        probability_of_improvement([column([1, 2])], [column([1])])
    with pytest.raises(ValueError, match=r"\(2,\)"):
        probability_of_improvement([[1, 2]], [[1, 2]])
    with pytest.raises(ValueError, match="paired"):
        probability_of_improvement([], [])


def test_interval_of_the_probability_is_that_of_scipys_paired_bootstrap() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(0, 1, 30), rng.normal(0.4, 1, 30)

    def by_scipy(a: np.ndarray, b: np.ndarray) -> float:
        return float(stats.mannwhitneyu(b, a).statistic) / len(a) ** 2

    slow = stats.bootstrap(
        (x, y),
        by_scipy,
        paired=True,
        vectorized=False,
        method="percentile",
        n_resamples=800,
        rng=np.random.default_rng(1),
    ).confidence_interval
    found = probability_of_improvement([column(x)], [column(y)])
    # Two bootstraps of 800 and 2000 resamples: their ends differ by less than a tenth of the interval.
    assert_allclose([found.low, found.high], [slow.low, slow.high], atol=0.1 * (slow.high - slow.low))


def test_both_targets_of_a_seed_are_drawn_together_for_the_probability() -> None:
    # What one target wins in a seed the other loses, so resamples of whole seeds can't vary; of single entries they do.
    x = np.array([[0.0, 2.0], [2.0, 0.0], [0.0, 2.0], [2.0, 0.0]])
    found = probability_of_improvement([x], [np.ones((4, 2))])
    assert_allclose([found.low, found.value, found.high], 0.5)


@given(st.lists(finite, min_size=4, max_size=12).filter(lambda v: len(v) % 4 == 0))
def test_interquartile_mean_cuts_a_quarter_at_each_end(values: list[float]) -> None:
    quarter = len(values) // 4
    middle = sorted(values)[quarter:-quarter]
    assert_allclose(interquartile_mean([column(values)]).value, math.exp(np.mean(middle)))


def test_interquartile_mean_pools_tasks() -> None:
    found = interquartile_mean([np.log([[1e-9], [2.0]]), np.log([[2.0], [1e9]])])
    assert_allclose(found.value, 2)
    with pytest.raises(ValueError, match="no task"):
        interquartile_mean([])


def test_interquartile_mean_and_its_interval_are_scipys() -> None:
    rows = np.random.default_rng(6).standard_t(2, size=(20, 3, 2))
    found = interquartile_mean([rows[:, task] for task in range(3)])
    assert_allclose(found.value, np.exp(stats.trim_mean(rows, 0.25, axis=None)))
    resampled = np.random.default_rng(2).integers(20, size=(2000, 3, 20))
    pooled = np.concatenate([rows[resampled[:, task], task].reshape(2000, -1) for task in range(3)], axis=1)
    ends = np.quantile(stats.trim_mean(pooled, 0.25, axis=1), [0.025, 0.975])
    assert_allclose(np.log([found.low, found.high]), ends, atol=0.05 * (ends[1] - ends[0]))


@given(samples, samples)
def test_interquartile_mean_weighs_tasks_alike_whatever_their_seeds(
    one: list[list[float]], two: list[list[float]]
) -> None:
    # Repeated until both have as many rows, and four times over: then the published definition needs no parts of runs.
    even = np.vstack([np.repeat(one, 4 * len(two), axis=0), np.repeat(two, 4 * len(one), axis=0)])
    assert_allclose(interquartile_mean([one, two]).value, np.exp(stats.trim_mean(even, 0.25, axis=None)))


def test_median_task() -> None:
    tasks = [np.log([[r, r], [r, r], [9.0, 9.0]]) for r in (0.5, 1.0, 0.8, 3.0, 20.0)]
    assert_allclose(median_task(tasks).value, 1.0)
    assert_allclose(median_task(tasks[:4]).value, math.sqrt(0.8))
    level = median_task([np.log([[r], [r]]) for r in (0.5, 2.0, 16.0)])
    assert_allclose([level.low, level.value, level.high], 2.0)
    assert median_task(tasks).high > 1.0  # a resample may hold the odd row twice
    with pytest.raises(ValueError, match="no task"):
        median_task([])


# Performance profiles


def test_performance_profile_is_what_a_loop_finds() -> None:
    rng = np.random.default_rng(5)
    cost, reached = rng.uniform(1, 9, size=(6, 3)), rng.random((6, 3)) < 0.7
    reached[0] = False
    factors = [1.0, 1.5, 4.0]
    for c, f in itertools.product(range(3), range(3)):
        within = 0
        for p in range(6):
            best = min((cost[p, k] for k in range(3) if reached[p, k]), default=0.0)
            within += bool(reached[p, c] and cost[p, c] <= factors[f] * best)
        assert_allclose(performance_profile(cost, reached, factors)[c, f], within / 6)


def test_performance_profile_refuses_other_shapes() -> None:
    with pytest.raises(ValueError, match="problems, contenders"):
        performance_profile([1.0], [True], [1.0])


# Scores and comparisons of the known suite


def test_scores_of_a_failed_a_diverged_and_an_unreached_run() -> None:
    table = Table.of(story())
    failed = table.scores["loses", "fixed_5"]
    assert failed.cost[2].tolist() == [8.0, 200.0]  # it had reached the early target before it broke
    assert failed.quality[2].tolist() == [math.inf] * len(SHARES)
    assert failed.bad.tolist() == [False, False, True, False]
    diverged = table.scores["loses", "wasserstein_gap"]
    assert diverged.cost[1].tolist() == [32.0, 200.0]
    assert diverged.reached[1].tolist() == [True, False]
    assert diverged.bad.tolist() == [False, True, False, False]
    assert table.scores["loses", "wgan_reference"].bad.all()


def test_a_run_that_reached_its_target_and_broke_later_is_bad_all_the_same() -> None:
    runs = (run("wins", "fixed_2", 1, 4, 8, diverged=True), run("wins", "fixed_2", 2, 4, 8, failed=True, stop=50))
    found = Table.of(Results(story().suite, runs)).scores["wins", "fixed_2"]
    assert found.reached.all()
    assert found.bad.tolist() == [True, True]


def test_final_and_tuning_seeds_are_never_mixed() -> None:
    results = story()
    assert {s.seeds.tolist()[0] for s in Table.of(results, "tuning").scores.values()} == {0}
    assert all(0 not in s.seeds for s in Table.of(results).scores.values())


def test_development_tasks_show_their_tuning_seeds_where_they_have_no_others() -> None:
    results = story()
    tuned = [r for r in results.runs if r.config.seed_role == "tuning"]
    scores = Table.of(Results(results.suite, tuple(tuned))).scores
    assert {task for task, _ in scores} == {"ring"}
    assert scores["ring", "fixed_2"].seeds.tolist() == [0]
    assert Table.of(results).scores["ring", "fixed_2"].seeds.tolist() == list(synthetic.SEEDS)


def test_published_rules_without_evaluation_runs_share_a_row() -> None:
    results = story()
    kept = [r for r in results.runs if r.config.contender != "ladder"]
    row = next(r for r in verdict(Table.of(Results(results.suite, tuple(kept)))) if "without runs" in r.what)
    assert row.what.endswith("rules without runs on evaluation tasks: Accuracy ladder")
    assert (row.met, row.missing) == (None, ("wins", "loses", "pid"))


def test_rows_by_seed() -> None:
    scores = Table.of(story()).scores["wins", "ttur"]
    assert scores.at([102, 100]).cost[:, 1].tolist() == [12.0, 12.0]
    with pytest.raises(ValueError, match=r"\[103\].*100, 101, 102"):
        scores.at([103])


def test_comparison_with_the_best_fixed_n() -> None:
    results = story()
    tasks = [t for t in results.suite.tasks if t.suite == "evaluation"]
    found = compare(Table.of(results), "wasserstein_gap", BEST_FIXED, tasks)
    assert [t.task for t in found.tasks] == ["wins", "loses", "pid"]
    assert_allclose([t.cost.value for t in found.tasks], [0.5, 4.0, 0.5])
    assert_allclose(found.cost().value, 1.0)
    # One late run of "loses" at 200 instead of 64 against 16: the geometric mean sees it, the median does
    # not.
    assert_allclose(found.cost("mean").value, (200 / 64) ** (1 / 4 / 2 / 3))
    assert found.worst().task == "loses"
    assert found.worst().reached == (4, 3)
    assert found.worst().opponent_reached == (4, 4)
    assert_allclose(found.middle().value, np.exp(np.mean(np.log([0.5] * 10 + [4, 4]))))
    assert_allclose(found.median().value, 0.5)
    # At one pace of every second seed each: on the two won tasks {2, 4, 2, 4} meets {4, 8, 4, 8}: a tie of 4 with 4
    # for a quarter of the pairs, all others won; on the lost one {16, 32} never beats {4, 8}.
    assert_allclose(found.improvement().value, (2 * (3 / 4 + 1 / 8) + 0) / 3)


def test_best_fixed_n_may_differ_between_targets() -> None:
    mixed = dataclasses.replace(task("wins"), best_fixed_n=BestFixed(early=5, late=2, budget=1))
    found = compare(Table.of(story()), "wasserstein_gap", BEST_FIXED, [mixed])
    assert found.tasks[0].opponent == ("fixed_5", "fixed_2", "fixed_1")
    assert_allclose([e.value for e in found.tasks[0].per_target], [4 / 16, 4 / 8])


def test_seeds_that_one_of_the_two_lacks_are_left_out_and_counted() -> None:
    results = story()
    found = compare(Table.of(results), "wasserstein_gap", "ttur", results.suite.tasks)
    assert [(t.pairs, t.unpaired) for t in found.tasks] == [(3, 1)] * 4


def test_tasks_without_an_opponent_are_missing_not_won() -> None:
    results = story()
    found = compare(Table.of(results), "wasserstein_gap", "ladder", results.suite.tasks)
    assert found.missing == ("pid",)
    assert compare(Table.of(results), "ladder", OWN_MEAN, results.suite.tasks).missing == (
        "wins",
        "loses",
        "pid",
        "ring",
    )
    with pytest.raises(ValueError, match="unknown contender 'nobody'"):
        compare(Table.of(results), "nobody", "ladder", results.suite.tasks)


def test_contenders_with_runs_everywhere() -> None:
    table = Table.of(story())
    assert "ladder" in table.contenders(["wins", "loses"])
    assert "ladder" not in table.contenders(["wins", "pid"])
    assert table.contenders([]) == []


# The verdict


def test_verdict_of_the_known_suite() -> None:
    rows = {row.what.split(": ", 1)[-1]: row for row in verdict(Table.of(story()))}
    mean = rows["cost against the best fixed n, geometric mean over tasks and both targets"]
    assert mean.figure is not None
    assert_allclose(mean.figure.value, 1.0)
    assert (mean.met, mean.fell_short, mean.tasks) == (False, ("loses",), 3)
    worst = rows["cost against the best fixed n, worst task"]
    assert (worst.met, worst.fell_short) == (False, ("loses",))
    five = rows["cost against n = 5, geometric mean"]
    assert five.figure is not None
    assert_allclose(five.figure.value, (1 / 4 * 2 * 1 / 4) ** (1 / 3))
    assert five.met
    ladder = rows["cost against Accuracy ladder, share of tasks below 1"]
    assert ladder.figure is not None
    assert (ladder.figure.value, ladder.met, ladder.missing) == (0.5, False, ("pid",))
    own = rows["cost against its own mean n held fixed, share of tasks with an interval below 1"]
    assert own.figure is not None
    assert_allclose(own.figure.value, 2 / 3)
    assert (own.met, own.fell_short) == (True, ("loses",))
    quality = rows["quality at equal cost against the best fixed n, worst task"]
    assert (quality.met, quality.fell_short) == (False, ("loses",))
    safe = rows["runs that diverged, failed or never reached the late target"]
    assert safe.figure is not None
    assert_allclose(safe.figure.value, 1 / 12)
    assert (safe.met, safe.fell_short) == (False, ("loses",))
    assert safe.note == "1 of 12 runs; safest fixed n: n = 1, 0 of 12"
    pid = rows["cost against the best fixed n on objectives with a loss ratio, geometric mean"]
    assert pid.figure is not None
    assert (pid.met, pid.tasks) == (True, 1)
    assert_allclose(pid.figure.value, 1)


def test_development_tasks_are_in_no_row() -> None:
    results = story()
    only = [r for r in results.runs if r.config.suite == "evaluation"]
    assert verdict(Table.of(results)) == verdict(Table.of(Results(results.suite, tuple(only))))


def test_verdict_without_results_says_so() -> None:
    rows = verdict(Table.of(Results(story().suite, ())))
    assert len(rows) == 9
    assert all(row.met is None and row.figure is None and row.note == "no results" for row in rows)
    assert verdict(Table.of(Results(Suite((), ()), ()))) == []


def test_verdict_of_a_single_seed_uses_the_figure_where_no_interval_is() -> None:
    results = story()
    rows = verdict(
        Table.of(Results(results.suite, tuple(r for r in results.runs if r.config.seed == synthetic.SEEDS[0])))
    )
    worst = next(row for row in rows if "worst task" in row.what and "cost against" in row.what)
    assert worst.figure is not None
    assert math.isnan(worst.figure.low)
    assert worst.fell_short == ("loses",)
    own = next(row for row in rows if "own mean" in row.what)
    assert own.met is False  # an interval that is not there excludes nothing


# The goals of the law on rate and number


def effort_rows(results: Results) -> dict[str, Goal]:
    return {row.what: row for row in verdict(Table.of(results))}


def test_goals_of_rate_and_number() -> None:
    rows = effort_rows(paired_story())
    best = rows["cost against the best fixed n at the task's rates, geometric mean"]
    pair = rows["cost against the best constant pair of each task in hindsight, geometric mean"]
    assert best.figure is not None
    assert pair.figure is not None
    # Costs 2 and 2 early, 2 and 4 late; the best fixed n's 4 and 8, 8 and 16; the pair's 2 and 4, 4 and 6.
    assert_allclose([best.figure.value, pair.figure.value], [(0.5 * 0.25) ** 0.25 * 0.25**0.5, (1 / 2 / 3) ** 0.25])
    assert (best.met, best.tasks, pair.met, pair.tasks) == (True, 3, True, 3)
    assert rows["cost against n = 5 at the task's rates, geometric mean"].met
    safe = rows["runs that diverged, failed or never reached the late target"]
    assert (safe.met, safe.note) == (True, "0 of 12 runs; safest constant: n = 1, 0 of 12")
    every = rows["cost against every constant pair, one for all tasks, geometric mean"]
    assert every.note == "closest: n = 1, rate x 4, of 4 constants that ran on all these tasks"
    assert (every.met, every.tasks) == (True, 3)
    quality = rows["quality at equal cost against the best fixed n, worst task"]
    assert quality.met
    at_limit = rows["cost against Wasserstein gap where rates are at their limit already, worst task"]
    assert (at_limit.met, at_limit.note) == (None, "no results")  # none of the known suite's tasks is


def test_goals_of_rate_and_number_fall_short() -> None:
    rows = effort_rows(paired_story(effort=60.0, quality=1.2))
    held = {what for what, row in rows.items() if row.met}
    # Worse than all constants, but it does get there in the budget half of the time.
    assert held == set()
    worst = rows["cost against the best fixed n at the task's rates, worst task"]
    assert (worst.met, len(worst.fell_short)) == (False, 3)
    safe = rows["runs that diverged, failed or never reached the late target"]
    assert safe.figure is not None
    assert (safe.figure.value, safe.met) == (0.5, False)


def test_one_pair_for_all_tasks_must_have_run_on_all_of_them() -> None:
    results = paired_story()
    kept = tuple(r for r in results.runs if (r.config.task, r.config.contender) != ("wins", "pair_1x4"))
    rows = effort_rows(Results(results.suite, kept))
    every = rows["cost against every constant pair, one for all tasks, geometric mean"]
    assert every.note.startswith("closest: n = 2, of 3 constants that ran on all these tasks; 1 ran on a part")


def test_tasks_at_their_limit_are_named_by_pattern() -> None:
    results = paired_story(effort=6.0)
    renamed = {"wins": "published-wins", "loses": "two-moons-fast-critic"}
    tasks = tuple(dataclasses.replace(t, name=renamed.get(t.name, t.name)) for t in results.suite.tasks)
    runs = tuple(
        dataclasses.replace(r, config=dataclasses.replace(r.config, task=renamed.get(r.config.task, r.config.task)))
        for r in results.runs
    )
    rows = effort_rows(Results(dataclasses.replace(results.suite, tasks=tasks), runs))
    row = rows["cost against Wasserstein gap where rates are at their limit already, worst task"]
    # 6 over the gap's 4 on the one, over 32 on the other.
    assert (row.met, row.tasks, row.fell_short) == (False, 2, ("published-wins",))


# Calibration


def tuning(final: dict[int, float], late: dict[int, float]) -> Results:
    bare = dataclasses.replace(task("t"), targets=None, best_fixed_n=None)
    runs = [
        run("t", f"fixed_{n}", seed, late[n] / 2, late[n], final[n], role="tuning")
        for n in (1, 2, 5)
        for seed in (0, 1, 2)
    ]
    return Results(Suite((bare,), CONTENDERS), tuple(runs))


def test_calibration_fixes_targets_and_the_best_fixed_n_per_figure() -> None:
    results = tuning(final={1: 1.0, 2: 0.8, 5: 0.9}, late={1: 20.0, 2: 40.0, 5: 60.0})
    found = calibrate(results, results.suite.tasks[0])
    assert found.targets is not None
    assert_allclose([found.targets[name] for name in TARGETS], [2.0, 1.0])
    # 2.0 is reached at half of the late cost, 1.0 at the late cost: n = 1 is the cheapest to both.
    assert found.best_fixed_n == BestFixed(early=1, late=1, budget=2)


def test_calibration_does_not_look_at_final_seeds() -> None:
    results = tuning(final={1: 1.0, 2: 0.8, 5: 0.9}, late={1: 20.0, 2: 40.0, 5: 60.0})
    peek = run("t", "fixed_5", 100, 2, 4, 0.1)
    more = Results(results.suite, (*results.runs, peek))
    assert calibrate(more, results.suite.tasks[0]) == calibrate(results, results.suite.tasks[0])


def test_calibration_breaks_ties_by_the_smaller_n() -> None:
    results = tuning(final={1: 1.0, 2: 1.0, 5: 1.0}, late={1: 20.0, 2: 20.0, 5: 20.0})
    assert calibrate(results, results.suite.tasks[0]).best_fixed_n == BestFixed(1, 1, 1)


PAIRS = tuple(
    ContenderRecord(f"pair_{n}x{m}", f"n = {n}, x {m}", "pair", rate=m) for n, m in ((1, 4), (2, 2), (2, 8), (5, 2))
)


def with_pairs(late: dict[str, float], final: float = 1.0, of: str = "t") -> Results:
    results = tuning(final={1: 1.0, 2: 1.0, 5: 1.0}, late={1: 20.0, 2: 40.0, 5: 60.0})
    pairs = [run("t", f"pair_{k}", s, late[k] / 2, late[k], final, role="tuning") for k in late for s in (0, 1, 2)]
    return Results(Suite(results.suite.tasks, CONTENDERS + PAIRS), (*results.runs, *pairs))


def test_the_best_pair_is_the_cheapest_of_all_constants() -> None:
    results = with_pairs({"1x4": 12.0, "2x2": 30.0, "2x8": 8.0, "5x2": 50.0})
    found = calibrate(results, results.suite.tasks[0])
    assert found.best_fixed_n == BestFixed(1, 1, 1)
    assert found.best_pair == BestPair(early="pair_2x8", late="pair_2x8", budget="fixed_1")  # a tie goes to smaller n
    # Where no pair is better, n alone is the best pair: the rate is then times 1.
    worse = with_pairs({"1x4": 90.0, "2x2": 90.0, "2x8": 90.0, "5x2": 90.0}, final=2.0)
    assert calibrate(worse, worse.suite.tasks[0]).best_pair == BestPair("fixed_1", "fixed_1", "fixed_1")


def test_pairs_that_did_not_run_are_left_out_and_others_need_all_seeds() -> None:
    results = with_pairs({"1x4": 12.0, "2x2": 30.0})
    assert calibrate(results, results.suite.tasks[0]).best_pair == BestPair("pair_1x4", "pair_1x4", "fixed_1")
    fewer = Results(results.suite, tuple(r for r in results.runs if r.identity != "t/pair_2x2/tuning/0"))
    with pytest.raises(ValueError, match=r"t: pairs need the tuning seeds of every fixed n.*pair_2x2: \[1, 2\]"):
        calibrate(fewer, fewer.suite.tasks[0])
    without = tuning(final={1: 1.0, 2: 1.0, 5: 1.0}, late={1: 20.0, 2: 40.0, 5: 60.0})
    none = Results(Suite(without.suite.tasks, CONTENDERS + PAIRS), without.runs)
    assert calibrate(none, none.suite.tasks[0]).best_pair is None


def test_the_best_pairs_over_all_tasks_are_those_with_the_lowest_mean_ratio() -> None:
    results = with_pairs({"1x4": 12.0, "2x2": 30.0, "2x8": 8.0, "5x2": 50.0})
    aimed = calibrate(results, results.suite.tasks[0])
    found = Results(dataclasses.replace(results.suite, tasks=(aimed,)), results.runs)
    assert best_pairs(found) == ("pair_2x8", "pair_1x4", "pair_2x2")
    # Twice as costly on another task outweighs a third saved on this one.
    other = dataclasses.replace(aimed, name="other")
    costs = {"1x4": 8.0, "2x2": 30.0, "2x8": 24.0, "5x2": 50.0}
    more = [run("other", f"pair_{k}", s, c / 2, c, 1.0, role="tuning") for k, c in costs.items() for s in (0, 1, 2)]
    more += [
        run("other", f"fixed_{n}", s, 10.0 * n, 20.0 * n, 1.0, role="tuning") for n in (1, 2, 5) for s in (0, 1, 2)
    ]
    both = Results(dataclasses.replace(results.suite, tasks=(aimed, other)), (*results.runs, *more))
    assert best_pairs(both) == ("pair_1x4", "pair_2x8", "pair_2x2")
    # A task on which a pair did not run says nothing of that pair, so it is left out for all.
    part = tuple(r for r in both.runs if (r.config.task, r.config.contender) != ("other", "pair_5x2"))
    assert best_pairs(Results(both.suite, part)) == ("pair_2x8", "pair_1x4", "pair_2x2")
    assert best_pairs(Results(Suite((), CONTENDERS + PAIRS), ())) == ()


def test_calibration_refuses_missing_seeds_and_runs_without_quality() -> None:
    results = tuning(final={1: 1.0, 2: 0.8, 5: 0.9}, late={1: 20.0, 2: 40.0, 5: 60.0})
    with pytest.raises(ValueError, match=r"same tuning seeds.*5: \[0, 1\]"):
        calibrate(Results(results.suite, results.runs[:-1]), results.suite.tasks[0])
    broken = tuple(dataclasses.replace(r, curve=run("t", "fixed_1", 0, stop=10).curve) for r in results.runs)
    with pytest.raises(ValueError, match="no fixed n has a finite median quality"):
        calibrate(Results(results.suite, broken), results.suite.tasks[0])
