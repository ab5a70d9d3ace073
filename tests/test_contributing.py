"""The recipe of CONTRIBUTING.md, "Add a control law", followed to the letter in a copy, stands the tests."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
COPIED = (
    *("adaptive_critic", "experiments", "pyproject.toml", "tests/__init__.py", "tests/conftest.py"),
    "tests/streams.py",
    *("tests/laws", "tests/handlers", "tests/test_architecture.py", "tests/test_controller_law.py"),
)
NOT_COPIED = shutil.ignore_patterns("__pycache__", "results", "weights", "*.png")
# Of these files what concerns the new law, or sees that each has its rows.
TRIED = (
    *("tests/laws/test_contract.py", "tests/handlers", "tests/test_architecture.py", "tests/test_controller_law.py"),
    *("tests/test_contender.py", "adaptive_critic/handlers/accuracy_target.py"),
)
CONCERNS = "accuracy_target or AccuracyTarget or (accuracy and target) or has_a_row or contender"
CONTENDER = """
from adaptive_critic import AccuracyTargetController
from experiments.contenders import select_contenders


def test_contender() -> None:
    (row,) = select_contenders(["accuracy-target"])
    assert isinstance(row.make(), AccuracyTargetController)
"""


def section() -> str:
    """Return the recipe."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return re.split(r"^## ", text.partition("## Add a control law\n")[2], flags=re.M)[0]


def with_rows(text: str, rows: str, table: str) -> str:
    """Return a module with the imports among ``rows`` before its own, and the rest at the end of ``table``."""
    lines = rows.splitlines(keepends=True)
    imports = "".join(line for line in lines if line.startswith("from "))
    rest = "".join(line for line in lines if not line.startswith("from "))
    whole = rf"^{table}\b[^=\n]*= [\[({{]\n.*?(?=^[\])}}])"
    text, found = re.subn(whole, lambda match: match[0] + rest, text, flags=re.M | re.S)
    assert found == 1, f"{found} tables {table}"
    at = re.search(r"^from (?!__future__)", text, re.M)
    assert at is not None
    return text[: at.start()] + imports + text[at.start() :]


def follow(recipe: str, root: Path) -> list[str]:
    """Write what the recipe shows into a copy of the project; return the files that it named."""
    named = []
    parts = re.split(r"^```python\n(.*?)^```\n", recipe, flags=re.M | re.S)
    for text, code in zip(parts[::2], parts[1::2], strict=False):
        row = re.match(r"# (\S+\.py), (\w+)\n", code)
        if row is not None:
            name, table = row.groups()
            path = root / name
            path.write_text(with_rows(path.read_text(encoding="utf-8"), code[row.end() :], table), encoding="utf-8")
        else:
            name = re.findall(r"`(\S+\.py)`", text)[-1]
            assert not (root / name).exists(), f"{name} is there already"
            (root / name).write_text(code, encoding="utf-8")
        named.append(name)
    return named


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in COPIED:
        source, target = ROOT / name, tmp_path / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=NOT_COPIED)
        elif source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    return tmp_path


def test_the_recipe_for_a_law_works_as_it_is_typed(copy: Path) -> None:
    named = follow(section(), copy)
    assert len(named) == 6, "law, handler, export, two tables; and a contender"
    (copy / "tests" / "test_contender.py").write_text(CONTENDER, encoding="utf-8")
    pytest_alone = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [*pytest_alone, "-k", CONCERNS, *TRIED],
        cwd=copy,
        env={**os.environ, "HYPOTHESIS_PROFILE": "ci", "HYPOTHESIS_MAX_EXAMPLES": "5", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 60, done.stdout[-500:]
