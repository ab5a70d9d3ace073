"""Guards do on random streams, saved and loaded in between, what they did when golden.json was written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.guard.golden import CASES, FILE, trace

GOLDEN = json.loads(FILE.read_text(encoding="utf-8"))


def close(ours: Any, theirs: Any) -> bool:
    """Whether two traces are the same but for the last digits of floats."""
    if isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(close(ours[key], theirs[key]) for key in theirs)
    if isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(close, ours, theirs))
    if isinstance(theirs, float):
        return bool(ours == pytest.approx(theirs, rel=1e-7, abs=1e-9, nan_ok=True))
    return bool(ours == theirs)


@pytest.mark.parametrize("seed", range(CASES))
def test_a_guard_does_what_it_did(seed: int) -> None:
    ours, theirs = trace(seed), GOLDEN[seed]
    for part in theirs:
        assert close(ours[part], theirs[part]), (part, ours[part], theirs[part])


def test_every_rule_and_action_is_among_them() -> None:
    found = {(record[1], record[4]) for case in GOLDEN for record in case["records"]}
    for rule in ("non_finite", "explosion", "dead", "collapse", "spike"):
        assert {(rule, action) for action in ("report", "terminate", "rollback")} & found
    assert {action for _, action in found} == {"report", "hold", "terminate_epoch", "terminate", "rollback", "call"}
    assert any("update of o" in record[2] for case in GOLDEN for record in case["records"])
