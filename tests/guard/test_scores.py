"""What is gathered between two checks, whatever the form in which a step returns it."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch

from adaptive_critic import distributed
from adaptive_critic.guard.scores import Scores
from adaptive_critic.state import StateError
from adaptive_critic.step_output import StepOutputError

# Of three critic updates; the guard looks at the last score, and at all losses.
SCORES = {"d_real": [9.0, 9.0, 1.5], "d_fake": [9.0, 9.0, -0.5], "d_real_std": [9.0, 9.0, 0.25]}
SCALARS = {"g_loss": 0.75, "g_fake": -0.125}
LOSSES = [-2.0, -2.5, -3.0]
COLUMNS = {
    "d_real": [1.5],
    "d_fake": [-0.5],
    "d_real_std": [0.25],
    "g_loss": [0.75],
    "g_fake": [-0.125],
    "d_loss": LOSSES,
}

SEQUENCES: dict[str, Any] = {
    "tensor": torch.tensor,
    "tensors": lambda values: tuple(torch.tensor(values).unbind()),
    "floats": list,
    "mixed": lambda values: [*values[:-1], torch.tensor(values[-1])],
}
NUMBERS: dict[str, Any] = {"tensor": torch.tensor, "float": float}


def written(scores: str, numbers: str, losses: str) -> dict[str, Any]:
    """Return an iteration's output with its entries in these forms."""
    return {
        **{key: SEQUENCES[scores](values) for key, values in SCORES.items()},
        **{key: NUMBERS[numbers](value) for key, value in SCALARS.items()},
        "d_loss": SEQUENCES[losses](LOSSES),
    }


def read(*outputs: Any) -> dict[str, list[float]]:
    window = Scores()
    for output in outputs:
        window.add(output)
    assert len(window) == len(outputs)
    return window.read()[0]


@pytest.mark.parametrize("losses", SEQUENCES)
@pytest.mark.parametrize("numbers", NUMBERS)
@pytest.mark.parametrize("scores", SEQUENCES)
def test_the_form_makes_no_difference(scores: str, numbers: str, losses: str) -> None:
    assert read(written(scores, numbers, losses)) == COLUMNS


@pytest.mark.parametrize("form", ["tensor", "floats"])
def test_a_state_has_plain_numbers(form: str) -> None:
    window = Scores()
    window.add(written(form, "float" if form == "floats" else "tensor", form))
    (row,) = window.state_dict()["rows"]
    assert {type(value) for value in row} == {float}


def test_iterations_of_several_forms_and_lengths_are_read_together() -> None:
    forms = list(itertools.product(("tensor", "floats"), ("tensor", "float"), ("tensor", "floats")))
    few = {"g_loss": 0.5}
    columns = read(*[written(*form) for form in forms], few, {"d_loss": [4.0]}, few)
    assert columns.pop("g_loss") == [0.75] * 8 + [0.5] * 2
    assert sorted(columns.pop("d_loss")) == sorted(LOSSES * 8 + [4.0])
    assert columns == {key: COLUMNS[key] * 8 for key in ("d_real", "d_fake", "d_real_std", "g_fake")}


@pytest.mark.parametrize("loss", [torch.tensor(2.0), 2.0, torch.tensor([2.0]), [2.0], (torch.tensor(2.0),)])
def test_a_loss_alone(loss: Any) -> None:
    assert read({"d_loss": loss}) == {"d_loss": [2.0]}


@pytest.mark.parametrize("nothing", [[], (), torch.zeros(0)])
def test_an_entry_without_critic_updates_is_none(nothing: Any) -> None:
    assert read({"d_real": nothing, "d_loss": nothing, "g_loss": 1.0}) == {"g_loss": [1.0]}


def test_integers_and_precisions() -> None:
    outputs = [
        {"g_loss": 3, "g_fake": torch.tensor(0.1, dtype=torch.float64)},
        {"g_loss": torch.tensor(3), "g_fake": torch.tensor(0.25, dtype=torch.bfloat16)},
    ]
    assert read(*outputs) == {"g_loss": [3.0, 3.0], "g_fake": [0.1, 0.25]}


def test_floats_among_tensors_keep_their_precision() -> None:
    outputs = [{"g_loss": 0.1}, {"g_loss": torch.tensor(0.1, dtype=torch.float64)}]
    assert read(*outputs) == {"g_loss": [0.1, 0.1]}
    assert read({"g_loss": torch.tensor(0.2, dtype=torch.float64), "g_fake": 0.1}) == {"g_loss": [0.2], "g_fake": [0.1]}


def test_whole_numbers_become_floats() -> None:
    (loss,) = read({"g_loss": torch.tensor(3)})["g_loss"]
    assert (type(loss), loss) == (float, 3.0)


def test_gathering_reads_no_tensor_on_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(tensor: torch.Tensor) -> Any:
        raise AssertionError("a read of the device")

    window = Scores()
    with monkeypatch.context() as patched:
        for name in ("__float__", "__bool__", "item", "tolist"):
            patched.setattr(torch.Tensor, name, forbidden)
        window.add(written("tensor", "tensor", "tensor"))
        window.add(written("tensors", "float", "mixed"))
    assert window.read()[0]["g_loss"] == [0.75, 0.75]


