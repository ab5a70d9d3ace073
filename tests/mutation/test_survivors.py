"""The reasons why mutants survive are of code that there is."""

from __future__ import annotations

import pytest

from tests.mutation.__main__ import REASONS, reasons
from tests.mutation.modules import MODULES
from tests.mutation.mutants import ROOT

EXPLAINED = reasons(REASONS.read_text())


@pytest.mark.parametrize("mutant", EXPLAINED)
def test_an_explained_mutant_is_of_lines_of_its_module(mutant: str) -> None:
    where, *lines = mutant.splitlines()
    module, function = where.split()
    source = (ROOT / MODULES[module].path).read_text()
    assert f"def {function.rpartition('.')[2]}(" in source
    removed = [line[1:].strip() for line in lines if line.startswith("-")]
    assert removed
    for line in removed:
        assert line in source
    assert EXPLAINED[mutant].strip()
