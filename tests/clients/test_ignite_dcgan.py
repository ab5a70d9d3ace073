"""The patch to pytorch-ignite's DCGAN example; the example itself is taken from where IGNITE_DCGAN says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from adaptive_critic import FixedController
from experiments.clients import ignite_dcgan

pytestmark = pytest.mark.filterwarnings("ignore")  # the example's own


def changed_lines() -> list[str]:
    lines = ignite_dcgan.PATCH.read_text().splitlines()
    return [line for line in lines if line[:1] in ("+", "-") and line[:3] not in ("+++", "---")]


@pytest.fixture
def source() -> Path:
    given = os.environ.get("IGNITE_DCGAN")
    if not given:
        pytest.skip("IGNITE_DCGAN is not set: the path of examples/gan/dcgan.py in a checkout of pytorch/ignite")
    return Path(given)


def test_the_patch_is_short() -> None:
    assert 0 < len(changed_lines()) < 15


def test_a_file_that_it_does_not_fit(tmp_path: Path) -> None:
    other = tmp_path / "other.py"
    with pytest.raises(FileNotFoundError, match=r"expected dcgan.py"):
        ignite_dcgan.patched(other, tmp_path)
    other.write_text("def step(engine, batch):\n    pass\n")
    with pytest.raises(ValueError, match="does not fit"):
        ignite_dcgan.patched(other, tmp_path)


def test_applied_it_trains_and_the_number_moves(source: Path, tmp_path: Path) -> None:
    example = ignite_dcgan.load(ignite_dcgan.patched(source, tmp_path))
    run = ignite_dcgan.train(example, tmp_path / "output", epochs=2)
    state = run.trainer.state
    assert (state.iteration, state.generator_updates) == (32, 32)
    assert 1 <= state.num_discriminator_steps <= 10
    assert state.critic_ratio != 2.0, "the controller never moved"
    assert state.critic_updates != 32
    assert len(run.log) == 1 + 32
    values = [float(value) for line in run.log[1:] for value in line.split("\t")]
    assert torch.isfinite(torch.tensor(values)).all()


def test_with_one_update_it_is_the_example_bit_for_bit(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = ignite_dcgan.train(ignite_dcgan.load(source), tmp_path / "own", epochs=1)
    example = ignite_dcgan.load(ignite_dcgan.patched(source, tmp_path))
    fixed: list[FixedController] = []

    def one(*arguments: Any, **options: Any) -> FixedController:
        fixed.append(FixedController(1))
        return fixed[-1]

    monkeypatch.setattr(example, "LossRatioPIDController", one)
    run = ignite_dcgan.train(example, tmp_path / "patched", epochs=1)
    assert run.log == own.log
    assert len(run.log) == 1 + 16
    assert fixed[0].critic_updates == 16
