from __future__ import annotations

import os
import signal
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments import data
from experiments.demo import __main__ as command
from experiments.demo import duration, report, summary
from experiments.demo.contenders import parse
from experiments.demo.curves import BINS, CHARTS, MEASURED, QUALITY, binned
from experiments.demo.figures import overview, tiled
from experiments.demo.training import Run, Settings, critic_cost, train
from tests.experiments.browsing import browser, opened, quiet

__all__ = ["browser"]  # a fixture

SETTINGS = Settings("mnist-5k", budget=1000.0, seed=3, evaluations=4)


def _run(name: str, final: float, start: float = 100.0) -> Run:
    """A made-up run whose quality falls from ``start`` to ``final`` and stays there for three measurements."""
    steps = int(name.partition(":")[2] or 4)
    iterations = int(1000 // (1 + 2 * steps))
    cost = np.arange(1, iterations + 1) * (1.0 + 2 * steps)
    noise = np.random.default_rng(0).standard_normal(iterations)
    frechet = np.array([start, (start + final) / 2, final, final, final])
    return Run(
        name=name,
        critic_cost=2.0,
        cost=cost,
        steps=np.full(iterations, steps),
        rate=np.full(iterations, 8.0 if name == "effort" else 1.0),
        signal=np.full(iterations, np.nan) if name.startswith("fixed") else noise,
        gap=noise,
        critic_loss=-noise,
        generator_loss=noise,
        quality_cost=np.linspace(0, cost[-1], 5),
        frechet=frechet,
        class_distance=np.linspace(0.9, 0.1, 5),
        samples=np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 36, 28, 28), dtype=np.uint8),
        critic_updates=steps * iterations,
        generator_updates=iterations,
        cpu_seconds=1.25,
    )


def _said(*runs: Run) -> str:
    return "\n".join(summary.verdict(runs, SETTINGS))


def test_fixed_number_that_wins_is_called_the_winner() -> None:
    said = _said(_run("fixed:1", 20.0), _run("fixed:5", 10.0), _run("gap", 15.0))
    assert said.startswith("A fixed number wins on this seed: fixed n = 5 has the best quality, 10.")
    assert "Wasserstein gap ended at 15, 1.5 times as large as that of fixed n = 5." in said
    assert "fixed n = 1 ended at 20, 2 times as large as that of fixed n = 5." in said


def test_controller_that_wins_is_called_the_winner() -> None:
    said = _said(_run("fixed:5", 20.0), _run("gap", 10.0))
    assert said.startswith("An adaptive controller wins on this seed: Wasserstein gap has the best quality, 10.")


def test_lead_within_noise_ranks_no_one() -> None:
    said = _said(_run("fixed:1", 30.0), _run("fixed:5", 10.0), _run("gap", 10.0 * (1 + 0.9 * summary.SEED_SPREAD)))
    headline = said.splitlines()[0]
    assert headline.startswith("No clear winner: fixed n = 5 (10) and Wasserstein gap (")
    assert "fixed n = 1" not in headline
    assert "wins" not in said


def test_every_verdict_says_that_it_is_one_seed() -> None:
    for runs in ([_run("gap", 5.0)], [_run("gap", 5.0), _run("fixed:1", 9.0)], [_run("gap", np.nan)]):
        assert "This is one seed (3)" in _said(*runs)


def test_diverged_runs_come_last_and_are_named() -> None:
    lost = _run("fixed:1", np.nan)
    assert [run.name for run in summary.ranked([lost, _run("gap", 5.0)])] == ["gap", "fixed:1"]
    said = _said(lost, _run("gap", 5.0), _run("fixed:5", 9.0))
    assert "fixed n = 1 diverged." in said
    assert _said(lost).startswith("Every contender diverged.")


