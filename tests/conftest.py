"""What holds for every test: one thread, and Hypothesis profiles.

`HYPOTHESIS_PROFILE` picks a profile. `ci`, the default, draws the same examples in every run, so that a red
run is red again; `mutation` (make mutation-test) draws few of them. `long` and `long-stateful` (make
test-long) draw new ones: 100,000 for each law, handler and other subject, in equal parts for its properties, and 2,000
runs of a state machine. `HYPOTHESIS_MAX_EXAMPLES` sets how many each property gets. Tests set no `max_examples` of
their own: it would win over the profile and make the long run short.
"""

from __future__ import annotations

import math
import os
import unittest
from collections import Counter

import pytest
import torch
from hypothesis import HealthCheck, Phase, settings

torch.set_num_threads(1)


def _examples(default: int) -> int:
    return int(os.environ.get("HYPOTHESIS_MAX_EXAMPLES", default))


settings.register_profile(
    "ci",
    derandomize=True,
    database=None,
    deadline=None,
    # Most properties hold for each of some fifteen rows, which each get so many.
    max_examples=_examples(25),
    stateful_step_count=25,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "long",
    deadline=None,
    max_examples=_examples(100_000),
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "long-stateful",
    settings.get_profile("long"),
    max_examples=_examples(2_000),
    stateful_step_count=100,
)
settings.register_profile(
    "mutation",
    settings.get_profile("ci"),
    max_examples=_examples(10),
    phases=(Phase.explicit, Phase.generate),  # that a test fails is all that is asked for
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark state machines: one of their examples is a whole run, so that they get fewer of them."""
    for item in items:
        test_class = getattr(item, "cls", None)
        # Nothing else here is a unittest.TestCase: Hypothesis turns a state machine into one.
        if test_class is not None and issubclass(test_class, unittest.TestCase):
            item.add_marker(pytest.mark.stateful)
        elif hasattr(getattr(item, "obj", None), "hypothesis"):  # what @given leaves; the mark comes later
            _properties[_subject(item)] += 1


_properties: Counter[str] = Counter()


def _subject(item: pytest.Item) -> str:
    """Return whom a property is about: the law or the handler of its row, the guard, or what its module is about."""
    directory = item.path.parent.name
    callspec = getattr(item, "callspec", None)
    if callspec and directory in ("laws", "handlers"):
        return f"{directory}: {callspec.id}"
    return directory if directory == "guard" else str(item.path)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Give each property its part of the long run's examples."""
    profile = os.environ.get("HYPOTHESIS_PROFILE")
    if profile != "long" or "HYPOTHESIS_MAX_EXAMPLES" in os.environ or not item.get_closest_marker("hypothesis"):
        return
    share = math.ceil(settings.get_profile("long").max_examples / _properties[_subject(item)])
    # One function has many rows, and each has a share of its own: the decorator may be used but once.
    test = getattr(item, "obj", None)
    function = getattr(test, "__func__", test)  # a method takes no attributes
    vars(function)["_hypothesis_internal_use_settings"] = settings(max_examples=share)
