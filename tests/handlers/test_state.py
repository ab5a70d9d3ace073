"""A checkpoint is data: it loads to a valid state or is refused, and nothing changes then."""

from __future__ import annotations

import copy
import functools
import json
import math
import operator
from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptive_critic import FixedController, LossRatioPIDController, StateError, WassersteinGapController
from tests.handlers.table import FEEDBACK, HANDLERS, feed, healthy, make, make_feedback, snapshot

every_handler = pytest.mark.parametrize("code", HANDLERS.values(), ids=HANDLERS.keys())
every_feedback = pytest.mark.parametrize("code", FEEDBACK.values(), ids=FEEDBACK.keys())

NUMBERS = st.one_of(
    st.integers(-3, 100),
    st.floats(),
    st.sampled_from([10**400, -(10**400), 2**63, math.nan, math.inf, -math.inf, 1e308, 5e-324, 0.0, -1.0, True, None]),
)
ANYTHING = st.recursive(
    NUMBERS | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


def paths(node: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to every entry of nested dicts and lists."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    found = [] if not prefix else [prefix]
    for key, child in items:
        found += paths(child, (*prefix, key))
    return found


def replaced(state: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    state = copy.deepcopy(state)
    reduce(operator.getitem, path[:-1], state)[path[-1]] = value
    return state


def used(code: str, **more: Any) -> Any:
    controller = make(code, **more)
    feed(controller, healthy(8))
    return controller


@functools.cache
def used_state(code: str, **more: Any) -> Any:
    """Return the state of a used one, to be copied before it is changed."""
    return used(code, **more).state_dict()


def check_loads_or_refuses(code: str, state: Any, **more: Any) -> None:
    """Load into a controller: it is unchanged after a StateError, and otherwise keeps its contract."""
    controller = used(code, **more)
    before, repr_before = snapshot(controller), repr(controller)
    original = copy.deepcopy(state)
    try:
        controller.load_state_dict(state)
    except StateError as error:
        assert snapshot(controller) == before
        assert str(error)
    else:
        json.dumps(controller.state_dict())
        overridden = controller.state_dict()["override"][1] > 0
        lower, upper = controller.limits or (0, math.inf)
        steps, ratios = feed(controller, healthy(30))
        assert all(type(n) is int and n >= 0 for n in steps)
        if not overridden:
            assert all(lower <= n <= upper for n in steps)
            assert all(map(math.isfinite, ratios))
    assert repr(controller) == repr_before
    assert repr(state) == repr(original)


@every_handler
@given(state=ANYTHING)
def test_arbitrary_data_is_refused(code: str, state: Any) -> None:
    check_loads_or_refuses(code, state)


@every_handler
@given(data=st.data(), lagged=st.booleans())
def test_one_entry_replaced_by_anything(code: str, data: st.DataObject, lagged: bool) -> None:
    more = {"lagged": True} if lagged and code in FEEDBACK.values() else {}
    state = used_state(code, **more)
    path = data.draw(st.sampled_from(paths(state)))
    check_loads_or_refuses(code, replaced(state, path, data.draw(NUMBERS | ANYTHING)), **more)


@every_feedback
@given(data=st.data(), every=st.sampled_from([1, 3]))
def test_numbers_of_a_law_replaced_by_other_numbers(code: str, data: st.DataObject, every: int) -> None:
    state = used_state(code, update_every=every, lagged=True)
    inner = [path for path in paths(state) if path[0] == "law" and len(path) > 2]
    chosen = data.draw(st.lists(st.sampled_from(inner), min_size=1, max_size=3, unique=True))
    for path in sorted(chosen, key=len, reverse=True):  # the inner ones first: an outer one may leave no way in
        state = replaced(state, path, data.draw(NUMBERS))
    check_loads_or_refuses(code, state, update_every=every, lagged=True)


# Entries that came after the first states were saved: a state without them still loads.
LATER = {("law", "in_flight_ranks"), ("law", "regulates"), ("law", "elapsed"), ("at_limits",)}


@every_feedback
def test_an_early_state_still_loads(code: str) -> None:
    controller, twin = used(code, lagged=True), make(code, lagged=True)
    state = controller.state_dict()
    for path in LATER:
        reduce(operator.getitem, path[:-1], state).pop(path[-1], None)
    twin.load_state_dict(state)
    assert feed(twin, healthy(20)) == feed(controller, healthy(20))


@every_handler
def test_every_missing_key_is_named(code: str) -> None:
    state = used(code).state_dict()
    for path in paths(state):
        if isinstance(path[-1], str) and path not in LATER:
            broken = copy.deepcopy(state)
            del reduce(operator.getitem, path[:-1], broken)[path[-1]]
            controller = used(code)
            before = snapshot(controller)
            with pytest.raises(StateError, match=f"has no '{path[-1]}'; it has"):
                controller.load_state_dict(broken)
            assert snapshot(controller) == before


@every_handler
def test_a_state_of_another_handler_is_refused(code: str) -> None:
    controller = used(code)
    other = FixedController(2) if "Fixed" not in code else WassersteinGapController()
    before = snapshot(controller)
    with pytest.raises(StateError, match=f"a state of '{type(other).__name__}'.*into {type(controller).__name__}"):
        controller.load_state_dict(other.state_dict())
    assert snapshot(controller) == before


@every_handler
def test_a_newer_format_is_refused(code: str) -> None:
    controller = used(code)
    state = controller.state_dict()
    before = snapshot(controller)
    with pytest.raises(StateError, match=f"version {state['version'] + 1}.*upgrade adaptive_critic"):
        controller.load_state_dict(state | {"version": state["version"] + 1})
    assert snapshot(controller) == before


@pytest.mark.parametrize("state", [None, 5, "state", [], [("handler", "FixedController")]])
def test_a_state_that_is_no_dict_is_named(state: Any) -> None:
    with pytest.raises(StateError, match=f"state_dict.. returned, got {type(state).__name__}"):
        FixedController(5).load_state_dict(state)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("override",), None),
        (("critic_updates",), -1),
        (("override",), [1]),
        (("override",), [1, -1]),
        (("override",), [1, 1.0]),
        (("law",), [1]),
        (("law", "ratio"), math.nan),
        (("law", "ratio"), 10**400),
        (("law", "ratio"), math.inf),
        (("law", "ratio"), "2"),
        (("law", "carry"), 0.6),
        (("law", "values"), [0.0, 0.0]),
        (("law", "values"), [0.0, math.nan, 3]),
        (("law", "values"), [0.0, 0.0, 3.5]),
        (("law", "values"), [0.0, 0.0, -3]),
        (("law", "values"), {"used": 0.0}),
        (("law", "values"), "abc"),
        (("law", "values"), [0.0, 10**400, 3]),
        (("law", "moments", "rows"), [["0", "0", "0"]]),
        (("law", "moments", "observed"), [7]),
        (("law", "moments", "observed"), [1, 0]),
        (("law", "moments", "rows"), [[0.0]]),
        (("law", "moments", "rows"), 3),
        (("law", "moments", "sums"), [0.0]),
        (("law", "moments", "sums"), [0.5, 0.0, 1.0, 1.0, 1.0, 1.0]),
        (("law", "moments", "sums"), [-1.0, 0.0, 1.0, 1.0, 1.0, 1.0]),
        (("law", "in_flight"), [0.0]),
        (("law", "in_flight"), [1.0, math.nan, 1.0, 1.0, 1.0, 1.0, 0.0]),
        (("law", "since"), -1),
        (("law", "bad_observations"), None),
    ],
)
def test_a_wrong_entry_is_quoted(path: tuple[str, ...], value: Any) -> None:
    controller = used(FEEDBACK["gap"])
    before = snapshot(controller)
    with pytest.raises(StateError) as caught:
        controller.load_state_dict(replaced(controller.state_dict(), path, value))
    assert path[-1] in str(caught.value)
    assert snapshot(controller) == before