def test_the_goal_is_the_final_quality_of_five() -> None:
    five, better, worse = _run("fixed:5", 10.0), _run("gap", 8.0), _run("fixed:1", 30.0)
    assert summary.goal([better, worse, five]) == (10.0, "n = 5's final quality")
    assert summary.cost_to(better, 10.0) == better.quality_cost[2]
    said = _said(five, better, worse)
    assert "Compute spent when n = 5's final quality, 10, was first measured: fixed n = 5 50 %, Wasserstein gap" in said
    assert "fixed n = 1 never reached it." in said


def test_without_five_the_goal_is_the_worst_of_the_best() -> None:
    quick, slow = _run("fixed:4", 10.0), _run("gap", 30.0)
    assert summary.goal([quick, slow]) == (30.0, "the quality that all reached")
    assert summary.cost_to(slow, 30.0) == slow.quality_cost[2]
    assert np.isnan(summary.cost_to(slow, 29.0))
    assert summary.goal([_run("fixed:5", np.nan), slow]).value == 30.0


def test_table_fits_a_terminal_and_has_a_row_for_each_run() -> None:
    runs = [_run("fixed:5", 10.0), _run("reference", 1234.5), _run("gap", 12345.6), _run("effort", 8.0)]
    lines = summary.text_table(runs).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert len(lines[0]) <= 80
    assert summary.rows(runs)[0] == ("fixed n = 5", "10", "495", "5.00", "x 1", "90", "1.2")
    assert summary.rows(runs)[1][1:3] == ("1234", "never")
    assert summary.rows(runs)[3][4] == "x 8"


