"""Loops of distillation as projects write them: one number means one thing."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from adaptive_critic import FixedController, Rounds, WassersteinGapController
from experiments.clients import distillation_loops
from experiments.clients.distillation import Distillation
from experiments.clients.distillation_loops import CONVENTIONS, distil, in_one_unit, original


@pytest.mark.parametrize(("convention", "n"), [("DMD2", 5), ("Self-Forcing", 5), ("FastGen", 4), ("rCM", 4)])
def test_five_in_the_settings_is_not_the_same_everywhere(convention: str, n: int) -> None:
    made = original(Distillation(0, watched=False), convention, 5, 30)
    between = [len(part) for part in made.split("g")[1:-1]]
    assert set(between) == {n} == {in_one_unit(convention, 5)}


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("k", [2, 5])
def test_the_driven_loop_makes_the_same_updates_in_the_same_order(convention: str, k: int) -> None:
    """Weights too, bit for bit: the same updates on the same noise."""
    plain, driven = (Distillation(0, watched=False) for _ in range(2))
    made = original(plain, convention, k, 20)
    rounds = Rounds(FixedController(in_one_unit(convention, k)))
    assert distil(driven, rounds, len(made)) == made
    assert (rounds.critic_updates, rounds.generator_updates) == (made.count("f"), made.count("g"))
    for one, other in zip(plain.generator.parameters(), driven.generator.parameters(), strict=True):
        assert torch.equal(one, other)


def test_feedback_gets_the_score_of_the_first_update_of_a_round() -> None:
    outputs: list[dict[str, Any]] = []

    def keep(output: dict[str, Any]) -> dict[str, Any]:
        outputs.append(output)
        return output

    toy, by_hand = Distillation(0), Distillation(0)
    rounds = Rounds(WassersteinGapController(warmup=1, gain=0.3, output_transform=keep))
    made = distil(toy, rounds, 60)
    by_hand.generator_update()
    rows = [len(part) for part in made.split("g")[1:-1]]
    assert len(set(rows)) > 1
    for n, output in zip(rows, outputs, strict=False):
        expected = by_hand.train_step(n)
        assert (output["d_real"], len(output["d_loss"])) == ([0.0], n)
        assert [float(score) for score in output["d_fake"]] == [float(score) for score in expected["d_fake"]]
        assert float(output["g_fake"]) == float(expected["g_fake"])


@pytest.mark.parametrize(
    ("convention", "k", "complaint"), [("DMD", 5, "'DMD': expected one of DMD2"), ("FastGen", 1, "k=1: under the")]
)
def test_what_is_no_number_of_updates(convention: str, k: int, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        in_one_unit(convention, k)


def test_the_script_runs(capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    distillation_loops.main([])
    torch.set_num_threads(threads)
    assert "FastGen, k = 5: n = 4, gffffgffffg" in capsys.readouterr().out
