"""ControllerHistory on real engines, and what plot_history draws."""

from __future__ import annotations

import io
import json
import math
import sys
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ignite.engine import Engine, Events

from adaptive_critic import FixedController, StateError, StepDecayController, WassersteinGapController
from adaptive_critic.history import ControllerHistory, HistoryPoint, plot_history


def state(trainer: Engine) -> Any:
    """Return engine.state, which takes any attribute; its type knows of none."""
    return trainer.state


def recorded(steps: list[int], max_points: int) -> ControllerHistory:
    """Run an iteration with each number of steps."""
    trainer, history = Engine(lambda engine, batch: None), ControllerHistory(max_points)

    def write(engine: Engine) -> None:
        state(engine).num_discriminator_steps = steps[engine.state.iteration % len(steps)]

    state(trainer).num_discriminator_steps = steps[0]
    trainer.add_event_handler(Events.ITERATION_COMPLETED, write)
    history.attach(trainer)
    trainer.run(range(len(steps)))
    return history


def gap_step(engine: Engine, batch: Any) -> dict[str, Any]:
    n, i = state(engine).num_discriminator_steps, engine.state.iteration
    return {"d_real": [1.0] * n, "d_fake": [0.3 * math.sin(i / 3.0)] * n, "g_fake": 0.1 * math.cos(i / 5.0)}


@given(st.lists(st.integers(0, 9), min_size=1, max_size=70), st.integers(2, 12))
def test_no_critic_update_is_lost_and_memory_is_bounded(steps: list[int], max_points: int) -> None:
    points = recorded(steps, max_points).points
    assert len(points) <= max_points
    assert len(points) > min(len(steps), max_points) // 2  # thinned out, and no more than that
    begins = 1
    for point in points:
        part = steps[point.first - 1 : point.last]
        assert point.first == begins
        assert point[2:6] == (len(part), sum(part), min(part), max(part))
        assert point.steps == sum(part) / len(part)
        assert point.ratio == pytest.approx(sum(part) / len(part))
        begins = point.last + 1
    assert len({point.iterations for point in points[:-1]}) <= 1  # old and new in the same detail
    assert begins == len(steps) + 1


@pytest.mark.parametrize("history_first", [True, False])
def test_records_what_each_iteration_was_run_with(history_first: bool) -> None:
    ran: list[tuple[int, float, float]] = []

    def step(engine: Engine, batch: Any) -> dict[str, Any]:
        now = state(engine)
        ran.append((now.num_discriminator_steps, now.critic_ratio, now.critic_signal))
        return gap_step(engine, batch)

    trainer = Engine(step)
    history, controller = ControllerHistory(), WassersteinGapController()
    for handler in (history, controller) if history_first else (controller, history):
        handler.attach(trainer)
    trainer.run(range(50))
    assert len({n for n, _, _ in ran}) > 1
    found = [(point.critic_updates, point.ratio, point.signal) for point in history.points]
    assert str(found) == str(ran)  # as text: NaN is not equal to itself
    assert not math.isnan(found[-1][2])


def test_a_merged_point_keeps_the_latest_signal_that_is_one() -> None:
    a = HistoryPoint(1, 1, 1, 2, 2, 2, 2.0, 0.5)
    b = HistoryPoint(2, 4, 3, 9, 2, 4, 3.0, math.nan)
    assert a.and_then(b) == HistoryPoint(1, 4, 4, 11, 2, 4, 2.75, 0.5)
    assert a.and_then(b._replace(signal=0.25)).signal == 0.25


def test_param_name() -> None:
    trainer, history = Engine(lambda engine, batch: None), ControllerHistory(param_name="k")
    StepDecayController(milestones={0: 3, 1: 2}, param_name="k").attach(trainer)
    history.attach(trainer)
    trainer.run(range(2))
    assert [(point.critic_updates, point.ratio) for point in history.points] == [(3, 3.0), (2, 2.0)]


