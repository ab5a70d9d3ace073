"""Every handler does what it did when the golden traces were recorded, to the last bit of its ratio."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from tests.handlers import golden
from tests.handlers.table import FEEDBACK, HANDLERS


@functools.cache
def recorded() -> Any:
    return golden.read()


# A handler that is newer than the traces has none; one of theirs that is gone fails with its name.
NAMES = sorted({name.rpartition(": ")[0] for name in recorded()})


def same(found: list[list[Any]], wanted: list[list[Any]]) -> None:
    assert len(found) == len(wanted)
    for index, (now, before) in enumerate(zip(found, wanted, strict=True)):
        assert repr(now) == repr(before), f"at iteration {index + 1}"  # by repr: NaN is NaN


@pytest.mark.parametrize("variant", golden.VARIANTS)
@pytest.mark.parametrize("name", NAMES)
def test_a_loop_goes_as_recorded(name: str, variant: str) -> None:
    code, (form, more) = HANDLERS[name], golden.VARIANTS[variant]
    same(golden.loop_trace(code, form, more if code in FEEDBACK.values() else {}), recorded()[f"{name}: {variant}"])


@pytest.mark.parametrize("name", NAMES)
def test_a_run_goes_as_recorded(name: str) -> None:
    same(golden.engine_trace(HANDLERS[name]), recorded()[f"{name}: engine"])
