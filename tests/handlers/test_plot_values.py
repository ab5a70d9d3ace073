"""An open loop's values in a picture."""

from __future__ import annotations

import sys

import pytest

from adaptive_critic import StepDecayController


def test_values_are_drawn_as_steps_from_iteration_to_iteration() -> None:
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("agg")
    figure = plt.figure()
    try:
        (line,) = StepDecayController.plot_values(5, milestones={0: 9, 3: 4}, param_name="n_critic")
        assert list(line.get_xdata()) == [0, 1, 2, 3, 4]
        assert list(line.get_ydata()) == [9, 9, 9, 4, 4]
        assert line.get_drawstyle() == "steps-post"
        (axes,) = figure.axes
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("iteration", "critic updates")
        assert [text.get_text() for text in axes.get_legend().get_texts()] == ["n_critic"]
    finally:
        plt.close(figure)


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(RuntimeError, match=r"plot_values needs matplotlib: pip install 'adaptive-critic\[plots\]'"):
        StepDecayController.plot_values(5, milestones={0: 9})
