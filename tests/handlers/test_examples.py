"""The examples in docstrings: each class that a user configures has one, as wide as the site shows it."""

from __future__ import annotations

import doctest

import pytest

import adaptive_critic
from adaptive_critic.guard import DivergenceRules

WIDTH = 88
PACKAGES = ("handlers", "guard", "metrics", "events")
EXPORTED = {name: getattr(adaptive_critic, name) for name in adaptive_critic.__all__}
OURS = [
    item for item in EXPORTED.values() if getattr(item, "__module__", "").split(".")[1:2] in [[p] for p in PACKAGES]
]


@pytest.mark.parametrize("item", [*OURS, DivergenceRules], ids=lambda item: item.__name__)
def test_it_has_an_example_no_wider_than_the_site(item: type) -> None:
    text = str(item.__doc__)
    assert doctest.DocTestParser().get_examples(text), f"{item.__name__} has no example"
    _, _, example = text.partition("    Example:\n")
    wide = [line for line in example.splitlines() if len(line) > WIDTH]
    assert not wide, f"wider than {WIDTH} columns: {wide}"
