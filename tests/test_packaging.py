"""What ships: the wheel and the source archive are built, listed, installed elsewhere and imported from there."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import adaptive_critic

ROOT = Path(__file__).parents[1]
# Ours are about fifty; a heavy import (a plotting library, scipy.stats) brings hundreds.
MOST_MODULES_ADDED = 100
# What only some uses need is imported there.
NOT_AT_IMPORT = ("matplotlib", "scipy", "sklearn", "pandas", "plotly", "dask", "joblib", "tensorboard", "tqdm", "ctgan")
# A few that need no other file of tests, and make engines, controllers and pictures.
TESTS_OF_THE_WHEEL = ("test_history.py", "test_budget.py", "test_checks.py")


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
        *("numpy", "pytorch-ignite", "torch"),
    ]
    assert set(metadata.get_all("Provides-Extra", [])) == {"clients", "docs", "experiments", "plots"}


def test_the_package_page_is_the_readme(metadata: Message) -> None:
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert str(metadata.get_payload()).strip() == (ROOT / "README.md").read_text(encoding="utf-8").strip()


def test_an_address_makes_links_absolute() -> None:
    path = ROOT / "docs" / "package_page.py"
    hook = runpy.run_path(str(path))["PackagePage"](
        str(ROOT), {"path": str(path), "address": "https://example.org/it/"}
    )
    made: dict[str, Any] = {}
    hook.update(made)
    targets = re.findall(r"(!?)\[[^\]\n]*\]\(([^)\s]+)\)", made["readme"]["text"])
    assert len(targets) > 20
    assert all(target.startswith(("https://", "#")) for _, target in targets)
    own = [
        (image, target.removeprefix("https://example.org/it/")) for image, target in targets if "example.org" in target
    ]
    assert ("!", "raw/main/docs/images/demo.png") in own
    assert ("", "blob/main/docs/which.md") in own
    assert all((ROOT / target.split("main/")[1].split("#")[0]).exists() for _, target in own)
    for name in ("Homepage", "Source", "Docs"):
        assert made["urls"][name].startswith("https://example.org/it")


def test_one_version_everywhere(metadata: Message) -> None:
    version = adaptive_critic.__version__
    assert metadata["Version"] == version
    assert re.search(rf"^version: {re.escape(version)}$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)


def test_links_licence_and_classifiers(metadata: Message) -> None:
    links = dict(line.split(", ", 1) for line in metadata.get_all("Project-URL", []))
    assert links
    assert all(re.fullmatch(r"https://\S+", link) for link in links.values())
    classifiers = metadata.get_all("Classifier", [])
    assert "Typing :: Typed" in classifiers
    assert not [line for line in classifiers if line.startswith("License ::")]  # the SPDX expression says it
    oldest = metadata["Requires-Python"].removeprefix(">=")
    assert f"Programming Language :: Python :: {oldest}" in classifiers


def _pins() -> dict[str, list[Requirement]]:
    """Return the lines of constraints.txt by the names of their packages."""
    pins: dict[str, list[Requirement]] = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            pin = Requirement(line)
            pins.setdefault(canonicalize_name(pin.name), []).append(pin)
    return pins


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.13"])
def test_every_requirement_is_pinned_to_a_version_that_it_allows(metadata: Message, python: str) -> None:
    pins = _pins()
    environment: dict[str, str] = {**default_environment(), "python_version": python}  # type: ignore[dict-item]  # all str
    wrong = []
    for line in metadata.get_all("Requires-Dist", []):
        wanted = Requirement(line)
        if wanted.name == "adaptive-critic":  # an extra that takes in another one
            continue
        fitting = [
            pin
            for pin in pins.get(canonicalize_name(wanted.name), [])
            if pin.marker is None or pin.marker.evaluate(environment)
        ]
        versions = [next(iter(pin.specifier)).version for pin in fitting]
        if len(versions) != 1 or not wanted.specifier.contains(versions[0]):
            wrong.append(f"{line}: constraints.txt has {versions}")
    assert not wrong


def test_citation_file() -> None:
    yaml = pytest.importorskip("yaml")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    # What the schema of version 1.2.0 asks for, and what the project says of itself elsewhere.
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert citation["license"] == "BSD-3-Clause"
    assert citation["version"] == adaptive_critic.__version__
    assert all(author.get("name") for author in citation["authors"])


@pytest.fixture(scope="module")
def installed(wheel: zipfile.ZipFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but what the wheel puts there."""
    target = tmp_path_factory.mktemp("target")
    pip = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check")
    _run(*pip, "--target", str(target), str(wheel.filename), cwd=target)
    return target


def test_tests_of_the_source_archive_pass_with_the_wheel(built: Path, installed: Path, tmp_path: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    wanted = [f"tests/{name}" for name in ("conftest.py", *TESTS_OF_THE_WHEEL)]
    with tarfile.open(path) as archive:
        top = archive.getnames()[0].partition("/")[0]
        for name in wanted:
            content = archive.extractfile(f"{top}/{name}")
            assert content is not None
            (tmp_path / Path(name).name).write_bytes(content.read())
    is_the_wheel = f"assert adaptive_critic.__file__.startswith({str(installed)!r})"
    (tmp_path / "test_origin.py").write_text(f"import adaptive_critic\n\ndef test_origin():\n    {is_the_wheel}\n")
    output = _run("-m", "pytest", "-q", "-p", "no:cacheprovider", ".", cwd=tmp_path, PYTHONPATH=str(installed))
    passed = re.search(r"(\d+) passed", output)
    assert passed is not None
    assert int(passed[1]) > 20


def test_installed_wheel_imports_from_another_folder(installed: Path, tmp_path: Path) -> None:
    program = """
import sys
import torch, ignite.engine, ignite.handlers, ignite.metrics, ignite.distributed
before = set(sys.modules)
import adaptive_critic
print(adaptive_critic.__file__)
print(*sorted(set(sys.modules) - before))
for name in adaptive_critic.__all__:
    getattr(adaptive_critic, name)
"""
    imported_from, modules = _run("-c", program, cwd=tmp_path, PYTHONPATH=str(installed)).splitlines()
    assert Path(imported_from).is_relative_to(installed)
    added = modules.split()
    assert len(added) < MOST_MODULES_ADDED
    assert [name for name in added if name.partition(".")[0] in NOT_AT_IMPORT] == []


def test_every_public_name_is_in_the_reference() -> None:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    missing = [name for name in adaptive_critic.__all__ if not re.search(rf"\b{name}\b", text)]
    assert not missing, f"docs/api.md lacks {missing}"
