"""The code of docs/resume.md runs, in order, and does what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.guard.engines import needs_max_iters

PAGE = Path(__file__).parents[2] / "docs" / "resume.md"


@needs_max_iters
def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    first, own, in_rounds, check, by_hand = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (shown,) = re.findall(r"^```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(first, "docs/resume.md: in one call", "exec"), names)
    assert (names["resumed"].iteration, names["trainer"].state.iteration) == (0, 100)
    ended = names["objects"]["controller"].state_dict()
    exec(compile(first, "docs/resume.md: in one call, again", "exec"), names)
    assert names["resumed"].iteration == 100
    assert names["objects"]["controller"].state_dict() == ended
    (tmp_path / "checkpoints" / "checkpoint_100.pt").unlink()
    exec(compile(first, "docs/resume.md: in one call, interrupted", "exec"), names)
    assert names["resumed"].iteration == 80
    assert names["objects"]["controller"].state_dict() == ended
    exec(compile(own, "docs/resume.md: own step", "exec"), names)
    assert (tmp_path / "own_checkpoints" / "checkpoint_40.pt").exists()
    exec(compile(in_rounds, "docs/resume.md: with Rounds", "exec"), names)
    assert (names["again"].critic_updates, names["again"].generator_due) == (1, names["rounds"].generator_due)
    exec(compile(check, "docs/resume.md: check", "exec"), names)
    assert capsys.readouterr().out == shown
    exec(compile(by_hand, "docs/resume.md: by hand", "exec"), names)
    assert names["objects"]["controller"].state_dict() == ended
