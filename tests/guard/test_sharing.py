"""What the ranks tell each other at a check, in one process; tests/guard/test_ranks.py has two."""

from __future__ import annotations

import math

import pytest
import torch

from adaptive_critic import distributed
from adaptive_critic.guard.sharing import layouts, means_over_ranks
from adaptive_critic.moments import Row
from adaptive_critic.step_output import StepOutputError

NAMES = ("a", "b", "d_loss")


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
    masks = [0b01, 0b01, 0, 0b11, 0b10, 0b01]
    assert layouts(rows, masks) == [(0b01, 3, 2), (0, 0, 1), (0b11, 2, 1), (0b10, 2, 1), (0b01, 1, 1)]
    columns, scale = means_over_ranks(rows, masks, NAMES, "", 2, 0.5)
    assert columns == {"a": [1.0, 1.5, 2.0, 5.0], "b": [3.0, 4.0], "d_loss": [15.0, 40.0, 7.0]}
    assert scale == 0.5
    (message,) = messages
    assert message.shape == (2 * len(rows) * len(NAMES) + 2,)


def test_numbers_keep_their_precision(messages: list[torch.Tensor]) -> None:
    value = 1.0 + 2.0**-40
    assert means_over_ranks([(value, value)], [0b01], NAMES, "", 2, 1.0)[0] == {"a": [value], "d_loss": [value]}


def test_a_value_that_is_no_number_reaches_every_rank(messages: list[torch.Tensor]) -> None:
    columns, _ = means_over_ranks([(math.inf,), (1.0,)], [0b01, 0b01], NAMES, "", 2, 1.0)
    assert columns == {"a": [math.inf, 1.0]}


def test_what_one_rank_did_wrong_is_raised(messages: list[torch.Tensor]) -> None:
    with pytest.raises(StepOutputError, match="^rank 0: no dict$"):
        means_over_ranks([()], [0], NAMES, "no dict", 2, 1.0)
    assert len(messages) == 1


def test_a_value_that_some_ranks_lack_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "sum_over_ranks", lambda vector: vector)
    with pytest.raises(
        StepOutputError, match="^'a' is in the training step's output of 1 of 2 ranks: all must return the same keys$"
    ):
        means_over_ranks([(1.0,)], [0b01], NAMES, "", 2, 1.0)


def test_the_message_is_on_the_device_of_the_values(messages: list[torch.Tensor]) -> None:
    rows: list[Row] = [torch.ones(2, device="meta"), (1.0, 2.0)]
    assert means_over_ranks(rows, [0b01, 0b01], NAMES, "", 2, 1.0)[0] == {}
    assert messages[0].device.type == "meta"