@pytest.mark.parametrize("load_first", [True, False])
def test_resume_goes_on_where_it_stopped(load_first: bool) -> None:
    def session() -> tuple[Engine, ControllerHistory]:
        trainer, history = Engine(lambda engine, batch: None), ControllerHistory(8)
        StepDecayController(initial=9, gamma=0.8, step_size=3).attach(trainer)
        return trainer, history

    whole, whole_history = session()
    whole_history.attach(whole)
    whole.run(range(10), max_epochs=4)
    first, first_history = session()
    first_history.attach(first)
    first.run(range(10), max_epochs=2)
    buffer = io.BytesIO()
    torch.save({"trainer": first.state_dict(), "history": first_history.state_dict()}, buffer)
    buffer.seek(0)
    saved = torch.load(buffer, weights_only=True)
    second, second_history = session()
    second.load_state_dict(saved["trainer"])
    if not load_first:
        second_history.attach(second)
    second_history.load_state_dict(saved["history"])
    if load_first:
        second_history.attach(second)
    second.run(range(10), max_epochs=4)
    # As text: NaN is not equal to itself.
    assert json.dumps(second_history.state_dict()) == json.dumps(whole_history.state_dict())
    assert whole_history.points[0].iterations > 1


def test_a_new_run_starts_afresh() -> None:
    trainer, history = Engine(lambda engine, batch: None), ControllerHistory(4)
    FixedController(2).attach(trainer)
    history.attach(trainer)
    trainer.run(range(30))
    assert history.points[0].iterations == 8
    trainer.run(range(3))
    assert [(point.first, point.last) for point in history.points] == [(1, 1), (2, 2), (3, 3)]
    history.reset()
    assert not history.points


def test_going_back_drops_what_was_recorded_from_there_on() -> None:
    trainer, history = Engine(lambda engine, batch: None), ControllerHistory()
    controller = FixedController(2)
    controller.attach(trainer)
    history.attach(trainer)
    trainer.run(range(10))
    controller.detach()
    FixedController(5).attach(trainer)
    trainer.load_state_dict({"iteration": 4, "epoch_length": 4, "max_epochs": 2})
    trainer.run(range(4), max_epochs=2)
    assert [point.last for point in history.points] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [point.critic_updates for point in history.points] == [2] * 4 + [5] * 4


def test_a_smaller_history_thins_out_what_it_loads() -> None:
    small = ControllerHistory(4)
    small.load_state_dict(recorded([1, 2, 3, 4, 5, 6, 7, 8], 100).state_dict())
    assert [(point.first, point.last, point.critic_updates) for point in small.points] == [
        *((1, 2, 3), (3, 4, 7), (5, 6, 11), (7, 8, 15)),
    ]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"handler": "FixedController"}, "can't be loaded into ControllerHistory"),
        ({"version": 99}, "up to 1"),
        ({"span": 0}, "at least 1"),
        ({"points": 3}, "expected a list"),
        ({"points": [[1, 1, 1]]}, "expected 8 numbers"),
        ({"points": [[1, 1, 1, 2.5, 2, 2, 2.0, 0.0]]}, "whole numbers"),
        ({"points": [[1, 1, 1, math.nan, 2, 2, 2.0, 0.0]]}, "whole numbers"),
        ({"points": [[1, 1, 0, 0, 2, 2, 2.0, 0.0]]}, "contradicts itself"),
        ({"points": [[1, 1, 2, 4, 2, 2, 2.0, 0.0]]}, "contradicts itself"),
        ({"points": [[1, 1, 1, 4, 2, 2, 2.0, 0.0]]}, "contradicts itself"),
        ({"points": [[2, 2, 1, 2, 2, 2, 2.0, 0.0], [2, 2, 1, 2, 2, 2, 2.0, 0.0]]}, "does not follow"),
    ],
)
def test_a_state_that_can_not_be_is_refused_and_changes_nothing(change: dict[str, Any], complaint: str) -> None:
    history = recorded([3, 4], 10)
    before = json.dumps(history.state_dict())
    with pytest.raises(StateError, match=complaint):
        history.load_state_dict({**history.state_dict(), **change})
    assert json.dumps(history.state_dict()) == before


@pytest.mark.parametrize("value", [None, 2.0, True, -1, "2"])
def test_no_number_of_critic_updates(value: Any) -> None:
    trainer, history = Engine(lambda engine, batch: None), ControllerHistory()
    if value is not None:
        state(trainer).num_discriminator_steps = value
    history.attach(trainer)
    with pytest.raises(ValueError, match="expects an int of at least 0"):
        trainer.run(range(2))


