"""The states that a release writes, of everything that has one; each in a training that is under way."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine
from torch import nn
from torch.utils.data import DataLoader

from adaptive_critic import (
    ControllerHistory,
    DivergenceGuard,
    StepDecayController,
    StopAtBudget,
    infinite_batches,
)
from adaptive_critic.controller import Controller
from adaptive_critic.random_state import RandomState
from adaptive_critic.training.ema import AveragedGenerator
from tests.handlers.table import HANDLERS, feed, healthy, make, output

SEEN, AFTER = 17, 12
ITERATIONS = 60


class Subject:
    """Something with a state, and what it does next.

    Args:
        item: has ``state_dict`` and ``load_state_dict``.
        begin: brings it to where its state is saved.
        go_on: lets it go on; what it returns depends on nothing but the state.
    """

    def __init__(self, item: Any, begin: Callable[[], Any], go_on: Callable[[], Any]) -> None:
        self.item = item
        self.begin = begin
        self.go_on = go_on


def _controller(code: str, **options: Any) -> Subject:
    controller: Controller = make(code, **options)
    return Subject(
        controller,
        lambda: feed(controller, healthy(SEEN)),
        lambda: feed(controller, healthy(AFTER, start=SEEN))[0],
    )


def _guarded(code: str) -> Subject:
    """A controller with a guard, which takes an engine to drive it."""
    controller: Controller = make(code, on_divergence="hold")

    def run(start: int, count: int) -> list[int]:
        steps: list[int] = []
        stream = healthy(count, start=start)

        def step(engine: Engine, batch: Any) -> dict[str, Any]:
            steps.append(controller.num_discriminator_steps)
            return output(stream[engine.state.iteration - start - 1], steps[-1], "floats")

        trainer = Engine(step)
        if start:
            trainer.load_state_dict({"iteration": start, "max_epochs": 1, "epoch_length": start + count})
        controller.attach(trainer)
        trainer.run(range(start + count))
        controller.detach()
        return steps

    return Subject(controller, lambda: run(0, SEEN), lambda: run(SEEN, AFTER))


def _guard() -> Subject:
    """A guard that has intervened once and trusts a copy."""
    torch.manual_seed(0)
    model = nn.Linear(2, 1)

    def step(engine: Engine, batch: Any) -> dict[str, Any]:
        iteration = engine.state.iteration
        with torch.no_grad():
            model.weight += 1
            if iteration == 41:
                model.weight.fill_(torch.nan)
        return {"g_loss": float(model.weight.detach().sum()), "d_loss": 0.1 * (iteration % 7)}

    guard = DivergenceGuard("rollback", to_restore={"model": model}, check_every=3, snapshot_every=6, cooldown=10)

    def begin() -> None:
        trainer = Engine(step)
        guard.attach(trainer)
        trainer.run(range(ITERATIONS))
        guard.detach()

    def go_on() -> Any:
        trainer = Engine(lambda engine, batch: {"g_loss": float("nan")})
        guard.attach(trainer)
        until = ITERATIONS + 4  # the next check and no more
        trainer.load_state_dict({"iteration": ITERATIONS, "max_epochs": 1, "epoch_length": until})
        trainer.run(range(until))
        records = [[record["iteration"], record["rule"], record["action"]] for record in guard.history]
        return [records, guard.interventions, model.weight.tolist()]

    return Subject(guard, begin, go_on)


def _guard_of_updates() -> Subject:
    """A guard that knows how far updates move the weights; each second one takes back the one before, exactly."""
    model = nn.Linear(2, 1)
    for weight in model.parameters():
        nn.init.constant_(weight, 8.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.25)
    guard = DivergenceGuard("rollback", to_restore={"optimizer": optimizer}, check_every=3, window=8)

    def run(until: int, size: float) -> None:
        def step(engine: Engine, batch: Any) -> dict[str, Any]:
            pair, second = divmod(engine.state.iteration - 1, 2)
            for weight in model.parameters():
                weight.grad = torch.full_like(weight, size * (1 + pair % 5) * (-1 if second else 1))
            optimizer.step()
            return {"d_loss": 0.5}

        trainer = Engine(step)
        guard.attach(trainer)
        if until > ITERATIONS:
            trainer.load_state_dict({"iteration": ITERATIONS, "max_epochs": 1, "epoch_length": until})
        trainer.run(range(until))
        guard.detach()

    def go_on() -> Any:
        run(ITERATIONS + 10, 100.0)
        (record,) = guard.history
        return [record["iteration"], record["rule"], record["reason"], record["values"], record["action"]]

    return Subject(guard, lambda: run(ITERATIONS, 1.0), go_on)


def _attached(handler: Any, shown: Callable[[], Any]) -> Subject:
    """A handler that follows a run with a schedule."""

    def run(from_iteration: int) -> None:
        trainer = Engine(lambda engine, batch: None)
        StepDecayController(milestones={0: 5, 20: 2, 70: 1}).attach(trainer)
        handler.attach(trainer)
        if from_iteration:
            trainer.load_state_dict({"iteration": from_iteration, "max_epochs": 2, "epoch_length": ITERATIONS})
        trainer.run(range(ITERATIONS), max_epochs=2 if from_iteration else 1)
        handler.detach()

    def go_on() -> Any:
        run(ITERATIONS)
        return shown()

    return Subject(handler, lambda: run(0), go_on)


def _batches() -> Subject:
    torch.manual_seed(3)
    shuffled = torch.Generator().manual_seed(8)
    batches = infinite_batches(DataLoader(range(30), batch_size=4, shuffle=True, generator=shuffled))  # type: ignore[arg-type]  # a range is a data set
    return Subject(
        batches,
        lambda: [next(batches) for _ in range(11)],
        lambda: [next(batches).tolist() for _ in range(9)],
    )


def _average() -> Subject:
    model = nn.BatchNorm1d(2)
    average = AveragedGenerator(model, decay=0.5)

    def update() -> Any:
        with torch.no_grad():
            model.weight.fill_(4.0)
        average.update_parameters(model)
        return [average.module.weight.tolist(), average.n_averaged.item()]  # type: ignore[operator]  # it is BatchNorm1d

    return Subject(average, update, update)


def _random_state() -> Subject:
    def begin() -> None:
        torch.manual_seed(1)
        random.seed(2)
        np.random.seed(3)  # noqa: NPY002  # the global generator is what is saved
        random.gauss(0, 1)

    def go_on() -> Any:
        return [torch.rand(3).tolist(), random.gauss(0, 1), random.random(), float(np.random.standard_normal())]  # noqa: NPY002

    return Subject(RandomState(torch.device("cpu")), begin, go_on)


def subjects() -> dict[str, Callable[[], Subject]]:
    """Return how to make each of them, by name."""
    made: dict[str, Callable[[], Subject]] = {}
    for name, code in HANDLERS.items():
        made[name] = lambda code=code: _controller(code)  # type: ignore[misc]
    made["gap, lagged, every 4"] = lambda: _controller(HANDLERS["gap"], lagged=True, update_every=4)
    made["gap with a guard"] = lambda: _guarded(HANDLERS["gap"])
    history, budget = ControllerHistory(max_points=20), StopAtBudget(critic_updates=250)
    made["guard, rollback"] = _guard
    made["guard, updates"] = _guard_of_updates
    made["budget"] = lambda: _attached(budget, lambda: list(budget.spent))
    made["history"] = lambda: _attached(history, lambda: [list(point)[:6] for point in history.points])
    made["batches"] = _batches
    made["average"] = _average
    made["random state"] = _random_state
    return made
