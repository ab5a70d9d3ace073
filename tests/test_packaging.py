"""What ships: the wheel and the source archive are built, listed, installed elsewhere and imported from there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

import adaptive_critic

ROOT = Path(__file__).parents[1]
# Ours are about fifty; a heavy import (a plotting library, scipy.stats) brings hundreds.
MOST_MODULES_ADDED = 100


def _run(*command: str, cwd: Path, **environment: str) -> str:
    run = subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.returncode == 0, f"{' '.join(command)} failed:\n{run.stdout}\n{run.stderr}"
    return run.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source archive, and the wheel built from that archive."""
    folder = tmp_path_factory.mktemp("dist")
    _run("-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT), cwd=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> zipfile.ZipFile:
    (path,) = built.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return Parser().parsestr(wheel.read(name).decode("utf-8"))


def test_wheel_holds_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    expected = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "adaptive_critic").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    information = f"adaptive_critic-{adaptive_critic.__version__}.dist-info/"
    names = {name for name in wheel.namelist() if not name.startswith(information)}
    assert names == expected
    assert "adaptive_critic/py.typed" in names
    assert f"{information}licenses/LICENSE" in wheel.namelist()


def test_source_archive_can_be_tested_and_documented(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = {
        *("pyproject.toml", "constraints.txt", "Makefile", "README.md", "LICENSE"),
        *("CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff"),
        *("adaptive_critic/__init__.py", "adaptive_critic/py.typed"),
        *("tests/conftest.py", "docs/conf.py", "experiments/__init__.py"),
    }
    assert needed - names == set()
    built_or_cached = re.compile(r"(^|/)(__pycache__|\.[a-z]+_cache|_build|runs|\.venv.*|\.hypothesis)(/|$)")
    assert [name for name in names if built_or_cached.search(name)] == []


def test_metadata(metadata: Message) -> None:
    assert metadata["Name"] == "adaptive-critic"
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert metadata["Requires-Python"] == ">=3.10"
    core = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert sorted(re.split(r"[<>=!~ ]", line)[0] for line in core) == [
        *("numpy", "pytorch-ignite", "scipy", "torch"),
    ]
    assert set(metadata.get_all("Provides-Extra", [])) == {"clients", "docs", "experiments", "plots"}


def test_one_version_everywhere(metadata: Message) -> None:
    version = adaptive_critic.__version__
    assert metadata["Version"] == version
    assert re.search(rf"^version: {re.escape(version)}$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)


def test_installed_wheel_imports_from_another_folder(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    target, elsewhere = tmp_path / "target", tmp_path / "elsewhere"
    elsewhere.mkdir()
    pip = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check")
    _run(*pip, "--target", str(target), str(wheel.filename), cwd=elsewhere)
    program = """
import sys
import torch, ignite.engine, ignite.handlers, ignite.metrics, ignite.distributed
before = set(sys.modules)
import adaptive_critic
print(adaptive_critic.__file__)
print(len(set(sys.modules) - before))
for name in adaptive_critic.__all__:
    getattr(adaptive_critic, name)
"""
    output = _run("-c", program, cwd=elsewhere, PYTHONPATH=str(target))
    imported_from, modules_added = output.split("\n")[:2]
    assert Path(imported_from).is_relative_to(target)
    assert int(modules_added) < MOST_MODULES_ADDED


def test_every_public_name_is_in_the_reference() -> None:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    missing = [name for name in adaptive_critic.__all__ if not re.search(rf"\b{name}\b", text)]
    assert not missing, f"docs/api.md lacks {missing}"
