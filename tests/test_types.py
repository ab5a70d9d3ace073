"""A user's code under mypy --strict, with the settings that a stranger has: none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mypy import api

import adaptive_critic

USER = Path(__file__).parent / "typed_user.py"
WRONG = """
from adaptive_critic import FixedController, WassersteinGapController, infinite_batches

FixedController("5")
steps: str = WassersteinGapController().num_discriminator_steps
WassersteinGapController(limits=3)
WassersteinGapController(setpiont=0.1)
batch: str = next(infinite_batches([1, 2]))
"""


def strict(cache: Path, *files: Path) -> str:
    out, errors, _ = api.run(
        ["--strict", "--config-file=", f"--cache-dir={cache}", "--no-error-summary", *map(str, files)]
    )
    # mypy keeps errors in its cache with the folder that the file was in then.
    return re.sub(r"^\S*/(?=(?:user|wrong)\.py:)", "", out + errors, flags=re.MULTILINE)


def test_every_public_name_is_used() -> None:
    text = USER.read_text()
    handlers = {name for name in adaptive_critic.__all__ if name.endswith("Controller")}  # some stand for all of them
    missing = [name for name in adaptive_critic.__all__ if not re.search(rf"\bac\.{name}\b", text)]
    missing = [name for name in missing if name not in handlers]
    assert not missing, f"use {missing} in {USER.name}"


def test_a_users_code_passes_and_wrong_code_does_not(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    user, wrong = tmp_path / "user.py", tmp_path / "wrong.py"
    user.write_text(USER.read_text())
    wrong.write_text(WRONG)
    found = strict(pytestconfig.cache.mkdir("mypy-user"), user, wrong).splitlines()
    assert [line for line in found if not line.startswith("wrong.py")] == []
    lines = [(int(line.split(":")[1]), line.rpartition("[")[2]) for line in found if "error:" in line]
    expected = ["arg-type]", "assignment]", "arg-type]", "call-arg]", "assignment]"]
    assert lines == list(zip(range(4, 9), expected, strict=True))
