"""The report: curves on one grid, tables between markers, PNGs, and the page in a real browser."""

from __future__ import annotations

import argparse
import base64
import dataclasses
import functools
import gzip
import json
import math
import re
import string
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from experiments.plan import suite_record
from experiments.report import add_arguments, build, figures, formatting, report, tables
from experiments.report.averages import AVERAGES, averages, default_opponents, outcome
from experiments.report.data import page_data, profiles
from experiments.report.heat import cells as cells_of
from experiments.report.heat import grid, path
from experiments.report.outcomes import outcomes, tally
from experiments.report.page import pack, render
from experiments.report.palette import HUES, styles
from experiments.report.seeds import Group, groups, seen_note
from experiments.report.series import band, grid_of, on_grid
from experiments.schema import (
    ContenderRecord,
    FormatError,
    Results,
    Samples,
    Suite,
    compact,
    load_results,
    suite_to_json,
    write_json,
)
from experiments.statistics import BEST_FIXED, Estimate, Table, compare
from tests.experiments.browsing import browser, opened, quiet
from tests.experiments.synthetic import CONTENDERS, PACE, SEEDS, paired_story, run, story, task

__all__ = ["browser"]  # a fixture

N_ALONE = Path(__file__).resolve().parents[2] / "experiments" / "results" / "n_alone"
EVIL = '</script><img src=x onerror="window.broken=1">'


def folder(path: Path, results: Results) -> Path:
    write_json(path / "tasks.json", suite_to_json(results.suite))
    if results.runs:
        compact(results.runs, path / "block.jsonl.gz")
    return path


def evil() -> Results:
    """The known suite with names and titles that try to break out of wherever they are shown."""
    results = story((dataclasses.replace(task(EVIL), title=EVIL, note=EVIL, metric=EVIL),))
    named = tuple(dataclasses.replace(c, title=EVIL + c.title, setting={EVIL: EVIL}) for c in results.suite.contenders)
    extra = ContenderRecord(EVIL, "<b>$x_1$</b>", "rival")
    more = [run("wins", EVIL, seed, 4, 8, failed=True) for seed in SEEDS]
    broken = run(EVIL, "fixed_2", 999, 4, 8, samples=Samples("image-grid", '"><script>window.broken=1</script>'))
    more += [dataclasses.replace(broken, error=EVIL, status="failed", versions={EVIL: EVIL})]
    suite = Suite((*results.suite.tasks,), (*named, extra), EVIL)
    return Results(suite, (*results.runs, *more))


@functools.cache
def story_page() -> str:
    return render(story())


@functools.cache
def evil_page() -> str:
    return render(evil())


# Curves


def test_runs_on_one_grid() -> None:
    late = dataclasses.replace(run("wins", "fixed_2", 1).curve, cost=(1.0, 5.0, 6.9), quality=(3.0, math.nan, 1.0))
    curve = dataclasses.replace(
        late, **dict.fromkeys(("signal", "critic_updates", "generator_updates", "cpu_seconds", "n"), late.quality)
    )
    entry = dataclasses.replace(run("wins", "fixed_2", 1), curve=curve)
    grid = np.array([2.0, 4.0, 6.0, 8.0])
    # 5.0 belongs to the grid point 4 (half a step later at most), 6.9 to 6; at 8 the run has ended.
    assert_array_equal(on_grid(entry, "quality", grid), [3, math.inf, 1, math.inf])
    assert_array_equal(on_grid(entry, "n", grid), [3, math.nan, 1, math.inf])
    assert_array_equal(on_grid(entry, "n", np.array([0.5])), [math.nan])


def test_bands_count_what_is_gone_as_the_worst() -> None:
    runs = [run("wins", "fixed_2", seed, 2, 2, final=q) for seed, q in enumerate((1.0, 2.0, 3.0))]
    runs.append(run("wins", "fixed_2", 9, 2, 2, stop=50))
    grid = grid_of(runs)
    assert_allclose([grid[0], grid[-1], len(grid)], [2, 100, 50])
    found = band(runs, "quality", grid)
    assert_allclose([found.low[0], found.middle[0], found.high[0]], [1, 1.5, 3])
    # The fourth has ended: its place is at the end of the order, so the median moves up and the upper quartile is open.
    assert_allclose([found.low[-1], found.middle[-1]], [1, 2.5])
    assert math.isnan(found.high[-1])
    assert_allclose(band(runs, "n", grid).middle, 2)
    assert np.isnan(band([], "n", grid).middle).all()
    assert grid_of([]).size == 0


# Outcomes


def test_outcomes_of_the_known_suite() -> None:
    results = story()
    table = Table.of(results)
    found = {a.contender: a for a in outcomes(results, table, table.tasks("evaluation"))}
    gap = found["wasserstein_gap"]
    assert dataclasses.astuple(gap) == ("wasserstein_gap", 12, 0, 1, 0, 1, 1, 1)
    assert (found["fixed_5"].failed, found["fixed_5"].missed_late) == (1, 1)
    assert (found["wgan_reference"].missed_early, found["wgan_reference"].missed_late) == (0, 4)
    assert found["ladder"].runs == 8
    assert outcomes(results, table, []) == []
    unwatched = dataclasses.replace(
        results, runs=tuple(dataclasses.replace(r, interventions=None) for r in results.runs)
    )
    assert {a.interventions for a in outcomes(unwatched, table, table.tasks("evaluation"))} == {None}