class _Audit(HTMLParser):
    """Collects what a page would load from elsewhere, and checks that tags close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.text = ""
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [
            value or ""
            for name, value in attrs
            if name in ("src", "href", "xlink:href", "data", "srcset") and not (value or "").startswith(("data:", "#"))
        ]

    def handle_data(self, text: str) -> None:
        self.text += text


def _page(*runs: Run, made_by: str = "python -m experiments.demo") -> str:
    made = report.Made(made_by, "2026-01-01, 12:00 UTC", {"torch": "2.13.0"})
    return report.page(runs, np.zeros((36, 28, 28), dtype=np.uint8), SETTINGS, made)


def test_page_loads_nothing_and_shows_everything() -> None:
    runs = _run("fixed:1", 20.0), _run("fixed:5", 10.0), _run("gap", 15.0)
    page = _page(*runs)
    audit = _Audit()
    audit.feed(page)
    assert audit.loaded == []
    assert audit.tags.count("script") == 3
    for cells in summary.rows(runs):
        assert all(cell in audit.text for cell in cells)
    for sentence in summary.verdict(runs, SETTINGS):
        assert sentence in audit.text
    assert "2026-01-01, 12:00 UTC, with torch 2.13.0." in audit.text
    assert page.count(' class="best">') == 1


def test_page_escapes_what_it_shows() -> None:
    page = _page(_run("gap", 5.0), made_by="demo --out '<script>alert(1)</script>' $subtitle %s {{ x }}")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&#39; $subtitle %s {{ x }}" in page


def test_a_diverged_run_is_drawn() -> None:
    runs = _run("fixed:1", np.nan), _run("gap", 15.0)
    assert report.page_data(runs, runs[0].samples[0])["contenders"][0]["reached"] is None
    assert _page(*runs)
    assert overview(runs, runs[0].samples[0], "headline").axes


def test_curves_are_means_over_equal_stretches_of_cost() -> None:
    run = _run("gap", 15.0)
    band = binned(run, run.cost)
    assert len(band.cost) <= BINS
    np.testing.assert_allclose(band.mean, band.cost, atol=run.cost[-1] / BINS)
    assert (band.low <= band.mean).all()
    assert (band.mean <= band.high).all()
    nothing = binned(run, np.full(len(run.cost), np.nan))
    assert [len(part) for part in nothing] == [0] * 4


def _texts(browser: Any, selector: str) -> list[str]:
    found = "return [...document.querySelectorAll(arguments[0])].filter((e) => e.offsetParent).map((e) => e.innerText)"
    return list(browser.execute_script(found, selector))


@pytest.mark.parametrize("width", [390, 1280])
def test_contenders_and_the_moment_are_chosen_in_a_browser(browser: Any, tmp_path: Path, width: int) -> None:
    runs = _run("fixed:1", 20.0), _run("fixed:5", 10.0), _run("effort", 8.0), _run("fixed:2", np.nan)
    opened(browser, _page(*runs), tmp_path / "page.html", width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    drawn = "return Object.fromEntries([...document.querySelectorAll('.chart')].map((c) => [c.dataset.curve || "
    drawn += "c.dataset.measured || c.id, c.data.filter((t) => t.hoverinfo !== 'skip').map((t) => t.name)]))"
    names = ["fixed n = 1", "fixed n = 5", "critic effort", "fixed n = 2"]
    charts = browser.execute_script(drawn)
    assert len(charts) == len(CHARTS) + len(MEASURED) + 1
    assert charts[QUALITY] == names
    assert charts["The controller's signal"] == ["critic effort"]
    captions = ["fixed n = 1: 20.0", "fixed n = 5: 10.0", "critic effort: 8.00", "fixed n = 2: diverged", "real images"]
    assert _texts(browser, "#grids figcaption") == captions
    last = browser.execute_script("return document.querySelector('#grids img').src")

    browser.execute_script(
        "const at = document.getElementById('moment'); at.value = 0; at.dispatchEvent(new Event('input'));"
        "document.querySelector('#contenders input[value=\"fixed:5\"]').click();"
    )
    assert _texts(browser, "#grids figcaption")[:2] == ["fixed n = 1: 100", "critic effort: 100"]
    assert browser.execute_script("return document.querySelector('#grids img').src") != last
    assert browser.execute_script(drawn)[QUALITY] == [name for name in names if name != "fixed n = 5"]
    assert len(_texts(browser, "#numbers tbody tr")) == 3
    quiet(browser)


def test_tiles_are_in_reading_order() -> None:
    samples = np.arange(4)[:, None, None] * np.ones((1, 2, 2))
    assert tiled(samples).tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]


def test_the_announced_duration_adds_up() -> None:
    settings = Settings("mnist-5k", budget=1000.0, seed=1, evaluations=4, evaluated=200)
    pace = duration.Pace(unit=0.1, image=0.001, start=5.0)  # a contender takes 100 s and five scores of 0.2 s
    assert duration.expected_seconds(settings, pace, contenders=3, workers=1) == pytest.approx(303 + 10 + 3)
    assert duration.expected_seconds(settings, pace, contenders=3, workers=2) == pytest.approx(202 + 10 + 5 + 3)
    assert duration.in_words(4.0) == "10 seconds"
    assert duration.in_words(44.0) == "40 seconds"
    assert duration.in_words(200.0) == "3 minutes"


def test_the_pace_is_measured() -> None:
    settings = Settings("mnist-5k", budget=1000.0, seed=1, batch_size=16)
    pace = duration.measured_pace(data.mnist_5k("test").images, settings, 2.3)
    assert all(0.0 < seconds < np.inf for seconds in pace)


@pytest.mark.parametrize("name", ["fixed:0", "fixed:", "fixed:2.5", "fixed:-1", "adaptive", ""])
def test_unknown_contender_lists_what_is_valid(name: str) -> None:
    with pytest.raises(ValueError, match=r"must be one of fixed:N .*gap .*reference"):
        parse(name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--contenders", "gap", "pid5"], "pid5: must be one of fixed:N"),
        (["--data", "cifar"], "choose from auto, fashion-mnist, mnist-5k"),
        (["--budget", "nan"], "nan: must be a number of generator updates, at least 30"),
        (["--budget", "29"], "at least 30"),
        (["--budget", "inf"], "at least 30"),
        (["--budget", "much"], "much: must be a number"),
        (["--seed", "-1"], "-1: must be a whole number"),
        (["--workers", "0"], "0: must be a whole number of processes, at least 1"),
    ],
)
def test_bad_option_says_what_is_valid(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        command.main(arguments)
    assert stopped.value.code == 2
    # Python versions differ in whether they quote the choices.
    assert message in capsys.readouterr().err.replace("'", "")


def test_help_explains_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--help"])
    shown = capsys.readouterr().out
    for option in ("--contenders", "--budget", "--seed", "--data", "--out", "--workers", "--quick"):
        assert option in shown


def test_output_folder_that_is_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocked = tmp_path / "taken"
    blocked.write_text("")
    with pytest.raises(SystemExit):
        command.main(["--quick", "--data", "mnist-5k", "--out", str(blocked)])
    assert str(blocked) in capsys.readouterr().err


def test_critic_update_costs_two_to_three_generator_updates() -> None:
    assert 2.0 < critic_cost(data.mnist_5k("test").images, SETTINGS) < 3.0


def test_contenders_share_their_start_and_repeat_bit_for_bit() -> None:
    settings = Settings("mnist-5k", budget=60.0, seed=1, batch_size=16, evaluations=3, evaluated=100)
    one, again, five = (train(name, settings, 2.5) for name in ("fixed:1", "fixed:1", "fixed:5"))
    np.testing.assert_array_equal(one.frechet, again.frechet)
    np.testing.assert_array_equal(one.samples, again.samples)
    assert one.frechet[0] == five.frechet[0]
    assert one.gap[0] == five.gap[0]
    np.testing.assert_array_equal(one.samples[0], five.samples[0])
    assert not np.array_equal(one.samples[-1], five.samples[-1])
    assert one.samples.shape == (4, 36, 28, 28)
    assert set(one.rate) == {1.0}
    assert len(one.frechet) == len(five.frechet) == 4
    assert one.cost[-2] < settings.budget <= one.cost[-1]
    assert (five.critic_updates, five.generator_updates) == (25, 5)
    assert five.steps.tolist() == [5] * 5
    assert five.cost.tolist() == [13.5, 27.0, 40.5, 54.0, 67.5]


def test_quick_run_writes_both_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "reports" / "demo"
    command.main(
        ["--quick", "--data", "mnist-5k", "--contenders", "fixed:2", "gap", "--out", str(folder), "--workers", "2"]
    )
    printed = capsys.readouterr().out
    assert "fixed n = 2" in printed
    assert "This will take about" in printed
    assert "This is one seed (0)" in printed
    assert max(map(len, printed.partition("Report,")[0].splitlines())) <= 80
    assert (folder / "report.png").read_bytes().startswith(b"\x89PNG")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Wasserstein gap" in page
    assert "--contenders fixed:2 gap" in page


_KILLED_PARENT = """
import os, signal, time
from experiments.demo.workers import worker_pool

if __name__ == "__main__":
    pool = worker_pool(1)
    pool.submit(os.getpid).result()
    pool.submit(time.sleep, 3600)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_workers_die_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    script = tmp_path / "killed_parent.py"
    script.write_text(_KILLED_PARENT)
    root = Path(command.__file__).parents[2]
    # The worker holds the other end of these pipes: the call returns once it is gone as well, or fails.
    ended = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL


def test_a_critic_that_rests_keeps_its_last_signals() -> None:
    """An iteration without critic updates has no gap of its own."""
    settings = Settings("mnist-5k", budget=200.0, seed=1, batch_size=16, evaluations=3, evaluated=100)
    run = train("effort", settings, 2.3)
    assert min(run.steps) == 0
    assert run.rate[0] == 8.0
    assert np.isfinite(run.signal[-1])
    assert np.isfinite(run.gap).all()
    assert np.isfinite(run.critic_loss).all()
