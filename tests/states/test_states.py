"""States that released versions have written load, and what was saved goes on as it did then."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

import adaptive_critic
from adaptive_critic import StateError
from adaptive_critic.resume.watch import entries
from tests.states.made import subjects

FOLDER = Path(__file__).parent
FILES = sorted(FOLDER.glob("*.pt"))
STATES = {(path.stem, name): found for path in FILES for name, found in torch.load(path, weights_only=True).items()}


# Entries of a controller's state that format 2 has left out, or counts at another moment.
OF_FORMAT_1 = {"version", "steps", "carry", "override"}


def same(ours: Any, theirs: Any) -> bool:
    """Whether each entry of theirs is in ours; a later format may have more."""
    if isinstance(theirs, Mapping):
        left_out = OF_FORMAT_1 if "steps" in theirs or "carry" in theirs else set()
        return all(same(ours.get(key), value) for key, value in theirs.items() if key not in left_out)
    return dict(entries({"": ours})) == dict(entries({"": theirs}))


@pytest.mark.parametrize(("release", "name"), STATES, ids=lambda value: value)
def test_a_state_of_a_release_loads_and_goes_on(release: str, name: str) -> None:
    found = STATES[release, name]
    subject = subjects()[name]()
    hint = f"is {release} not released yet? Then remove {release}.pt, and run python -m tests.states {release}"
    try:
        subject.item.load_state_dict(found["state"])
    except StateError as error:
        raise AssertionError(hint) from error
    expected = dict(found["state"])
    if name == "average" and "_extra_state" in expected:  # as 0.1.0 counted its updates
        expected["n_averaged"] = torch.tensor(expected.pop("_extra_state"))
    assert same(subject.item.state_dict(), expected), hint
    went_on = subject.go_on()
    assert went_on == found.get("goes on", went_on), hint  # where a law was changed on purpose the entry is taken out


def test_this_release_has_its_states_written_down() -> None:
    assert adaptive_critic.__version__ in {path.stem for path in FILES}, (
        f"run python -m tests.states {adaptive_critic.__version__}, once, before it is released"
    )
    # A handler that is new since has none yet; one that is gone would leave its users' checkpoints behind.
    assert {name for release, name in STATES if release == adaptive_critic.__version__} <= set(subjects())


# The average's format is torch's, and RandomState's has no number: there it is missing entries that are named.
NUMBERED = [name for name in subjects() if name not in ("average", "random state")]


@pytest.mark.parametrize("name", NUMBERED)
def test_a_state_of_a_format_to_come_is_refused_with_what_to_do(name: str) -> None:
    state = subjects()[name]().item.state_dict()
    with pytest.raises(StateError, match=r"format version \d+, this release reads up to \d+: upgrade adaptive_critic"):
        subjects()[name]().item.load_state_dict({**state, "version": state["version"] + 1})
