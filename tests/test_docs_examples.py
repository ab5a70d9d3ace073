"""The complete script of the docs runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

PAGE = Path(__file__).resolve().parents[1] / "docs" / "start.md"


def test_the_complete_script_trains(capsys: pytest.CaptureFixture[str]) -> None:
    found = re.search(r":name: complete-script\n\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert found
    state = torch.get_rng_state()
    exec(compile(found[1], str(PAGE), "exec"), {})
    torch.set_rng_state(state)
    steps, updates, samples = map(int, capsys.readouterr().out.split())
    assert 1 <= steps <= 20
    assert 100 <= updates <= 2000
    assert samples == 64 * updates