def test_a_state_is_clamped_to_the_limits_of_now() -> None:
    wide = WassersteinGapController(initial=19.0, limits=(2, 20))
    narrow = WassersteinGapController(initial=3, limits=(2, 5))
    narrow.load_state_dict(wide.state_dict())
    assert narrow.num_discriminator_steps == 5
    assert narrow.ratio == 5.0
    low = WassersteinGapController(initial=0.5, limits=(0, 5))
    raised = WassersteinGapController(initial=4, limits=(2, 20))
    raised.load_state_dict(low.state_dict())
    assert raised.num_discriminator_steps == 2
    assert raised.ratio == 2.0


def test_configuration_stays_with_the_constructor() -> None:
    one = WassersteinGapController(setpoint=0.1, gain=0.5)
    other = WassersteinGapController(setpoint=0.2, gain=0.1)
    other.load_state_dict(one.state_dict())
    assert repr(other) == "WassersteinGapController(setpoint=0.2, gain=0.1)"
    assert "0.2" in repr(other.law)


def test_a_state_under_an_override_goes_on() -> None:
    """Also where the override lies outside the limits: an override may."""
    one, twin = make(FEEDBACK["gap"], limits=(2, 20)), make(FEEDBACK["gap"], limits=(2, 20))
    feed(one, healthy(5))
    one.override(3, 0)
    feed(one, healthy(1))
    twin.load_state_dict(one.state_dict())
    assert twin.num_discriminator_steps == 0
    assert feed(twin, healthy(20)) == feed(one, healthy(20))


def test_a_state_of_another_measurement_is_refused() -> None:
    with pytest.warns(UserWarning, match="rates of change"):
        rates = LossRatioPIDController("wasserstein", d_loss="d", g_loss="g")
    others = [
        LossRatioPIDController("hinge"),
        LossRatioPIDController("least-squares"),
        LossRatioPIDController("wasserstein"),
        rates,
    ]
    for one in others:
        for other in others:
            if one is other:
                continue
            before = snapshot(other)
            with pytest.raises(
                StateError, match="regulates '.*', this one regulates '.*': load it into one with the same"
            ):
                other.load_state_dict(one.state_dict())
            assert snapshot(other) == before
    LossRatioPIDController("wasserstein-gp").load_state_dict(others[2].state_dict())  # another name for the same
    LossRatioPIDController("hinge", d_loss="d").load_state_dict(others[0].state_dict())


def test_different_gains_on_load_do_not_bump_the_ratio() -> None:
    one = LossRatioPIDController("hinge")
    feed(one, healthy(20))
    other = LossRatioPIDController("hinge", kp=3.0)
    other.load_state_dict(one.state_dict())
    assert other.ratio == one.ratio
    assert make_feedback(FEEDBACK["PID, hinge"]).ratio == 2.5
