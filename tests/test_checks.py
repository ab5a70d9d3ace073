from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from adaptive_critic.checks import boolean, describe, finite, integer, limits_pair, real


@pytest.mark.parametrize(
    ("check", "value", "error", "message"),
    [
        (lambda v: integer("n", v, 1), 0, ValueError, "n=0: expected an int of at least 1"),
        (lambda v: integer("n", v, 1), 5.0, TypeError, "n=5.0: expected an int of at least 1, got float"),
        (lambda v: integer("n", v, 1), True, TypeError, "n=True"),
        (lambda v: integer("n", v, 1), "5", TypeError, "n='5'.*got str"),
        (lambda v: finite("x", v), math.nan, ValueError, "x=nan: expected a finite number"),
        (lambda v: finite("x", v), -math.inf, ValueError, "x=-inf"),
        (lambda v: finite("x", v), None, TypeError, "x=None: expected a finite number, got NoneType"),
        (lambda v: finite("x", v), False, TypeError, "x=False"),
        (lambda v: real("x", v, at_least=0.0, below=1.0), 1.0, ValueError, "x=1.0: .* at least 0 and below 1"),
        (lambda v: real("x", v, at_least=0.0, below=1.0), -0.1, ValueError, "x=-0.1"),
        (lambda v: real("x", v, above=0.0, at_most=1.0), 0.0, ValueError, "x=0.0: .* above 0 and at most 1"),
        (lambda v: real("x", v, above=0.0, at_most=1.0), 1.5, ValueError, "x=1.5"),
        (lambda v: boolean("b", v), 1, TypeError, "b=1: expected True or False, got int"),
        (limits_pair, (3, 2), ValueError, r"limits=\(3, 2\).*did you mean \(2, 3\)"),
        (limits_pair, (1,), TypeError, r"limits=\(1,\): expected a pair"),
        (limits_pair, None, TypeError, "limits=None"),
        (limits_pair, (1, math.inf), TypeError, "inf is a float"),
    ],
)
def test_bad_values_are_quoted(check: Callable[[Any], Any], value: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        check(value)


def test_good_values_are_returned() -> None:
    assert integer("n", 1, 1) == 1
    assert finite("x", 3) == 3.0
    assert type(finite("x", 3)) is float
    assert real("x", 0.0, at_least=0.0, below=1.0) == 0.0
    assert real("x", 1.0, above=0.0, at_most=1.0) == 1.0
    assert real("x", np.float64(0.5)) == 0.5
    assert type(real("x", np.float64(0.5))) is float
    assert boolean("b", True) is True
    assert limits_pair([1, 1]) == (1, 1)
    assert limits_pair((0, 1)) == (0, 1)


class Scale:
    """A transform with a setting, without a repr of its own."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, output: Any) -> Any:
        return output

    def method(self, output: Any) -> Any:
        return output


@dataclass
class Settings:
    transform: Any
    factor: float = 2.0


DESCRIBED: dict[str, tuple[Callable[[], Any], str]] = {
    "function": (lambda: math.sqrt, "math.sqrt"),
    "method": (lambda: Scale(2.0).method, "test_checks.Scale.method"),
    "partial": (lambda: partial(Scale(2.0).method, output=3), "Scale.method"),
    "partial of a partial": (lambda: partial(partial(max, 1), 2), "functools.partial(<built-in function max>, 1, 2)"),
    "callable object": (lambda: Scale(2.0), "test_checks.Scale object>"),
    "list": (lambda: [Scale(2.0), 3], "Scale object>, 3]"),
    "data class": (lambda: Settings(Scale(2.0).method), "factor=2.0"),
    "generator": (torch.Generator, "Generator"),
    "optimizer": (lambda: torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=0.5), "lr: 0.5"),
    "device": (lambda: {"device": torch.device("cuda", 3)}, "{'device': device(type='cuda')}"),
    "device in a partial": (lambda: partial(max, "cuda:3"), "functools.partial(<built-in function max>, 'cuda')"),
    "set": (lambda: {"d", "c", "b", "a"}, "{'a', 'b', 'c', 'd'}"),
    "closure": (lambda: lambda output: output, "<lambda>"),
}


@pytest.mark.parametrize("name", DESCRIBED)
def test_a_description_is_the_same_on_every_rank(name: str) -> None:
    """The ranks compare it: it has no memory addresses, no number of a device, and sets in order."""
    make, shown = DESCRIBED[name]
    kept = make()
    assert shown in describe(kept)
    assert describe(make()) == describe(kept)
    assert "0x" not in describe(kept)


def test_a_description_tells_settings_apart() -> None:
    assert describe(partial(max, 1)) != describe(partial(max, 2))
    assert describe(partial(max, 1)) != describe(partial(min, 1))
    assert describe(Settings(max, 1.0)) != describe(Settings(max, 2.0))


def test_numpy_numbers_are_numbers() -> None:
    """Sweeps and configurations produce them; what comes out is a plain number, for states and checkpoints."""
    assert type(integer("steps", np.int64(3), at_least=1)) is int
    assert limits_pair((np.int64(1), np.int64(5))) == (1, 5)
    assert type(limits_pair((np.int64(1), np.int64(5)))[0]) is int
    assert type(real("gain", np.float32(0.5), above=0.0)) is float
