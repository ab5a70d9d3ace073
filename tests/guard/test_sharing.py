"""What the ranks tell each other at a check, in one process; tests/guard/test_ranks.py has two."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch

from adaptive_critic import distributed
from adaptive_critic.guard.scores import Scores
from adaptive_critic.rows import Row
from adaptive_critic.step_output import StepOutputError

WIDTH = 8  # seven scalars, and the mean of the critic's losses


def means(
    rows: Sequence[Row], names: Sequence[tuple[str, ...]], error: str = "", scale: float = 0.5
) -> tuple[dict[str, list[float]], float]:
    """Return what one of two ranks reads; values beyond the names are losses."""
    scores = Scores()
    scores.ranks, scores._error = distributed.AllRanks(), error
    scores.ranks.count = 2
    pairs = zip(names, rows, strict=True)
    scores.restore([((*scalars, *["d_loss"] * (len(row) - len(scalars))), row) for scalars, row in pairs])
    return scores.read(scale)


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """Two ranks that see the same; what each of them sends."""
    sent: list[torch.Tensor] = []

    def summed(vector: torch.Tensor) -> torch.Tensor:
        sent.append(vector)
        return 2 * vector if vector.device.type == "cpu" else torch.zeros(vector.shape)

    monkeypatch.setattr(distributed, "sum_over_ranks", summed)
    monkeypatch.setattr(distributed, "first_message", lambda message: f"rank 0: {message}")
    return sent


def test_values_of_each_iteration_by_name(messages: list[torch.Tensor]) -> None:
    rows: list[Row] = [
        (1.0, 10.0, 20.0),
        torch.tensor([1.5, 30.0, 50.0]),  # the one tensor among them
        (),
        (2.0, 3.0),
        (4.0, 7.0),
        (5.0,),
    ]
    names = [("d_real",), ("d_real",), (), ("d_real", "g_loss"), ("g_loss",), ("d_real",)]
    columns, scale = means(rows, names)
    assert columns == {"d_real": [1.0, 1.5, 2.0, 5.0], "g_loss": [3.0, 4.0], "d_loss": [15.0, 40.0, 7.0]}
    assert scale == 0.5
    (message,) = messages
    assert message.shape == (2 * len(rows) * WIDTH + 2,)


def test_numbers_keep_their_precision(messages: list[torch.Tensor]) -> None:
    value = 1.0 + 2.0**-40
    assert means([(value, value)], [("d_real",)])[0] == {"d_real": [value], "d_loss": [value]}


def test_a_value_that_is_no_number_reaches_every_rank(messages: list[torch.Tensor]) -> None:
    columns, _ = means([(math.inf,), (1.0,)], [("d_real",), ("d_real",)])
    assert columns == {"d_real": [math.inf, 1.0]}


def test_what_one_rank_did_wrong_is_raised(messages: list[torch.Tensor]) -> None:
    with pytest.raises(StepOutputError, match="^rank 0: no dict$"):
        means([()], [()], error="no dict")
    assert len(messages) == 1


def test_a_value_that_some_ranks_lack_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "sum_over_ranks", lambda vector: vector)
    with pytest.raises(
        StepOutputError,
        match="^'d_real' is in the training step's output of 1 of 2 ranks: all must return the same keys$",
    ):
        means([(1.0,)], [("d_real",)])


def test_the_message_is_on_the_device_of_the_values(messages: list[torch.Tensor]) -> None:
    rows: list[Row] = [torch.ones(2, device="meta"), (1.0, 2.0)]
    assert means(rows, [("d_real",), ("d_real",)])[0] == {}
    assert messages[0].device.type == "meta"
