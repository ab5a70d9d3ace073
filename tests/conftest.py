"""What holds for every test: one thread, and Hypothesis profiles.

`HYPOTHESIS_PROFILE` picks a profile. `ci`, the default, draws the same examples in every run, so that a red
run is red again; `mutation` (make mutation-test) draws few of them. `long` and `long-stateful` (make
test-long) draw new ones. `HYPOTHESIS_MAX_EXAMPLES` sets how many. Tests set no `max_examples` of their own: it
would win over the profile and make the long run short.
"""

from __future__ import annotations

import os
import unittest

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
    max_examples=_examples(50),
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
