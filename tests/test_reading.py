from __future__ import annotations

import torch

from adaptive_critic.reading import LaggedRead


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
