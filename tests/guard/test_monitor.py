"""An iteration is gathered once, whoever asks first."""

from __future__ import annotations

from adaptive_critic.guard.monitor import Monitor
from adaptive_critic.guard.rules import DivergenceRules
from adaptive_critic.guard.updates import Updates
from tests.guard.engines import healthy


def test_each_iteration_is_gathered_once() -> None:
    monitor = Monitor(DivergenceRules(), 3, None, Updates({}))
    monitor.gather(0, None)  # nothing has happened yet, as a handler that asks at the start of a run finds it
    assert len(monitor.window) == 0
    for iteration in (1, 1, 2, 2):
        monitor.gather(iteration, healthy(iteration))
    assert (len(monitor.window), monitor.due) == (2, False)
    monitor.gather(3, healthy(3))
    assert monitor.due
    assert monitor.check()[1] == 3
    assert (len(monitor.window), monitor.due) == (0, False)
    monitor.gather(3, healthy(3))  # a check forgets the outputs, not that it had them
    assert len(monitor.window) == 0


def test_the_output_is_transformed() -> None:
    monitor = Monitor(DivergenceRules(), 1, lambda output: output["inner"], Updates({}))
    monitor.gather(1, {"inner": healthy(1)})
    assert monitor.due