def test_tally_of_the_known_suite() -> None:
    results = story()
    found = tally(compare(Table.of(results), "wasserstein_gap", BEST_FIXED, results.suite.tasks))
    assert (found.won, found.undecided, found.lost) == (("wins", "pid", "ring"), (), ("loses",))
    # Two seeds of three are cheaper: the median is a win, its interval is not.
    torn = [run("wins", "wasserstein_gap", k, late / 2, late) for k, late in enumerate((4.0, 4.0, 16.0))]
    torn += [run("wins", "fixed_2", k, 4.0, 8.0) for k in range(3)]
    open_case = compare(Table.of(Results(results.suite, tuple(torn))), "wasserstein_gap", BEST_FIXED, [task("wins")])
    assert open_case.tasks[0].cost.value == pytest.approx(0.5)
    assert tally(open_case).undecided == ("wins",)
    level = tally(compare(Table.of(results), "gap_mean", BEST_FIXED, results.suite.tasks))
    assert level.undecided == ("wins", "loses", "pid", "ring")


def test_profiles_leave_out_who_did_not_run_everywhere() -> None:
    table = Table.of(story())
    found = profiles(table, table.tasks("evaluation"))
    assert found["excluded"] == ["ladder"]
    assert found["problems"] == 6
    # The gap is the cheapest on two of three tasks; on the third it is 4 times as dear at both targets.
    shares = dict(zip(found["factors"], found["shares"]["wasserstein_gap"], strict=True))
    assert shares[1.0] == pytest.approx(4 / 6, abs=1e-4)
    assert shares[max(f for f in shares if f < 3.9)] == pytest.approx(4 / 6, abs=1e-4)
    assert shares[10.0] == 1.0
    assert max(found["shares"]["wgan_reference"]) == pytest.approx(5 / 6, abs=1e-4)


def without(results: Results, contender: str, *seeds: int) -> Results:
    """The results less the runs of a contender on these seeds."""
    kept = [r for r in results.runs if r.config.contender != contender or r.config.seed not in seeds]
    return Results(results.suite, tuple(kept))


def test_profiles_take_the_seeds_that_all_have() -> None:
    table = Table.of(story())
    # ttur lacks seed 103: of the other three, two are at the quick pace.
    assert profiles(table, table.tasks("evaluation"))["seeds"] == [3]
    # Left with the one slow seed, 101, the quick ones of the others must not count for them.
    slow = Table.of(without(story(), "fixed_2", 100, 102, 103))
    found = profiles(slow, slow.tasks("evaluation"))
    assert (found["seeds"], found["problems"], found["skipped"]) == ([1], 6, [])
    # At seed 101 the gap is the cheapest on two tasks, both targets; n = 2 costs twice that, and is first on the third.
    shares = dict(zip(found["factors"], found["shares"]["fixed_2"], strict=True))
    assert (shares[1.0], shares[min(f for f in shares if f > 2)]) == (pytest.approx(2 / 6, abs=1e-4), 1.0)


def test_profiles_skip_tasks_without_a_seed_common_to_all() -> None:
    apart = without(without(story(), "fixed_2", 100, 101), "fixed_5", 102, 103)
    table = Table.of(apart)
    found = profiles(table, table.tasks("evaluation"))
    assert (found["skipped"], found["shares"], found["problems"]) == (["wins", "loses", "pid"], {}, 0)


def test_profiles_leave_out_who_lacks_a_seed_of_the_law() -> None:
    apart = without(without(story(), "fixed_2", 100, 101), "fixed_5", 102, 103)
    table = Table.of(Results(dataclasses.replace(apart.suite, effort="fixed_2"), apart.runs))
    found = profiles(table, table.tasks("evaluation"))
    assert found["excluded"] == ["fixed_5", "ladder", "ttur"]  # ttur lacks seed 103
    assert (found["skipped"], found["problems"]) == ([], 6)
    assert "fixed_5" not in found["shares"]


def test_page_data_knows_the_answers_and_is_plain_json() -> None:
    data = json.loads(json.dumps(page_data(story()), allow_nan=False))
    rows = {row["contender"]: row for row in data["ratios"][BEST_FIXED]["evaluation"]}
    assert rows["wasserstein_gap"]["over"]["both"][0] == 1.0
    assert {name: cell["both"][0] for name, cell in rows["wasserstein_gap"]["tasks"].items()} == {
        "wins": 0.5,
        "loses": 4.0,
        "pid": 0.5,
    }
    assert rows["ladder"]["missing"] == ["pid"]
    assert rows["ttur"]["tasks"]["wins"]["unpaired"] == 1
    assert {row["contender"] for row in data["ratios"]["own mean n"]["evaluation"]} == {"wasserstein_gap"}
    series = {t["name"]: t["series"] for t in data["tasks"]}
    assert series["loses"]["wasserstein_gap"]["runs"] == len(SEEDS)
    assert data["tasks"][0]["samples"]["fixed_2"]["seed"] == SEEDS[0]


def test_every_contender_has_a_style_and_fixed_n_darken() -> None:
    found = styles(story().suite)
    assert set(found) == set(PACE)
    assert found["gap_mean"].color == found["wasserstein_gap"].color
    assert len({found[f"fixed_{n}"].color for n in (1, 2, 5)}) == 3
    many = tuple(dataclasses.replace(CONTENDERS[6], name=f"rule_{k}") for k in range(40))
    assert len(styles(Suite((), many))) == 40


def test_no_two_contenders_of_the_suite_look_alike() -> None:
    suite = suite_record()
    drawn = [(style.color, style.dash) for style in styles(suite).values()]
    assert len(drawn) == len(set(drawn)) == len(suite.contenders)