@pytest.mark.parametrize("form", ["tensor", "floats"])
def test_what_waits_for_a_check_goes_through_a_state(form: str) -> None:
    window, other = Scores(), Scores()
    for output in (written(form, "tensor", form), {"g_loss": 2.0}):
        window.add(output)
    state = window.state_dict()
    other.restore(other.read_state(state))
    assert other.state_dict() == state
    assert other.read() == window.read()
    assert len(other) == 2
    other.clear()
    assert (len(other), other.read()) == (0, ({}, math.inf))


@pytest.mark.parametrize(
    ("mask", "entries", "possible"),
    [
        (0, 0, True),
        (0, 3, True),
        (-1, 9, False),
        (0b11, 1, False),
        (0b11, 2, True),
        (0b11, 5, True),
        (1 << 20, 9, False),
    ],
)
def test_which_rows_a_mask_can_have(mask: int, entries: int, possible: bool) -> None:
    """A score for each bit, and then any number of losses."""
    state = {"updates": [], "masks": [mask], "rows": [[1.0] * entries]}
    if possible:
        scores = Scores()
        scores.restore(scores.read_state(state))
        assert scores.state_dict() == state
    else:
        with pytest.raises(StateError, match=r"can't have the mask|state\['masks'\]"):
            Scores().read_state(state)


def test_no_row_has_more_than_all_scores() -> None:
    window = Scores()
    keys = ("d_real", "d_fake", "d_real_std", "d_fake_std", "g_loss", "g_fake", "d_penalty")
    window.add(dict.fromkeys(keys, 1.0))
    state = window.state_dict()
    ((names, row),) = Scores().read_state(state)
    assert (names, row) == (keys, (1.0,) * len(keys))
    (mask,) = state["masks"]
    with pytest.raises(StateError, match="can't have the mask"):
        Scores().read_state({**state, "masks": [mask + 1], "rows": [[1.0] * 9]})


@pytest.mark.parametrize("own", [(), ("d",), ("g", "d"), ("d", "other", "g")])
def test_sizes_of_updates_are_adopted_by_their_names(own: tuple[str, ...]) -> None:
    """A guard may be made with other settings, or other objects in another order, than the one that was saved."""
    saved, values = Scores(("d", "g")), {"d_real": 1.5, "g_loss": 0.25, "d_loss": [-1.0, -2.0]}
    sizes = {"d": torch.tensor(3.0), "g": torch.tensor(4.0)}
    saved.add(values, list(sizes.values()))
    saved.add(values, [None, sizes["g"]])
    state, other = saved.state_dict(), Scores(own)
    other.restore(other.read_state(state))
    expected = {"d_real": [1.5] * 2, "g_loss": [0.25] * 2, "d_loss": [-1.0, -1.0, -2.0, -2.0]}
    expected |= {"d": [3.0]} if "d" in own else {}
    read, _ = other.read()
    read["d_loss"].sort(reverse=True)
    assert read == expected | ({"g": [4.0, 4.0]} if "g" in own else {})
    assert [other.has(name) for name in own] == [name != "other" for name in own]


def test_a_float_beside_half_precision_keeps_its_size() -> None:
    assert read({"d_real": torch.tensor(1.0, dtype=torch.float16), "g_loss": 1e6}) == {"d_real": [1.0], "g_loss": [1e6]}


def test_an_output_that_is_refused_leaves_no_iteration_behind() -> None:
    window = Scores()
    window.add({"g_loss": 1.0})
    with pytest.raises(StepOutputError, match="'d_real' must"):
        window.add({"g_loss": 2.0, "d_real": torch.zeros(2, 2)})
    assert window.read()[0] == {"g_loss": [1.0]}


def test_several_ranks_hear_of_the_first_refused_output_at_the_next_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "sum_over_ranks", lambda vector: 2 * vector)  # two ranks that see the same
    monkeypatch.setattr(distributed, "first_message", lambda message: message)
    window = Scores()
    window.ranks = distributed.AllRanks()
    window.ranks.count = 2
    for output in ({"g_loss": 1.0}, "first", "second"):
        window.add(output)
    assert len(window) == 3
    assert window.state_dict()["masks"][1:] == [0, 0]
    with pytest.raises(StepOutputError, match="got str 'first'"):
        window.read()
    window.clear()
    window.add(written("tensor", "tensor", "tensor"))
    assert window.read()[0] == COLUMNS | {"d_loss": [-2.5]}


@pytest.mark.parametrize("form", [list, tuple, np.array])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.int64])
def test_numpys_scalars_are_numbers(kind: Any, form: Any) -> None:
    number = kind(2)
    output = {"d_real": form([number, number]), "d_loss": number, "g_loss": number, "d_fake": torch.zeros(2)}
    if form is np.array:
        with pytest.raises(StepOutputError, match=r"'d_real' must .*\(a NumPy array; torch.as_tensor"):
            read(output)
        del output["d_real"]
    columns = read(output)
    assert columns.pop("d_fake") == [0.0]
    assert {name: values for name, values in columns.items() if values != [2.0]} == {}
    assert read({"d_loss": [number] * 3}) == {"d_loss": [2.0] * 3}


@pytest.mark.parametrize("number", [1e39, -1e39, 1e300, 0.1])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_a_float_among_tensors_keeps_its_size_and_precision(number: float, dtype: torch.dtype) -> None:
    assert read({"d_real": torch.tensor(1.0, dtype=dtype), "g_loss": number}) == {"d_real": [1.0], "g_loss": [number]}
    assert read({"d_loss": [torch.tensor(1.0, dtype=dtype), number]}) == {"d_loss": [1.0, number]}
