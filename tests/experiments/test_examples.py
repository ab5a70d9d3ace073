"""The scripts that people copy run, each cut short. The one for several ranks is run by tests/test_torchrun.py."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from experiments.examples import dcgan, notebook, wgan_gp

EXAMPLES = Path(wgan_gp.__file__).parent
ROOT = EXAMPLES.parents[1]


def test_points_in_the_plane(capsys: pytest.CaptureFixture[str]) -> None:
    state = torch.get_rng_state()
    wgan_gp.main(["--iterations", "400"])
    lines = capsys.readouterr().out.splitlines()
    torch.set_rng_state(state)
    assert [line.split(":")[0] for line in lines] == [f"iteration {at}" for at in (80, 160, 240, 320, 400)]
    first, last = (float(line.rpartition("distance ")[2]) for line in (lines[0], lines[-1]))
    assert last < 0.75 * first


def test_images_and_going_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = torch.get_rng_state()
    tiny = ["--data", "mnist-5k", "--batch_size", "8", "--width", "2", "--device", "cpu", "--out", str(tmp_path)]
    dcgan.main([*tiny, "--iterations", "10"])
    dcgan.main([*tiny, "--iterations", "20"])
    torch.set_rng_state(state)
    iterations = [int(found) for found in re.findall(r"^iteration (\d+):", capsys.readouterr().out, re.M)]
    assert iterations == [*range(1, 11), *range(12, 21, 2)]
    for name in ("samples.png", "critic.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["wgan_gp", "dcgan"])
def test_a_script_starts_as_its_page_says(name: str) -> None:
    command = f"python -m experiments.examples.{name}"
    assert command in (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    assert command in (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")
    options = subprocess.run(
        [sys.executable, *command.split()[1:], "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "--seed" in options.stdout


def test_the_notebook_is_that_of_the_tutorial() -> None:
    page = notebook.PAGE.read_text(encoding="utf-8")
    found = json.loads(notebook.NOTEBOOK.read_text(encoding="utf-8"))
    assert found == notebook.notebook(page), "write it again with python -m experiments.examples.notebook"
    code = ["".join(cell["source"]) for cell in found["cells"] if cell["cell_type"] == "code"]
    assert len(code) == page.count("```{code-cell}") + 1
    for cell in code[1:]:
        assert cell in page
        if not cell.startswith("%"):
            ast.parse(cell)
    text = "".join("".join(cell["source"]) for cell in found["cells"] if cell["cell_type"] == "markdown")
    assert not re.search(r"\{py:|\.md\)|^:tags:|code-cell", text, re.M)
