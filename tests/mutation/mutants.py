"""One module's mutants, made and tried by mutmut in a copy of the project: the working tree is left alone."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.mutation.modules import Module

# mutmut is imported where it is used: `make mutation-test` installs it, and pytest looks for doctests in this file
# without it.

ROOT = Path(__file__).parents[2]


class Tried(NamedTuple):
    """What became of a module's mutants."""

    mutants: int
    """how many there are"""
    tried: int
    """how many of them were tried"""
    killed: int
    """how many made a test fail, or hang until the time limit"""
    survivors: list[str]
    """what was changed in the others: the name of the function, the line that was, the line that is"""


def copied(module: Module, folder: Path) -> None:
    """Copy what the tests of this module need, with mutmut's configuration for it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("adaptive_critic", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    configuration = (ROOT / "pyproject.toml").read_text()
    table = "[tool.mutmut]\n"
    if table not in configuration:
        raise RuntimeError("pyproject.toml has no [tool.mutmut]: that is where mutmut is configured")
    ours = f"only_mutate = [{module.path!r}]\npytest_add_cli_args_test_selection = {list(module.tests)!r}\n"
    (folder / "pyproject.toml").write_text(configuration.replace(table, table + ours))


@contextlib.contextmanager
def within(folder: Path) -> Iterator[None]:
    """Work in this folder with its configuration of mutmut."""
    from mutmut.configuration import reset_config

    before = Path.cwd()
    os.chdir(folder)
    reset_config()
    try:
        yield
    finally:
        os.chdir(before)


def sample(names: list[str], size: int, seed: int) -> list[str]:
    """Return ``size`` of the names, the same ones for the same seed; all of them if there are no more."""
    return names if len(names) <= size else sorted(random.Random(seed).sample(names, size))


def try_mutants(module: Module, folder: Path, size: int, seed: int, processes: int) -> Tried:
    """Try a random sample of a module's mutants on its tests.

    Raises:
        RuntimeError: if mutmut fails, such as when the tests fail without any mutant.
    """
    from mutmut.mutation.file_mutation import mutate_file_contents
    from mutmut.stats import status_by_exit_code
    from mutmut.utils.format_utils import get_mutant_name

    copied(module, folder)
    with within(folder):
        path = Path(module.path)
        names = [get_mutant_name(path, name) for name in mutate_file_contents(str(path), path.read_text()).mutant_names]
        chosen = sample(names, size, seed)
        command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(processes), *chosen]
        # The order of tests is that of a set of strings.
        environment = {**os.environ, "HYPOTHESIS_PROFILE": "mutation", "PYTHONHASHSEED": "0"}
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        meta = folder / "mutants" / f"{module.path}.meta"
        codes = json.loads(meta.read_text())["exit_code_by_key"] if meta.exists() else {}
        if done.returncode or any(codes.get(name) is None for name in chosen):
            raise RuntimeError(f"mutmut failed on {module.path}:\n{done.stdout[-4000:]}")
        killed = [name for name in chosen if status_by_exit_code[codes[name]] in ("killed", "timeout")]
        survivors = [_shown(name) for name in chosen if name not in set(killed)]
    return Tried(len(names), len(chosen), len(killed), survivors)


def _shown(name: str) -> str:
    """Return a mutant as the name of its function and the lines that differ."""
    from mutmut.mutation.diff_apply import get_diff_for_mutant

    function = name.rpartition("__mutmut_")[0].rpartition(".")[2]
    function = function.removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")
    lines = get_diff_for_mutant(name).splitlines()
    changed = [line for line in lines if line[:1] in ("-", "+") and line[:3] not in ("---", "+++")]
    return "\n".join([function, *changed])
