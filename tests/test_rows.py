"""Rows of scalars: copied, read at once, summed over ranks, or read one call late."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from adaptive_critic import distributed
from adaptive_critic.exchange import LaggedRead, Ranks, received, sent
from adaptive_critic.rows import Row, numbers, pack
from adaptive_critic.step_output import StepOutputError
from experiments.bench.counting import host_reads


def test_hands_out_what_was_submitted_one_call_earlier() -> None:
    read = LaggedRead()
    assert read.exchange(torch.tensor([1.0, 2.0])) is None
    assert read.exchange(torch.tensor([3.0])) == [1.0, 2.0]
    assert read.exchange(torch.tensor([4.0])) == [3.0]
    assert read.pending() == [4.0]


def test_what_is_submitted_is_copied() -> None:
    read, vector = LaggedRead(), torch.tensor([1.0])
    read.exchange(vector)
    vector.fill_(9.0)
    assert read.pending() == [1.0]


def test_restores_what_was_pending() -> None:
    read, twin = LaggedRead(), LaggedRead()
    assert read.pending() is None
    read.exchange(torch.tensor([0.1, 1e300], dtype=torch.float64))
    twin.restore(read.pending())
    assert twin.exchange(torch.zeros(2)) == read.exchange(torch.zeros(2)) == [0.1, 1e300]
    twin.restore(None)
    assert twin.exchange(torch.zeros(1)) is None


ROWS: list[Row] = [
    (1.0, 2.0, 3.0),
    torch.tensor([4.0, 5.0]),
    (),
    torch.tensor([6, 7]),
    torch.tensor([0.1], dtype=torch.float64),
]
HOST = [[1.0, 2.0, 3.0], [4.0, 5.0], [], [6.0, 7.0], [0.1]]


@pytest.mark.parametrize("chosen", [range(5), [1, 3, 4], [0, 2], [1], [3], [0], []])
def test_rows_of_any_form_and_length_are_read_at_once(chosen: Sequence[int]) -> None:
    with host_reads() as reads:
        found = [list(row) for row in numbers([ROWS[index] for index in chosen])]
    assert found == [HOST[index] for index in chosen]
    assert all(type(value) is float for row in found for value in row)
    assert len(reads) == any(index in (1, 3, 4) for index in chosen)


def test_a_row_is_a_copy_without_a_graph() -> None:
    value = torch.ones((), requires_grad=True)
    for other in (torch.zeros(()), 0.0):
        row = pack([value * 1, other])
        assert isinstance(row, torch.Tensor)
        assert not row.requires_grad
    buffer = torch.ones(())
    row = pack([buffer, 1e300])
    buffer.fill_(5.0)
    assert numbers([row]) == [[1.0, 1e300]]


def test_floats_need_no_tensor() -> None:
    assert pack([1, 2.5]) == (1.0, 2.5)


def test_an_error_of_one_rank_is_raised_on_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "sum_over_ranks", lambda vector: 2 * vector)
    monkeypatch.setattr(distributed, "first_message", lambda message: f"rank 1: {message}")
    vector = torch.tensor([1.0, 2.0])
    ranks = distributed.AllRanks()
    assert ranks.sum(vector) is vector
    ranks.count = 2
    assert received(sent(vector, "", ranks).tolist(), "", ranks) == [2.0, 4.0]
    assert sent(vector, "", Ranks()).tolist() == [1.0, 2.0, 0.0]
    with pytest.raises(StepOutputError, match="^rank 1: no dict$"):
        received(sent(vector, "no dict", ranks).tolist(), "no dict", ranks)
