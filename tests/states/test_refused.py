"""States that were changed by hand are refused with the entry's name, and leave the controller as it was."""

from __future__ import annotations

import math
from typing import Any

import pytest

from adaptive_critic import WassersteinGapController


def after(iterations: int, **options: Any) -> WassersteinGapController:
    """Return a controller that has observed so many iterations."""
    controller = WassersteinGapController(**options)
    for _ in range(iterations):
        n = controller.num_discriminator_steps
        controller.observe({"d_real": [1.0] * n, "d_fake": [0.2] * n, "g_fake": 0.1})
    return controller


def changed(state: dict[str, Any], **entries: Any) -> dict[str, Any]:
    """Return the state with other entries of its decision."""
    return {**state, "law": {**state["law"], **entries}}


@pytest.mark.parametrize("wrong", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_a_law_does_not_go_on_from_what_is_not_finite(place: int, wrong: float) -> None:
    controller = after(30)
    state = controller.state_dict()
    values = [wrong if index == place else value for index, value in enumerate(state["law"]["values"])]
    with pytest.raises(ValueError, match=r"state\['values'\]: \w+=-?(inf|nan), expected a finite number"):
        controller.load_state_dict(changed(state, values=values))
    assert controller.state_dict() == state


@pytest.mark.parametrize("carry", [-1.0, -0.6, 0.6, math.nan])
def test_a_carry_beyond_one_half_is_refused(carry: float) -> None:
    controller = after(30)
    state = controller.state_dict()
    with pytest.raises(ValueError, match="carry"):
        controller.load_state_dict(changed(state, carry=carry))
    assert controller.state_dict() == state


def test_iterations_waited_for_the_start_are_saved_and_early_states_lack_them() -> None:
    state = after(7, start_after=20).state_dict()
    assert state["law"]["waited"] == 7
    other = WassersteinGapController(start_after=20)
    other.load_state_dict(state)
    assert other.state_dict()["law"]["waited"] == 7
    fresh = WassersteinGapController(start_after=20)
    early = {name: value for name, value in state["law"].items() if name != "waited"}
    fresh.load_state_dict({**state, "law": early})
    assert fresh.state_dict()["law"].get("waited", 0) == 0
