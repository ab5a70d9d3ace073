"""A cut of ``python -m tests.soak``, 28,000 iterations in all, and that it finds what it is there to find."""

from __future__ import annotations

import logging
import math
from typing import Any

import pytest

from adaptive_critic import ControllerHistory, alternation
from adaptive_critic.decision import Feedback, feedback
from adaptive_critic.guard.actions import Actions
from adaptive_critic.guard.rules import Verdict
from adaptive_critic.laws import Observation
from tests.soak.cases import CASES
from tests.soak.faults import FAULTS, not_finite, overridden_between_runs, raised
from tests.soak.growth import Sample, grown
from tests.soak.run import MADE_ANEW, Soak, SoakError


def test_nothing_grows_and_nothing_drifts() -> None:
    soak = Soak(CASES["gap"], 0, FAULTS, quiet=20.0)
    # What the process occupies settles within 3,200 iterations, and then stays, as runs of 8,000 and 16,000 show: the
    # first sample is taken at 1,600, where in half as many iterations it would be at 800.
    samples = soak.run(16_000, samples=10)
    assert soak.complaints(samples) == []
    assert all(count > 0 for count in soak.faults.values())


@pytest.mark.parametrize("name", [name for name in CASES if name != "gap"])
def test_nothing_drifts(name: str) -> None:
    soak = Soak(CASES[name], 0, FAULTS, quiet=20.0)
    assert len(soak.run(2000, samples=1)) == 1
    assert soak.done >= 2000
    assert sum(soak.faults.values()) > 40


@pytest.mark.parametrize("name", CASES)
def test_without_faults_nothing_is_told(name: str) -> None:
    soak = Soak(CASES[name], 1, ())
    soak.run(1000, samples=1)
    assert (soak.lines, soak.warnings, soak.errors, soak.overridden) == (0, 0, 0, 0)
    assert soak.fewest < soak.most


def test_faults_are_named_rightly() -> None:
    assert set(MADE_ANEW) < {fault.__name__ for fault in FAULTS}


# --- what is broken is found -----------------------------------------------------------------------------------------


def test_a_rounding_that_loses_its_remainder_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feedback, "carry_over", lambda ratio, carry, n: 0.0)
    with pytest.raises(SoakError, match="away from the sum of ratios"):
        Soak(CASES["gap"], 0, ()).run(500, samples=1)


def test_an_override_that_consumes_a_remainder_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alternation.Next, "decided", property(lambda now: True))
    with pytest.raises(SoakError, match="away from the sum of ratios"):
        Soak(CASES["gap"], 0, (overridden_between_runs,)).run(1000, samples=1)


def test_an_observation_across_iterations_that_were_missed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def compared_across(self: Feedback, iterations: int = 1) -> None:
        self._elapsed += iterations

    monkeypatch.setattr(Feedback, "skip", compared_across)
    with pytest.raises(SoakError, match=r"the ratio is .*, the twin's is"):
        Soak(CASES["gap"], 0, (raised,)).run(500, samples=1)


def test_a_bad_observation_that_moves_the_law_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    decide = Feedback._decide

    def moved(self: Feedback) -> bool:
        decided = decide(self)
        if not decided:
            observation = Observation((0.0, 1.0), (0.0, 1.0))
            self._law_state, self.ratio, *_ = self._law.update(self._law_state, observation, self.ratio)  # type: ignore[call-arg]
        return decided

    monkeypatch.setattr(Feedback, "_decide", moved)
    with pytest.raises(SoakError, match=r"the ratio is .*, the twin's is"):
        Soak(CASES["gap"], 0, (not_finite,)).run(500, samples=1)


def test_limits_that_do_not_hold_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feedback, "rounded", lambda ratio, carry: math.floor(ratio) + 30)
    with pytest.raises(SoakError):
        Soak(CASES["gap"], 0, ()).run(100, samples=1)


def test_a_list_that_grows_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    add = ControllerHistory._add
    kept: list[list[float]] = []

    def growing(self: ControllerHistory, point: Any) -> None:
        kept.append([point.ratio + 1.0])  # three blocks: one would stay within what is allowed here
        add(self, point)

    monkeypatch.setattr(ControllerHistory, "_add", growing)
    soak = Soak(CASES["gap"], 0, ())
    # What the process occupies settles within 3,200 iterations, and then stays, as runs of 8,000 and 16,000 show: the
    # first sample is taken at 1,600, where in half as many iterations it would be at 800.
    samples = soak.run(16_000, samples=10)
    assert [text.split(" ")[0] for text in soak.complaints(samples)] == ["blocks", "blocks"]


def test_a_log_that_is_flooded_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Actions, "respond", _flooding)
    soak = Soak(CASES["gap"], 0, FAULTS)
    soak.run(1000, samples=1)
    assert any("lines in the log" in text for text in soak.complaints([_sample()] * 10))


def _flooding(self: Actions, engine: Any, verdict: Any, *others: Any) -> bool:
    self._record(engine, Verdict("flood", "at every check", {}), "report", logging.WARNING)
    return False


def _sample(**numbers: int) -> Sample:
    return Sample(*[0] * len(Sample._fields))._replace(**numbers)


@pytest.mark.parametrize("name", Sample._fields)
def test_what_grows_is_named(name: str) -> None:
    samples = [_sample(**{name: 10_000 * number}) for number in range(10)]
    assert grown(samples) == {name: (50_000, 90_000)}
    assert grown(samples[::-1]) == {}
    with pytest.raises(ValueError, match="4 samples"):
        grown(samples[:4])