def lab(color: str) -> np.ndarray:
    """CIE L*a*b* of a hex colour, white point D65."""
    rgb = np.array([int(color[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(to_xyz) @ linear / [0.9505, 1.0, 1.089]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("kind", HUES)
def test_hues_of_a_kind_can_be_told_apart(kind: str) -> None:
    # 10 is what a glance separates in the CIE76 distance; thin lines need more.
    colors = [lab(hue) for hue in HUES[kind]]
    apart = [float(np.linalg.norm(a - b)) for k, a in enumerate(colors) for b in colors[:k]]
    assert min(apart, default=99) > 18


# The heat map


def test_cells_are_the_constants_on_tuning_seeds() -> None:
    results = paired_story()
    extra = tuple(run("wins", "pair_1x4", seed, 1.0, late, role="tuning") for seed, late in ((0, 4.0), (1, math.inf)))
    tuned = Results(results.suite, (*results.runs, *extra))
    found = {c.contender: c for c in cells_of(tuned, Table.of(tuned, "tuning"), tuned.suite.tasks[0])}
    # One of the two got to the late target: the median is halfway between 4 and two budgets.
    pair = found["pair_1x4"]
    assert (pair.n, pair.rate, pair.cost, pair.reached, pair.runs, pair.missed) == (1, 4, 102, 1, 2, False)
    assert (found["fixed_2"].cost, found["fixed_2"].ratio, found["fixed_5"].ratio) == (8, 1, 2)
    assert set(found) == {"fixed_1", "fixed_2", "fixed_5", "pair_1x4"}
    assert grid(tuned) == ([1, 2, 5], [1, 4])
    assert cells_of(tuned, Table.of(tuned, "tuning"), dataclasses.replace(tuned.suite.tasks[0], targets=None)) == []


def test_the_path_is_of_the_lowest_final_seed() -> None:
    results = paired_story()
    early = run("wins", "effort", 0, 1, 2, role="tuning")
    found = path(Results(results.suite, (early, *results.runs)), results.suite.tasks[0], "effort")
    assert found is not None
    assert (found.seed, found.role, found.n[0], found.rate[0], found.arrived) == (SEEDS[0], "final", 1, 8, 0)
    alone = path(Results(results.suite, (early,)), results.suite.tasks[0], "effort")
    assert alone is not None
    assert alone.role == "tuning"
    assert path(results, results.suite.tasks[0], "nobody") is None


# Averages


def test_averages_of_the_known_suite() -> None:
    results = story()
    found = averages(results, Table.of(results))
    assert list(found) == [BEST_FIXED, "fixed_5", "own mean n", "wgan_reference", "ttur"]
    assert list(default_opponents(results)) == list(found)
    rows = {row["contender"]: row for row in found[BEST_FIXED]["evaluation"]}
    gap = rows["wasserstein_gap"]
    assert (gap["tasks"], gap["missing"], gap["pairs"], gap["unpaired"]) == (3, 0, [4, 4], 0)
    # One of the eight paired ratios of "loses" is a run that diverged, 200 over 16: beyond the middle half.
    values = {name: figure["value"][0] for name, figure in gap["figures"].items()}
    middle = math.exp((10 * math.log(0.5) + 2 * math.log(4)) / 12)
    expected = {"geometric": 1.0, "median": 0.5, "middle": middle, "improvement": 2 * (3 / 4 + 1 / 8) / 3}
    assert values == pytest.approx(expected, rel=1e-4)
    assert (rows["ladder"]["tasks"], rows["ladder"]["missing"]) == (2, 1)
    assert (rows["ttur"]["pairs"], rows["ttur"]["unpaired"]) == ([3, 3], 3)
    assert [row["contender"] for row in found["own mean n"]["evaluation"]] == ["wasserstein_gap"]
    assert "fixed_5" not in [row["contender"] for row in found["fixed_5"]["evaluation"]]
    assert {row["tasks"] for row in found[BEST_FIXED]["development"]} == {1}


def test_outcomes_go_by_the_side_of_the_whole_interval() -> None:
    ratio, chance = AVERAGES["geometric"], AVERAGES["improvement"]
    ends = [(0.2, 0.4), (0.4, 0.6), (0.6, 0.9), (0.9, 1.1), (1.1, 1.2), (0.8, 1.0), (math.nan, math.nan)]
    estimates = [Estimate(0.1, low, high) for low, high in ends]
    assert [outcome(e, ratio) for e in estimates] == ["won", "won", "won", "open", "lost", "open", "open"]
    assert [outcome(e, chance) for e in estimates[:3]] == ["lost", "open", "won"]
    assert outcome(Estimate(0.1), chance) == "open"


# Seeds


def test_contenders_are_grouped_by_their_seeds() -> None:
    found = groups(without(story(), "fixed_5", 100, 101))["loses"]
    everyone = [c.title for c in CONTENDERS]
    rest = tuple(t for t in everyone if t not in ("n = 5", "Two time scales"))
    assert found["final"] == [
        Group((100, 101, 102, 103), rest),
        Group((100, 101, 102), ("Two time scales",)),
        Group((102, 103), ("n = 5",)),  # the failure at seed 102 is a run
    ]
    assert found["tuning"] == [Group((0,), tuple(everyone))]
    assert found["final"][1].text == "100-102 (3 seeds)"
    assert found["tuning"][0].text == "0 (1 seed)"
    assert groups(Results(story().suite, ()))["wins"] == {"tuning": [], "final": []}


def test_the_note_on_seeds_looked_at_before_follows_the_data() -> None:
    suite = story().suite
    first = [run("wins", "fixed_2", seed) for seed in (0, 1, 2, 3, 4, 5)]
    note = seen_note(Results(suite, tuple(first)))
    assert note.startswith("Seeds 0-1 of the cheap evaluation tasks were looked at with an earlier law")
    assert "2 of the 6 final runs on these tasks are theirs" in note
    assert "Seeds 2-4 of the cheap evaluation tasks" in note
    assert "3 of the 6 final runs on these tasks are theirs" in note
    later = seen_note(Results(suite, tuple(first[2:])))
    assert later.startswith("Seeds 0-1 of the cheap evaluation tasks")
    assert "frozen at 793c49e; none of these results comes from them. Seeds 2-4" in later
    assert "3 of the 4 final runs" in later
    # Tuning runs and development tasks are not concerned; costly tasks have seeds of their own.
    tuning = [run("wins", "fixed_2", 0, role="tuning"), run("ring", "fixed_2", 0, suite="development")]
    assert seen_note(Results(suite, tuple(tuning))) == ""
    # Settings have not seen a seed before because their own results were looked at.
    fifth = run("wins", "fixed_2", 5)
    assert "Seeds 5-24 of the cheap evaluation tasks" in seen_note(Results(suite, (fifth,)))
    assert "Seeds 5-24" not in seen_note(Results(dataclasses.replace(suite, freeze_commit="ae0e4ec"), (fifth,)))
    costly = dataclasses.replace(suite, tasks=tuple(dataclasses.replace(t, cheap=False) for t in suite.tasks))
    assert seen_note(Results(costly, tuple(first))).startswith("Seeds 0-1 of the costly evaluation tasks")


# Words


def test_formatting() -> None:
    assert formatting.figure(Estimate(0.914, 0.85, 0.97)) == "0.91 (0.85 to 0.97)"
    assert formatting.figure(Estimate(0.914)) == "0.91"
    assert formatting.figure(None) == "–"
    assert formatting.number(math.inf) == "–"
    assert [formatting.met(value) for value in (True, False, None)] == ["met", "not met", "no results"]
    assert formatting.seeds([3, 0, 1, 2, 7, 7]) == "0-3, 7"
    assert formatting.seeds([]) == "none"


# Tables


def cells(text: str, row: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {row}"))
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_tables_of_the_known_suite() -> None:
    results = story()
    gap = cells(tables.evidence(results), "Wasserstein gap")
    assert gap[1].startswith("1.00 (")
    assert gap[3:] == ["4.00 (4.00 to 7.07), Title of loses", "2 / 0 / 1", "1 of 12"]
    assert cells(tables.evidence(results), "Accuracy ladder")[0] == "Accuracy ladder (2 of 3 tasks)"
    assert cells(tables.evidence(results), "n = 2")[1] == "1.00 (1.00 to 1.00)"
    assert cells(tables.failures_table(results), "n = 5") == ["n = 5", "12", "1", "0", "0", "1"]
    task_row = cells(tables.tasks_table(results), "Title of wins")
    assert task_row[:4] == ["Title of wins", "evaluation", "wasserstein, 1", "2 / 2 / 2"]
    assert task_row[4].startswith("0.50 (")
    verdict_row = cells(tables.verdict_table(results), "Wasserstein gap: cost against the best fixed n, worst")
    assert verdict_row[3:5] == ["**not met**", "Title of loses"]


def test_tables_of_rate_and_number() -> None:
    results = paired_story()
    head = cells(tables.evidence(results), "contender")
    assert head[1:4] == ["cost to best fixed n", "cost to n = 5", "cost to best constant pair"]
    effort = cells(tables.evidence(results), "Critic effort")
    assert [cell.split(" (")[0] for cell in effort[1:4]] == ["0.30", "0.15", "0.64"]
    chosen = tables.evidence(results, ["pairs", "effort"]).splitlines()[2:]
    assert [line.split(" | ")[0] for line in chosen] == ["| Critic effort", "| n = 1, rate x 4"]
    goal = cells(tables.targets_table(results), "cost against the best fixed n at the task's rates, geometric")
    assert goal[1:4:2] == ["&lt;= 0.42", "holds"]
    worse = tables.targets_table(paired_story(effort=60.0))
    assert cells(worse, "cost against the best fixed n at the task's rates, worst")[3] == "**falls short**"
    rival = cells(tables.rivals_table(results), "Accuracy ladder")
    assert rival[0] == "Accuracy ladder (2 of 3 tasks)"
    assert cells(tables.rivals_table(results), "best constant pair")[1].startswith("0.64 (")
    task_row = cells(tables.tasks_table(results), "Title of wins")
    assert task_row[3:5] == ["2 / 2 / 2", "1x4 / 1x4 / 2x1"]


def test_averaged_generators_are_judged_beside_the_live_ones() -> None:
    results = paired_story()
    effort = [r.config.contender == "effort" for r in results.runs]
    half = [dataclasses.replace(r.curve, ema_quality=tuple(q / 2 for q in r.curve.quality)) for r in results.runs]
    runs = tuple(
        dataclasses.replace(r, curve=c) if mine else r for r, c, mine in zip(results.runs, half, effort, strict=True)
    )
    row = cells(tables.averaged_table(Results(results.suite, runs), ["effort"]), "Critic effort")
    assert [text.split(" (")[0] for text in row[3:]] == ["1.00", "0.50", "0.50"]
    # Half of 5 is the early target: it is there from the first evaluation on.
    assert float(row[2].split(" (")[0]) < float(row[1].split(" (")[0])
    none = dataclasses.replace(runs[0].curve, ema_quality=(math.nan,) * len(runs[0].curve.cost))
    old = tuple(dataclasses.replace(r, curve=none) for r in runs if r.status == "completed" and not r.diverged)
    assert tables.averaged_table(Results(results.suite, old)) == "No results yet.\n"


def test_what_was_not_run_is_listed() -> None:
    lacking = cells(tables.not_run_table(story()), "1: Title of pid")
    assert lacking == ["1: Title of pid", "Accuracy ladder"]
    bare = dataclasses.replace(story().suite, contenders=(*story().suite.contenders, CONTENDERS[0]))
    never = dataclasses.replace(bare.contenders[-1], name="never", title="Never")
    more = Results(dataclasses.replace(bare, contenders=(*bare.contenders[:-1], never)), story().runs)
    assert cells(tables.not_run_table(more), "all") == ["all", "Never"]


def test_tables_are_rewritten_between_their_markers_alone(tmp_path: Path) -> None:
    results = folder(tmp_path / "results", story())
    page = tmp_path / "README.md"
    text = "# Title\n<!-- table:evidence -->\nold\n<!-- /table -->\nafter\n<!-- table:failures -->\n<!-- /table -->\n"
    page.write_text(text)
    assert tables.check(page, results) == ["evidence", "failures"]
    assert tables.update(page, results)
    assert tables.check(page, results) == []
    assert not tables.update(page, results)
    written = page.read_text()
    assert written.startswith("# Title\n<!-- table:evidence -->\n| contender |")
    assert "<!-- /table -->\nafter\n<!-- table:failures -->\n| contender |" in written
    page.write_text(written.replace("Title of loses |", "Title of wins |"))
    assert tables.check(page, results) == ["evidence"]


def test_a_summary_is_on_the_seeds_of_the_law_on_rate_and_number_alone() -> None:
    results = paired_story()
    full = tables.summary(results)
    assert cells(full, "Critic effort")[1:4] == cells(tables.evidence(results), "Critic effort")[1:4]
    assert cells(full, "Critic effort")[4] == "0 of 12"
    more = [dataclasses.replace(r, config=dataclasses.replace(r.config, seed=99)) for r in results.runs
            if r.config.seed == SEEDS[0] and r.config.contender == "fixed_5"]  # fmt: skip
    assert more
    longer = dataclasses.replace(results, runs=(*results.runs, *more))
    assert tables.summary(longer) == full
    assert tables.evidence(longer) != tables.evidence(results)
    assert len(tables.summary(results, ["effort"]).splitlines()) == 3


def test_a_table_of_chosen_contenders_has_their_rows_alone(tmp_path: Path) -> None:
    results = folder(tmp_path / "results", story())
    page = tmp_path / "page.md"
    page.write_text("<!-- table:evidence wasserstein_gap fixed_1 -->\n<!-- /table -->\n")
    assert tables.update(page, results)
    assert tables.check(page, results) == []
    chosen = page.read_text().splitlines()[3:-1]
    assert [line.split(" | ")[0] for line in chosen] == ["| n = 1", "| Wasserstein gap"]
    assert set(chosen) <= set(tables.evidence(story()).splitlines())
    page.write_text("<!-- table:evidence wasserstein_gap prices -->\n<!-- /table -->\n")
    with pytest.raises(ValueError, match=r"page\.md: unknown contender 'prices'; there are: fixed_1,"):
        tables.update(page, results)
    page.write_text("<!-- table:failures fixed_1 -->\n<!-- /table -->\n")
    with pytest.raises(
        ValueError, match="'failures fixed_1': only these take names of contenders: evidence, summary, av"
    ):
        tables.check(page, results)


def test_tables_refuse_bad_markers(tmp_path: Path) -> None:
    results = folder(tmp_path / "results", Results(story().suite, ()))
    page = tmp_path / "page.md"
    page.write_text("<!-- table:prices -->\n<!-- /table -->\n")
    with pytest.raises(ValueError, match="unknown table 'prices'; there are: evidence, summary, targets, rivals,"):
        tables.update(page, results)
    page.write_text("<!-- table:evidence -->\n")
    with pytest.raises(ValueError, match="of its own after it"):
        tables.check(page, results)
    page.write_text("<!-- table:evidence -->\n<!-- table:tasks -->\n<!-- /table -->\n")
    with pytest.raises(ValueError, match="of its own after it"):
        tables.check(page, results)


def test_tables_without_results_and_with_evil_names(tmp_path: Path) -> None:
    nothing = Results(Suite((), ()), ())
    assert {make(nothing) for make in tables.TABLES.values()} == {"No results yet.\n"}
    for make in tables.TABLES.values():
        text = make(evil())
        assert "<img" not in text
        assert "<b>" not in text
        assert len({len(re.split(r"(?<!\\)\|", line)) for line in text.splitlines()}) == 1
    piped = dataclasses.replace(story().suite.contenders[0], title="a|b\n*c*")
    changed = dataclasses.replace(story().suite, contenders=(piped, *story().suite.contenders[1:]))
    assert r"| a\|b \*c\* |" in tables.failures_table(Results(changed, story().runs))


# The command


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(arguments)


def test_the_command_builds_writes_tables_and_checks_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results, out, page = folder(tmp_path / "r", story()), tmp_path / "new" / "out", tmp_path / "README.md"
    assert report(parsed("--results", str(results), "--out", str(out))) == 0
    pictures = ["evidence.png", "heat_map.png", "over_cost.png", "profiles.png"]
    assert sorted(p.name for p in out.iterdir()) == sorted([*pictures, "index.html"])
    assert str(out / "index.html") in capsys.readouterr().out
    page.write_text("<!-- table:failures -->\n<!-- /table -->\n")
    assert report(parsed("--results", str(results), "--tables", str(page), "--check")) == 1
    assert "differs: failures" in capsys.readouterr().out
    assert report(parsed("--results", str(results), "--tables", str(page))) == 0
    assert report(parsed("--results", str(results), "--tables", str(page), "--check")) == 0
    with pytest.raises(ValueError, match="--check needs --tables"):
        report(parsed("--check"))


def test_pngs_are_pictures_and_the_same_every_time(tmp_path: Path) -> None:
    drawn = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        drawn.append(figures.draw(paired_story(), tmp_path / name))
    for one, other in zip(*drawn, strict=True):
        assert one.read_bytes().startswith(b"\x89PNG")
        assert one.read_bytes() == other.read_bytes()
        assert one.stat().st_size > 5_000


@pytest.mark.parametrize(
    "results",
    [
        pytest.param(Results(Suite((), ()), ()), id="nothing at all"),
        pytest.param(Results(story().suite, ()), id="no runs"),
        pytest.param(Results(story().suite, tuple(r for r in story().runs if r.config.seed == 100)), id="one seed"),
        pytest.param(
            Results(story().suite, tuple(r for r in story().runs if r.config.seed_role == "tuning")), id="tuning"
        ),
        pytest.param(
            Results(
                dataclasses.replace(
                    story().suite,
                    tasks=tuple(dataclasses.replace(t, targets=None, best_fixed_n=None) for t in story().suite.tasks),
                ),
                story().runs,
            ),
            id="not calibrated",
        ),
        pytest.param(evil(), id="evil"),
    ],
)
def test_every_folder_gives_a_report(results: Results, tmp_path: Path) -> None:
    assert len(build(folder(tmp_path / "r", results), tmp_path / "out")) == 5


def test_a_folder_of_another_version_gives_none(tmp_path: Path) -> None:
    write_json(tmp_path / "tasks.json", {**suite_to_json(story().suite), "format": 99})
    with pytest.raises(FormatError, match="format 99"):
        build(tmp_path, tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="no results folder"):
        build(tmp_path / "none", tmp_path / "out")


# The page as text


class Page(HTMLParser):
    """Collects elements, the text of scripts, and everything that could make a request."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [str(value) for name, value in attrs if name in ("src", "href", "action", "srcset")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


def test_the_page_asks_for_nothing_and_runs_no_name() -> None:
    for html in (story_page(), evil_page()):
        page = Page(html)
        assert all(link.startswith("#") or link == "data:," for link in page.links), page.links
        assert page.handlers == []
        assert page.tags.count("script") == 3
        assert "img" not in page.tags


def test_packed_data_ends_no_element() -> None:
    text = json.dumps({"name": EVIL + "<!--&\u2028"})
    packed = pack(text)
    assert set(packed) <= set(string.ascii_letters + string.digits + "+/=")
    assert gzip.decompress(base64.b64decode(packed)).decode() == text
    assert pack(text) == packed


def test_the_page_is_small_enough_to_send() -> None:
    # Of the finished edition's 3865 runs; the charts' library is a third of it.
    assert len(render(load_results(N_ALONE))) < 2_000_000


def test_the_page_tells_what_was_skipped_failed_and_frozen() -> None:
    text = story_page()
    assert "<code>0123abc</code>" in text
    assert "RuntimeError: &lt;b&gt;broken&lt;/b&gt;" in text
    assert "not run on 1" in text
    plain = " ".join(re.sub("<[^>]*>", " ", text.partition('<section id="seeds">')[2]).split())
    row = "Title of wins evaluation 0 (1 seed): all 9 contenders "
    assert row + "100-103 (4 seeds): 8 contenders 100-102 (3 seeds): Two time scales" in plain
    assert "Only paired seeds are compared" in plain
    assert "were looked at with an earlier law, as its settings were frozen at 93c06ca; none of these results" in plain
    assert re.search(r"To a target quality, Wasserstein gap costs 1\.00 \([^)]*\) times the best fixed n, 0\.", text)
    assert "over 3 of 3 evaluation tasks" in text
    assert "and 1 of 12 runs diverged, failed or never reached the late target." in text
    bare = dataclasses.replace(story().suite, freeze_commit=None)
    assert "not frozen yet" in render(Results(bare, ()))


# The page in a browser


CHARTS = ("ratio-chart", "tally-chart", "explore-chart", "profile-chart")


def pick(browser: Any, selector: str, value: str) -> None:
    """Choose in a select as a user does, and wait until its chart is drawn again."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select, WebDriverWait

    Select(browser.find_element(By.ID, selector)).select_by_value(value)
    drawn = "return [...document.querySelectorAll('.chart')].every((c) => c.dataset.state !== 'drawing')"
    WebDriverWait(browser, 30).until(lambda b: b.execute_script(drawn))


def chart(browser: Any, name: str, expression: str) -> Any:
    return browser.execute_script(f"const chart = document.getElementById({name!r}); return {expression};")


def labels(browser: Any, name: str) -> list[str]:
    return list(chart(browser, name, "chart.layout.yaxis.ticktext"))


def names(browser: Any, name: str) -> list[str]:
    return list(chart(browser, name, "chart.data.filter((t) => t.showlegend !== false).map((t) => t.name)"))


def test_every_chart_is_drawn_and_nothing_is_complained_of(browser: Any, tmp_path: Path) -> None:
    opened(browser, story_page(), tmp_path / "page.html")
    for name in CHARTS:
        assert chart(browser, name, "chart.dataset.state") == "drawn"
        assert chart(browser, name, "chart.querySelectorAll('.trace path, .points path').length") > 0
    assert labels(browser, "ratio-chart")[0] == "WGAN reference schedule"  # the dearest stands at the bottom
    # Of the gap law, the best fixed n and n = 5 alone: all would be most of the page.
    assert browser.execute_script("return document.querySelectorAll('#sample-grid canvas').length") == 3
    assert chart(browser, "average-table", "chart.dataset.state") == "drawn"
    quiet(browser)


def test_a_heat_map_of_every_task_with_the_path_of_a_law(browser: Any, tmp_path: Path) -> None:
    opened(browser, render(paired_story()), tmp_path / "page.html")
    count = "[...chart.querySelectorAll('svg')].map((s) => s.querySelectorAll(\"rect.cell\").length)"
    assert chart(browser, "heat-maps", count) == [3, 3, 3]  # the pair has no run on tuning seeds
    lines = "chart.querySelectorAll('polyline').length"
    assert chart(browser, "heat-maps", lines) == 9  # of each map: the halo, the path, what follows the target
    told = "[...chart.querySelectorAll('rect.cell title')].map((t) => t.textContent)"
    assert "n = 2\ncost 8, 1.00 times the best pair's\nreached by 1 of 1 runs" in chart(browser, "heat-maps", told)
    pick(browser, "heat-suite", "development")
    assert chart(browser, "heat-maps", count) == [3]
    assert not browser.find_element("id", "tip").is_displayed()
    quiet(browser)


def test_contenders_go_off_and_on_by_kind(browser: Any, tmp_path: Path) -> None:
    opened(browser, story_page(), tmp_path / "page.html")
    assert "Accuracy ladder" in labels(browser, "ratio-chart")
    box = browser.find_element("css selector", "#ratio-kinds input[value='published rules']")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", box)
    box.click()
    assert "Accuracy ladder" not in labels(browser, "ratio-chart")
    box.click()
    assert "Accuracy ladder" in labels(browser, "ratio-chart")
    quiet(browser)


def averaged(browser: Any) -> dict[str, list[str]]:
    """The table of averages as shown: cells by contender, in the order of the rows."""
    texts = "[...chart.querySelectorAll('tbody tr')].map((r) => [...r.cells].map((c) => c.innerText))"
    rows = chart(browser, "average-table", texts)
    return {row[0]: [" ".join(cell.split()) for cell in row[1:]] for row in rows}


def test_the_table_of_averages_follows_its_filters(browser: Any, tmp_path: Path) -> None:
    opened(browser, story_page(), tmp_path / "page.html")
    assert browser.execute_script(
        "return [...document.querySelectorAll('#average-table thead th')].map((h) => h.innerText)"
    ) == ["Contender", "Tasks, paired seeds", *(average.title for average in AVERAGES.values())]
    found = averaged(browser)
    assert found["n = 2"] == [
        "3 tasks 4 seeds each",
        "1.00 1.00 to 1.00",
        "1.00 1.00 to 1.00",
        "1.00 1.00 to 1.00",
        "50 % 50 % to 50 %",
    ]
    assert found["Two time scales"][0] == "3 tasks 3 seeds each, 3 unpaired left out"
    assert found["Accuracy ladder"][0] == "2 tasks 4 seeds each; not run on 1"
    assert "fewer than five paired seeds" in browser.execute_script(
        "return document.getElementById('average-hint').innerText"
    )
    colored = "[...chart.querySelectorAll('tbody .outcome')].map((o) => o.className.split(' ')[1])"
    # A win, a null and a loss differ in their tint alone: the same size, the same place.
    assert set(chart(browser, "average-table", colored)) == {"won", "even", "lost"}
    sizes = (
        "[...new Set([...chart.querySelectorAll('tbody .outcome')].map((o) => getComputedStyle(o).fontSize))].length"
    )
    assert chart(browser, "average-table", sizes) == 1
    assert list(found)[-1] == "WGAN reference schedule"  # the dearest stands last
    pick(browser, "average-sort", "improvement")
    by_chance = [float(cells[-1].split(" %")[0]) for cells in averaged(browser).values()]
    assert by_chance == sorted(by_chance, reverse=True)
    pick(browser, "average-opponent", "own mean n")
    assert list(averaged(browser)) == ["Wasserstein gap"]
    pick(browser, "average-opponent", "wgan_reference")
    assert "WGAN reference schedule" not in averaged(browser)
    pick(browser, "average-suite", "development")
    assert {cells[0] for cells in averaged(browser).values()} >= {"1 task 4 seeds each"}
    # What each column is stands below the table, for those who can't hover, and on every cell.
    text = browser.execute_script("return document.getElementById('averages').innerText")
    assert all(average.meaning in " ".join(text.split()) for average in AVERAGES.values())
    titles = chart(browser, "average-table", "[...chart.querySelectorAll('tbody td[title]')].map((c) => c.title)")
    assert any(title.startswith("won. Pick a task") for title in titles)
    quiet(browser)


def test_the_ratio_chart_follows_its_filters(browser: Any, tmp_path: Path) -> None:
    opened(browser, story_page(), tmp_path / "page.html")
    pick(browser, "ratio-scope", "contender:wasserstein_gap")
    found = dict(zip(labels(browser, "ratio-chart"), chart(browser, "ratio-chart", "chart.data[0].x"), strict=True))
    expected = {"Title of wins": 0.5, "Title of loses": 4.0, "Title of pid": 0.5, "Title of ring (development)": 0.5}
    assert found == expected
    pick(browser, "ratio-opponent", "fixed_5")
    assert max(chart(browser, "ratio-chart", "chart.data[0].x")) == 2.0
    pick(browser, "ratio-scope", "task:loses")
    pick(browser, "ratio-measure", "quality100%")
    assert "n = 5" not in labels(browser, "ratio-chart")
    assert (
        chart(browser, "ratio-chart", "chart.layout.xaxis.title.text")
        == "quality at 100% of the budget: ratio to n = 5"
    )
    rows = browser.execute_script("return document.querySelectorAll('#ratio-table tr').length")
    assert rows == len(labels(browser, "ratio-chart")) + 1
    pick(browser, "ratio-scope", "contender:fixed_5")
    assert chart(browser, "ratio-chart", "chart.textContent") == "No results for this choice."
    pick(browser, "ratio-scope", "suite:development")
    assert chart(browser, "ratio-chart", "chart.dataset.state") == "drawn"
    quiet(browser)


def test_wins_nulls_and_losses_add_up(browser: Any, tmp_path: Path) -> None:
    opened(browser, story_page(), tmp_path / "page.html")
    at = labels(browser, "tally-chart").index("Wasserstein gap")
    counts = chart(browser, "tally-chart", f"Object.fromEntries(chart.data.map((t) => [t.name, t.x[{at}]]))")
    assert counts == {"won": 2, "no difference shown": 0, "lost": 1, "not run": 0}
    totals = chart(browser, "tally-chart", "chart.data.map((t) => t.x).reduce((a, b) => a.map((v, i) => v + b[i]))")
    assert set(totals) == {3}
    pick(browser, "tally-suite", "development")
    assert set(chart(browser, "tally-chart", "chart.data.flatMap((t) => t.x)")) == {0, 1}
    quiet(browser)


def test_the_runs_follow_task_and_contenders(browser: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By

    opened(browser, story_page(), tmp_path / "page.html")
    assert names(browser, "explore-chart") == ["n = 2", "n = 5", "WGAN reference schedule", "Wasserstein gap"]
    n = "chart.data.find((t) => t.name === 'Wasserstein gap' && t.yaxis === 'y2').y[0]"
    assert chart(browser, "explore-chart", n) == 4
    box = browser.find_element(By.CSS_SELECTOR, "#explore-contenders input[value='ladder']")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", box)
    box.click()
    assert "Accuracy ladder" in names(browser, "explore-chart")
    pick(browser, "explore-task", "pid")
    assert "Accuracy ladder" not in names(browser, "explore-chart")
    assert not browser.find_elements(By.CSS_SELECTOR, "#explore-contenders input[value='ladder']")
    absent = browser.find_element(By.ID, "explore-absent")
    absent.find_element(By.TAG_NAME, "summary").click()
    assert absent.text.split("\n") == ["Not run on this task: 1", "Accuracy ladder"]
    signal = browser.find_element(By.ID, "explore-signal")
    signal.click()
    assert chart(browser, "explore-chart", "chart.data.filter((t) => t.yaxis === 'y3').length") > 0
    pick(browser, "explore-axis", "linear")
    assert chart(browser, "explore-chart", "chart.layout.yaxis.type") == "linear"
    assert chart(browser, "explore-chart", "chart.layout.yaxis.title.text") == "sliced W1<br>(lower is better)"
    pick(browser, "sample-task", "pid")
    loaded = "return [...document.querySelectorAll('#sample-grid img')].map((i) => i.naturalWidth)"
    browser.execute_script("document.querySelectorAll('#sample-grid img').forEach((i) => { i.loading = 'eager'; })")
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 30).until(lambda b: b.execute_script(loaded) == [8] * 3)
    quiet(browser)


def test_hovering_tells_the_values(browser: Any, tmp_path: Path) -> None:
    opened(browser, story_page(), tmp_path / "page.html")
    pick(browser, "ratio-scope", "contender:wasserstein_gap")
    browser.execute_script(
        "const c = document.getElementById('ratio-chart'); c.scrollIntoView({block: 'center', behavior: 'instant'});"
        "Plotly.Fx.hover(c, [{curveNumber: 0, pointNumber: c.layout.yaxis.ticktext.indexOf('Title of loses')}]);"
    )
    shown = chart(browser, "ratio-chart", "chart.querySelector('.hoverlayer').textContent")
    assert "4.00 (" in shown
    assert "4 paired seeds" in shown
    assert "reached early, late: 4, 3; opponent: 4, 4" in shown
    quiet(browser)


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_its_window(browser: Any, tmp_path: Path, width: int) -> None:
    opened(browser, story_page(), tmp_path / "page.html", width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    for name in CHARTS:
        assert chart(browser, name, "chart.dataset.state") == "drawn"
        assert chart(browser, name, "chart.getBoundingClientRect().right") <= width
    # Every cell of a row is in sight without scrolling sideways: also the failures, which stand on the right.
    for section in ("averages", "failures", "seeds"):
        cells = chart(
            browser, section, "[...chart.querySelectorAll('tbody td')].map((c) => c.getBoundingClientRect().right)"
        )
        assert cells
        assert max(cells) <= width, section
    quiet(browser)


def test_runs_of_differing_number_are_told(browser: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By

    opened(browser, story_page(), tmp_path / "page.html")
    assert "Runs differ" not in browser.find_element(By.ID, "explore-note").text
    box = browser.find_element(By.CSS_SELECTOR, "#explore-contenders input[value='ttur']")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", box)
    box.click()
    note = browser.find_element(By.ID, "explore-note").text
    assert "Runs differ in number: n = 2: 4," in note
    assert "Two time scales: 3." in note
    assert browser.find_element(By.ID, "profile-note").text.startswith("6 problems, 3 common seeds per task. Left out")
    quiet(browser)


def test_evil_names_are_shown_and_do_nothing(browser: Any, tmp_path: Path) -> None:
    opened(browser, evil_page(), tmp_path / "page.html")
    pick(browser, "explore-task", EVIL)
    pick(browser, "sample-task", EVIL)
    pick(browser, "ratio-scope", "task:wins")
    assert "<b>$x_1$</b>" in chart(browser, "ratio-chart", "chart.textContent")
    pick(browser, "ratio-scope", f"task:{EVIL}")
    assert browser.execute_script("return window.broken") is None
    inside = "return [...document.querySelectorAll('.chart img, .chart script, .chart a[href]')].length"
    assert browser.execute_script(inside) == 0
    assert EVIL[:25] in chart(browser, "ratio-chart", "chart.textContent")  # cut, as long labels are
    assert EVIL in browser.execute_script("return document.getElementById('settings').textContent")
    pictures = "return [...document.querySelectorAll('#sample-grid img')].filter((i) => i.naturalWidth).length"
    assert browser.execute_script(pictures) == 0


def test_empty_results_say_so_in_every_chart(browser: Any, tmp_path: Path) -> None:
    for results in (Results(Suite((), ()), ()), Results(story().suite, ())):
        opened(browser, render(results), tmp_path / "page.html")
        for name in CHARTS:
            assert chart(browser, name, "chart.dataset.state") == "empty"
            assert chart(browser, name, "chart.textContent").startswith("No ")
        assert chart(browser, "average-table", "chart.dataset.state") == "empty"
        assert averaged(browser) == {"No results for this choice.": []}
        quiet(browser)
