"""Every handler under one contract."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import adaptive_critic
from adaptive_critic.controller import Controller
from tests.handlers.table import (
    ANY,
    DIFFUSED,
    EXACT,
    FEEDBACK,
    FINITE,
    FORMS,
    HANDLERS,
    OPEN_LOOP,
    WHOLE,
    Sample,
    feed,
    healthy,
    make,
    make_feedback,
    output,
    snapshot,
)


def each(table: Mapping[str, str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("code", table.values(), ids=table.keys())


TIMINGS: list[dict[str, Any]] = [{}, {"update_every": 3}, {"lagged": True}, {"update_every": 3, "lagged": True}]
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
timings = st.sampled_from(TIMINGS)


def test_every_handler_has_a_row() -> None:
    exported = [getattr(adaptive_critic, name) for name in adaptive_critic.__all__]
    found = {item for item in exported if isinstance(item, type) and issubclass(item, Controller)}
    assert found == {type(make(code)) for code in HANDLERS.values()}


@each(HANDLERS)
@given(stream=ANY.stream(40), form=st.sampled_from(FORMS))
def test_an_int_within_limits_for_any_stream(code: str, stream: list[Sample], form: str) -> None:
    controller = make(code)
    lower, upper = controller.limits or (0 if "Gate" in code or "0.6" in code else 1, math.inf)
    steps, ratios = feed(controller, stream, form, torch.float64)
    for n in [*steps, controller.num_discriminator_steps]:
        assert type(n) is int
        assert lower <= n <= upper
    for ratio in [*ratios, controller.ratio]:
        assert type(ratio) is float
        assert lower <= ratio <= upper
    assert type(controller.signal) is float


@each(DIFFUSED)
@given(more=timings, stream=ANY.stream(60))
def test_the_sum_of_n_stays_within_a_half_of_the_sum_of_ratios(
    code: str, more: dict[str, Any], stream: list[Sample]
) -> None:
    steps, ratios = feed(make(code, **more), stream)
    for k in range(len(steps)):
        assert abs(math.fsum(steps[: k + 1]) - math.fsum(ratios[: k + 1])) <= 0.5 + 1e-9


@each({name: code for name, code in FEEDBACK.items() if name in WHOLE})
@given(stream=ANY.stream(40))
def test_rules_of_whole_numbers_are_not_diffused(code: str, stream: list[Sample]) -> None:
    controller = make(code)
    steps, ratios = feed(controller, stream)
    assert steps == ratios
    assert controller.state_dict()["law"]["carry"] == 0.0


@each(FEEDBACK)
def test_the_law_has_something_to_do(code: str) -> None:
    """The other tests would hold for a controller that never moves."""
    controller = make_feedback(code)
    _, ratios = feed(controller, healthy(60))
    assert len(set(ratios)) > 1
    assert math.isfinite(controller.signal)


@each(FEEDBACK)
def test_starts_at_initial(code: str) -> None:
    controller = make_feedback(code)
    start = controller.ratio
    assert controller.num_discriminator_steps == math.floor(start + 0.5)
    feed(controller, healthy(1))
    if code not in {FEEDBACK[name] for name in WHOLE}:
        assert controller.ratio == pytest.approx(start)


def through_json(state: dict[str, Any]) -> Any:
    return json.loads(json.dumps(state))


def through_torch(state: dict[str, Any]) -> Any:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


@each(FEEDBACK)
@given(
    more=timings,
    stream=st.one_of(FINITE.stream(25, least=1), EXACT.stream(25, least=1), ANY.stream(25, least=1)),
    form=st.sampled_from(FORMS),
    dtype=st.sampled_from(DTYPES),
    data=st.data(),
)
def test_a_twin_restored_midway_goes_on_bit_for_bit(
    code: str, more: dict[str, Any], stream: list[Sample], form: str, dtype: torch.dtype, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(stream)))
    way = data.draw(st.sampled_from([through_json, through_torch]))
    one, twin = make(code, **more), make(code, **more)
    feed(one, stream[:cut], form, dtype)
    state = way(one.state_dict())
    twin.load_state_dict(state)
    assert snapshot(twin) == snapshot(one)
    assert feed(twin, stream[cut:], form, dtype) == feed(one, stream[cut:], form, dtype)
    assert snapshot(twin) == snapshot(one)


@each(OPEN_LOOP)
@pytest.mark.parametrize("way", [through_json, through_torch])
@pytest.mark.parametrize("cut", [0, 1, 3, 12])
def test_an_open_loop_twin_goes_on(code: str, way: Any, cut: int) -> None:
    one, twin = make(code), make(code)
    feed(one, healthy(cut))
    twin.load_state_dict(way(one.state_dict()))
    assert twin.num_discriminator_steps == one.num_discriminator_steps
    assert feed(twin, healthy(30)) == feed(one, healthy(30))
    assert snapshot(twin) == snapshot(one)


@each(HANDLERS)
def test_a_saved_state_does_not_change_afterwards(code: str) -> None:
    controller = make(code)
    feed(controller, healthy(10))
    state = controller.state_dict()
    before = json.dumps(state)
    feed(controller, healthy(10))
    assert json.dumps(state) == before


@each(HANDLERS)
@pytest.mark.parametrize("more", TIMINGS)
def test_reset_equals_new(code: str, more: dict[str, Any]) -> None:
    if code in OPEN_LOOP.values():
        more = {}
    used = make(code, **more)
    feed(used, healthy(7))
    used.override(3, 1)
    used.reset()
    new = make(code, **more)
    assert snapshot(used) == snapshot(new)
    assert feed(used, healthy(50)) == feed(new, healthy(50))
    assert snapshot(used) == snapshot(new)


@each(HANDLERS)
def test_the_repr_makes_an_equal_handler(code: str) -> None:
    one = make(code)
    twin = make(repr(one))
    assert repr(twin) == repr(one)
    assert feed(one, healthy(30)) == feed(twin, healthy(30))
    assert snapshot(twin) == snapshot(one)


@each(FEEDBACK)
@given(stream=EXACT.stream(25), form=st.sampled_from(FORMS[1:]), dtype=st.sampled_from(DTYPES))
def test_the_form_and_the_type_of_the_output_make_no_difference(
    code: str, stream: list[Sample], form: str, dtype: torch.dtype
) -> None:
    plain, other = make(code), make(code)
    assert feed(other, stream, form, dtype) == feed(plain, stream)
    assert snapshot(other) == snapshot(plain)


@each(FEEDBACK)
@given(stream=EXACT.stream(40), every=st.integers(1, 7))
def test_the_form_makes_no_difference_over_several_iterations(code: str, stream: list[Sample], every: int) -> None:
    plain, tensors = make(code, update_every=every), make(code, update_every=every)
    assert feed(plain, stream) == feed(tensors, stream, "tensor")


@each(FEEDBACK)
@given(stream=ANY.stream(60), every=st.integers(1, 4))
def test_lagged_decides_the_same_one_decision_later(code: str, stream: list[Sample], every: int) -> None:
    """Each decision is that of the unlagged twin one decision before."""
    if "(0, " in code or "Gate" in code:
        return  # where an iteration may make no update, what is observed depends on n
    plain, late = make(code, update_every=every), make(code, update_every=every, lagged=True)
    plain_ratios, late_ratios = [], []
    for index, sample in enumerate(stream, start=1):
        for controller in (plain, late):
            controller.observe(output(sample, 3))
        if index % every == 0:
            plain_ratios.append(plain.ratio)
            late_ratios.append(late.ratio)
    if late_ratios:
        assert late_ratios[0] == make(code).ratio
        assert late_ratios[1:] == plain_ratios[:-1]


BAD = Sample(*[math.nan] * 6)


@each(FEEDBACK)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("form", FORMS)
def test_a_bad_observation_holds_and_counts(code: str, value: float, form: str) -> None:
    controller = make_feedback(code)
    feed(controller, healthy(25), form)
    ratio, law, bad = controller.ratio, controller.state_dict()["law"]["values"], controller.bad_observations
    skipping = controller.num_discriminator_steps == 0 and "Gate" not in code
    feed(controller, [Sample(*[value] * 6)], form)
    assert controller.ratio == ratio
    assert controller.state_dict()["law"]["values"] == law
    assert controller.bad_observations == bad + (0 if skipping else 1)
    feed(controller, [BAD] * 40, form)
    assert controller.ratio == ratio
    assert controller.state_dict()["law"]["values"] == law
    feed(controller, healthy(40), form)
    assert controller.ratio != ratio or controller.state_dict()["law"]["values"] != law, "goes on afterwards"
    assert all(map(math.isfinite, controller.state_dict()["law"]["values"]))


@pytest.mark.parametrize("key", Sample._fields)
def test_one_bad_entry_is_enough(key: str) -> None:
    """A NaN in whatever a rule reads holds it, in anything else it does not."""
    reads = {
        "gap": {"d_real", "d_fake", "g_fake"},
        "PID, wasserstein": {"d_real", "d_fake", "g_fake"},
        "PID, hinge": {"d_loss", "g_loss"},
        "ladder": {"g_fake_accuracy"},
        "loss change rate": {"d_loss", "g_loss"},
        "two thresholds": {"d_loss", "g_loss"},
        "gate": {"g_fake_accuracy"},
    }
    for name, keys in reads.items():
        controller = make_feedback(FEEDBACK[name])
        feed(controller, [*healthy(9), healthy(10)[9]._replace(**{key: math.nan}), *healthy(5)])
        assert (controller.bad_observations > 0) == (key in keys), name


@each(FEEDBACK)
@pytest.mark.parametrize("every", [1, 4])
def test_one_bad_iteration_spoils_its_window_alone(code: str, every: int) -> None:
    controller = make_feedback(code, update_every=every)
    feed(controller, [*healthy(4), BAD, *healthy(35, start=5)])
    # The score that the gap remembers from a bad iteration makes the next one bad too.
    remembers = "Gap" in code or "Effort" in code or code == FEEDBACK["PID, wasserstein"] or "LossChange" in code
    assert controller.bad_observations == (2 if every == 1 and remembers else 1)


@each(FEEDBACK)
def test_numbers_at_the_edge_of_floats_hold(code: str) -> None:
    """Sums and squares that overflow are no observation: a law is promised finite entries."""
    controller = make_feedback(code, update_every=2)
    big = Sample(1.7e308, -1.7e308, 1.7e308, 1.7e308, -1.7e308, 1.7e308)
    feed(controller, [*healthy(2), *[big] * 4, *healthy(10)])
    assert controller.bad_observations > 0
    assert all(map(math.isfinite, controller.state_dict()["law"]["values"]))


@each(HANDLERS)
def test_counts(code: str) -> None:
    controller = make(code)
    total = 0
    for sample in healthy(20):
        total += controller.num_discriminator_steps
        controller.observe(output(sample, controller.num_discriminator_steps) | {"num_samples": 7})
    assert controller.critic_updates == total
    assert controller.generator_updates == 20
    assert controller.samples_seen == 140


@each(FEEDBACK)
def test_numpys_scalars_are_numbers(code: str) -> None:
    """They are Real, but np.float32 is not a float as np.float64 is."""

    def as_numpy(value: Any) -> Any:
        return [np.float32(entry) for entry in value] if isinstance(value, list) else np.float32(value)

    controller, plain = make_feedback(code), make_feedback(code)
    for sample in healthy(40):
        n = controller.num_discriminator_steps
        given = {key: as_numpy(value) for key, value in output(sample, n).items()}
        controller.observe(given)
        plain.observe(
            {key: np.float64(v) if not isinstance(v, list) else [float(e) for e in v] for key, v in given.items()}
        )
    assert controller.ratio == plain.ratio
    assert len({type(entry) for entry in controller.state_dict()["law"]["values"]} - {int, float}) == 0
