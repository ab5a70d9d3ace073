from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.handlers import Checkpoint, DiskSaver
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from adaptive_critic import StateError
from adaptive_critic.random_state import RandomState
from adaptive_critic.resume.watch import entries
from tests.guard.engines import through_file
from tests.training_toys import Setup, mlp, real_batches


def with_normalisation() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))


def build(**options: Any) -> Setup:
    loader: DataLoader[Any] = DataLoader(TensorDataset(torch.cat(real_batches())), batch_size=10, shuffle=True)
    networks = (with_normalisation(), mlp(2, 1))
    optimizer = torch.optim.Adam
    return Setup(networks=networks, data=loader, lr=(0.01, 0.01), make_optimizer=optimizer, ema=0.8, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"n": 2},
        {"n": 1, "autocast": torch.float16},
        {"n": 3, "gradient_accumulation_steps": 2},
        {"n": 1, "penalty_every": 3},
    ],
    ids=str,
)
def test_a_run_resumed_from_a_checkpoint_goes_on_bit_for_bit(options: dict[str, Any], tmp_path: Path) -> None:
    first = build(**options)
    saver = Checkpoint(first.trainer.state.to_save, DiskSaver(str(tmp_path)))  # type: ignore[attr-defined]
    first.run(7)
    saver(first.trainer)
    expected = first.run(5)
    average = first.trainer.state.ema_generator.state_dict()  # type: ignore[attr-defined]

    second = build(**options)
    torch.manual_seed(123)
    (file,) = tmp_path.iterdir()
    checkpoint = torch.load(file, weights_only=True)
    Checkpoint.load_objects(second.trainer.state.to_save, checkpoint)  # type: ignore[attr-defined]
    assert second.trainer.state.iteration == 7
    second.set(options["n"])
    for a, b in zip(second.run(5), expected, strict=True):
        for key, value in b.items():
            assert torch.equal(torch.as_tensor(a[key]), torch.as_tensor(value)), key
    assert second.trainer.state.iteration == 12
    for x, y in zip(second.weights(), first.weights(), strict=True):
        assert torch.equal(x, y)
    restored = second.trainer.state.ema_generator.state_dict()  # type: ignore[attr-defined]
    for key, value in average.items():
        assert torch.equal(torch.as_tensor(restored[key]), torch.as_tensor(value)), key


def test_everything_with_a_state_is_offered_for_saving() -> None:
    setup = build(n=1, autocast=torch.float16)
    saved = setup.trainer.state.to_save  # type: ignore[attr-defined]
    assert {name: type(item).__name__ for name, item in saved.items()} == {
        "trainer": "Engine",
        "generator": "Sequential",
        "discriminator": "Sequential",
        "optimizer_g": "Adam",
        "optimizer_d": "Adam",
        "batches": "InfiniteBatches",
        "random_state": "RandomState",
        "ema_generator": "AveragedGenerator",
        "scaler": "GradScaler",
    }


def test_the_random_state_is_restored_only_on_the_rank_that_saved_it() -> None:
    state = RandomState(torch.device("cpu"))
    saved = state.state_dict()
    first = torch.rand(3)
    state.load_state_dict(saved | {"rank": 1})
    assert not torch.equal(torch.rand(3), first)
    state.load_state_dict(saved)
    assert torch.equal(torch.rand(3), first)
    with pytest.raises(ValueError, match=r"lacks \['cpu'\]; it has \['rank'\]"):
        state.load_state_dict({"rank": 0})


def drawn() -> tuple[float, ...]:
    """Draw from both; of each pair of normal numbers the second is kept for the next call."""
    numpy = np.random.standard_normal(3)  # noqa: NPY002  # the global generator is what is saved
    return (random.gauss(0, 1), random.random(), *numpy.tolist())


def test_pythons_and_numpys_random_states_are_restored_as_well() -> None:
    state = RandomState(torch.device("cpu"))
    drawn()
    saved = through_file(state.state_dict())
    expected = drawn()
    state.load_state_dict(saved)
    assert drawn() == expected
    early = {key: saved[key] for key in ("rank", "cpu")}  # as they were saved before the two were added
    random.seed(1)
    state.load_state_dict(early)
    assert random.random() == random.Random(1).random()


@pytest.mark.parametrize(
    "wrong",
    [
        {"cpu": 3},
        {"cpu": torch.zeros(5, dtype=torch.uint8)},
        {"python": []},
        {"python": {"version": 3, "words": torch.ones(4), "gauss": None}},
        {"numpy": {"words": torch.ones(3), "position": 1, "gauss": None}},
        {"numpy": {"words": torch.ones(624), "position": 1, "gauss": "x"}},
    ],
    ids=str,
)
def test_what_is_no_random_state_is_refused_and_nothing_changes(wrong: dict[str, Any]) -> None:
    state = RandomState(torch.device("cpu"))
    saved = through_file(state.state_dict())
    torch.rand(1)
    drawn()
    before = dict(entries(state.state_dict()))
    with pytest.raises(StateError, match="these are no saved random states: "):
        state.load_state_dict(saved | wrong)
    assert dict(entries(state.state_dict())) == before


def test_another_kind_of_global_generator_of_numpys_is_refused() -> None:
    module: Any = np.random  # its types lack the two functions
    before = module.get_bit_generator()
    module.set_bit_generator(np.random.PCG64(1))
    try:
        with pytest.raises(ValueError, match="global generator is a PCG64: only MT19937, the default, can be saved"):
            RandomState(torch.device("cpu")).state_dict()
    finally:
        module.set_bit_generator(before)
