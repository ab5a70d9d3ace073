"""Open-loop laws: a table of schedules, their values and extremes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptive_critic import laws
from adaptive_critic.laws import Constant, ExponentialDecay, Milestones, Schedule, WGANReference
from adaptive_critic.laws.schedules import half_up

TABLE: dict[str, tuple[Schedule, dict[int, float], tuple[float, float]]] = {
    "constant": (Constant(5), {0: 5, 1: 5, 10**12: 5}, (5, 5)),
    "decay": (ExponentialDecay(10, 0.5, 2), {0: 10, 1: 10, 2: 5, 3: 5, 4: 3, 5: 3, 6: 1, 10**9: 1}, (1, 10)),
    "slow decay": (ExponentialDecay(7, 0.9, 1), {0: 7, 1: 6, 2: 6, 3: 5, 4: 5, 5: 4}, (1, 7)),
    "no decay": (ExponentialDecay(7, 1.0, 1), {0: 7, 10**6: 7}, (7, 7)),
    "growth": (ExponentialDecay(1, 2.0, 10), {0: 1, 9: 1, 10: 2, 35: 8, 640: 2**63, 10**9: 2**63}, (1, math.inf)),
    "milestones": (Milestones((0, 25), (25, 10)), {0: 25, 24: 25, 25: 10, 26: 10, 10**9: 10}, (10, 25)),
    "milestones up": (Milestones((0, 3, 4), (1, 9, 2)), {0: 1, 2: 1, 3: 9, 4: 2}, (1, 9)),
    "WGAN reference": (
        WGANReference(),
        {0: 100, 24: 100, 25: 5, 499: 5, 500: 100, 501: 5, 999: 5, 1000: 100, 1500: 100},
        (5, 100),
    ),
}

every_schedule = pytest.mark.parametrize(("schedule", "values", "extremes"), TABLE.values(), ids=TABLE.keys())


def test_every_schedule_has_a_row() -> None:
    exported = {getattr(laws, name) for name in laws.__all__}
    found = {law for law in exported if isinstance(law, type) and hasattr(law, "extremes")} - {Schedule}
    assert found == {type(schedule) for schedule, _, _ in TABLE.values()}


@every_schedule
def test_values(schedule: Schedule, values: dict[int, float], extremes: tuple[float, float]) -> None:
    assert {index: schedule.value(index) for index in values} == values


@every_schedule
def test_values_are_whole_numbers_of_at_least_1(
    schedule: Schedule, values: dict[int, float], extremes: tuple[float, float]
) -> None:
    for index in range(1_200):
        assert isinstance(schedule.value(index), int)
        assert schedule.value(index) >= 1


@every_schedule
def test_extremes_are_reached_and_not_exceeded(
    schedule: Schedule, values: dict[int, float], extremes: tuple[float, float]
) -> None:
    low, high = extremes
    assert schedule.extremes() == extremes
    seen = [schedule.value(index) for index in (*range(1_200), *values)]
    assert min(seen) == low
    assert max(seen) == high or high == math.inf


@every_schedule
@given(st.integers(0, 10**30))
def test_any_index(schedule: Schedule, values: dict[int, float], extremes: tuple[float, float], index: int) -> None:
    assert extremes[0] <= schedule.value(index) <= extremes[1]


@given(initial=st.integers(1, 10**6), gamma=st.floats(1e-6, 1e6), step_size=st.integers(1, 1000), index=st.integers(0))
def test_any_decay_is_a_number(initial: int, gamma: float, step_size: int, index: int) -> None:
    schedule = ExponentialDecay(initial, gamma, step_size)
    low, high = schedule.extremes()
    assert low <= schedule.value(index) <= high


@pytest.mark.parametrize(
    ("value", "rounded"), [(0.5, 1), (1.5, 2), (2.5, 3), (3.5, 4), (2.49, 2), (2.51, 3), (0.0, 0), (-0.5, 0), (7.0, 7)]
)
def test_halves_go_up(value: float, rounded: int) -> None:
    assert half_up(value) == rounded
    assert type(half_up(value)) is int


def test_decay_rounds_halves_up() -> None:
    assert [ExponentialDecay(5, 0.5, 1).value(index) for index in range(4)] == [5, 3, 1, 1]