@pytest.mark.parametrize(
    ("arguments", "error", "complaint"),
    [
        ({"max_points": 1}, ValueError, "max_points=1"),
        ({"max_points": 2.0}, TypeError, "max_points=2.0"),
        ({"param_name": 3}, TypeError, "param_name=3"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], complaint: str) -> None:
    with pytest.raises(error, match=complaint):
        ControllerHistory(**arguments)


def test_attach_and_detach() -> None:
    trainer, history = Engine(lambda engine, batch: None), ControllerHistory()
    with pytest.raises(RuntimeError, match="is not attached"):
        history.detach()
    with pytest.raises(TypeError, match="got int"):
        history.attach(3)  # type: ignore[arg-type]  # that is the test
    history.attach(trainer)
    with pytest.raises(RuntimeError, match="attached already"):
        history.attach(trainer)
    history.detach()
    trainer.run(range(3))  # a handler that stayed would find no attribute
    assert history.points == ()
    assert repr(history) == "ControllerHistory()"


class TestPlot:
    @pytest.fixture
    def figure(self) -> Any:
        return pytest.importorskip("matplotlib.figure").Figure()

    def test_lines_are_the_history(self, figure: Any) -> None:
        trainer, history = Engine(gap_step), ControllerHistory()
        WassersteinGapController().attach(trainer)
        history.attach(trainer)
        trainer.run(range(40))
        assert plot_history(history, figure=figure) is figure
        upper, lower = figure.axes
        n, ratio = upper.get_lines()
        points = history.points
        assert n.get_xdata().tolist() == list(range(1, 42))
        assert n.get_ydata().tolist()[:-1] == [point.critic_updates for point in points]
        assert ratio.get_ydata().tolist()[:-1] == [point.ratio for point in points]
        (signal,) = lower.get_lines()
        assert str(signal.get_ydata().tolist()[:-1]) == str([point.signal for point in points])  # NaN is not NaN
        assert [axes.get_ylabel() for axes in figure.axes] == ["critic updates", "signal"]
        assert lower.get_xlabel() == "iteration"
        figure.savefig(io.BytesIO())

    def test_no_signal_no_panel_and_a_range_where_points_were_merged(self, figure: Any) -> None:
        plot_history(recorded([1, 3, 5, 5, 5], 3), figure=figure)
        (upper,) = figure.axes
        assert upper.get_lines()[0].get_ydata().tolist() == [2.0, 5.0, 5.0, 5.0]
        (area,) = upper.collections
        assert area.get_paths()[0].get_extents().intervaly.tolist() == [1.0, 5.0]
        assert upper.get_xlabel() == "iteration"

    def test_points_alone_and_a_figure_of_its_own(self) -> None:
        plt = pytest.importorskip("matplotlib.pyplot")
        with plt.rc_context({"backend": "agg"}):
            figure = plot_history(recorded([2, 3], 10).points[1:])
            assert figure is plt.gcf()
            plt.close(figure)
        assert figure.axes[0].get_lines()[0].get_xdata().tolist() == [2, 3]

    def test_what_is_no_figure_is_refused(self) -> None:
        with pytest.raises(TypeError, match="figure=5: expected a figure of matplotlib, got int"):
            plot_history(recorded([2, 3], 10), figure=5)

    def test_without_matplotlib_it_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
        with pytest.raises(
            RuntimeError, match=r"plot_history needs matplotlib: pip install 'adaptive-critic\[plots\]'"
        ):
            plot_history(recorded([2, 3], 10))

    def test_what_is_no_history(self, figure: Any) -> None:
        with pytest.raises(ValueError, match="the history is empty"):
            plot_history(ControllerHistory(), figure=figure)
        with pytest.raises(TypeError, match="expected a ControllerHistory"):
            plot_history([1, 2], figure=figure)  # type: ignore[list-item]  # that is the test
        with pytest.raises(TypeError, match="history=5: expected a ControllerHistory"):
            plot_history(5, figure=figure)  # type: ignore[arg-type]  # that is the test


def test_a_title_is_set_on_the_figure() -> None:
    with pytest.raises(TypeError, match=r"^plot_history has no argument 'title': it returns a figure of matplotlib"):
        plot_history([], title="mine")  # type: ignore[call-arg]
