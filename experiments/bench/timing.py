"""Processor time that handlers add to an iteration, measured in turns within one process."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from functools import partial
from statistics import median, quantiles
from typing import Any, NamedTuple

import torch
from ignite.engine import Engine, Events
from ignite.handlers import TerminateOnNan
from ignite.metrics import RunningAverage

from adaptive_critic import (
    AccuracyLadderController,
    FixedController,
    LossRatioPIDController,
    StepDecayController,
    WassersteinGapController,
    WGANReferenceController,
)
from adaptive_critic.guard import DivergenceGuard
from experiments.bench.outputs import VARIANTS, engine, outputs

ITERATIONS = 400  # in a block
BLOCKS = 15


class Case(NamedTuple):
    """A row of the table."""

    name: str
    against: str
    """name of the baseline whose added time it is divided by"""
    target: float | None
    """largest ratio that is wanted"""
    trainer: Engine


class Cost(NamedTuple):
    """Time that a case adds to an iteration."""

    microseconds: float
    """median over the blocks, beyond the empty engine's of the same block"""
    ratio: float
    """median of what the case adds over median of what its baseline adds"""
    quartiles: tuple[float, float]
    """of the ratios of single blocks"""


def averages(trainer: Engine) -> None:
    """Attach two RunningAverages of 0-d tensors."""
    for key in ("g_loss", "g_fake"):
        RunningAverage(output_transform=lambda output, key=key: output[key]).attach(trainer, key)


def terminate_on_nan(trainer: Engine) -> None:
    trainer.add_event_handler(Events.ITERATION_COMPLETED, TerminateOnNan())


def gap(every: int, count: int = 1) -> Callable[[Engine], None]:
    def attach(trainer: Engine) -> None:
        for index in range(count):
            WassersteinGapController(update_every=every, param_name=f"n_{index}").attach(trainer)

    return attach


def updating(guard: Callable[[torch.optim.Optimizer], DivergenceGuard] | None) -> Engine:
    """Return an engine whose step is one update of a small critic by Adam, with this guard over its optimizer."""
    width, batch = 128, 64
    critic = torch.nn.Sequential(torch.nn.Linear(2, width), torch.nn.ReLU(), torch.nn.Linear(width, width))
    critic.extend([torch.nn.ReLU(), torch.nn.Linear(width, 1)])
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-4)
    points, given = torch.randn(batch, 2, generator=torch.Generator().manual_seed(0)), outputs(1, "tensors")

    def step(_: Engine, index: int) -> dict[str, Any]:
        optimizer.zero_grad()
        (critic(points) - points[:, :1]).square().mean().backward()
        optimizer.step()
        return given[index % VARIANTS]

    trainer = Engine(step)
    if guard is not None:
        guard(optimizer).attach(trainer)
    return trainer


def cases() -> list[Case]:
    """Return all rows. Baselines come first: one case is one engine, and all take turns."""
    two, nan = "two RunningAverages", "TerminateOnNan, n=5, tuples"
    nan_tensors = "TerminateOnNan, n=5, tensors"
    rows = [
        Case("empty engine", "", None, engine(lambda _: None)),
        Case(two, two, None, engine(averages)),
        Case(nan, nan, None, engine(terminate_on_nan)),
        Case(nan_tensors, nan_tensors, None, engine(terminate_on_nan, form="tensors")),
    ]
    for every, target in ((10, 0.35), (1, 0.8)):
        for form in ("tuples", "tensors"):
            for n in (1, 5, 20):
                name = f"WassersteinGapController, update_every={every}, n={n}, {form}"
                rows.append(Case(name, two, target, engine(gap(every), n, form)))
    for count in (2, 4):
        rows.append(Case(f"{count} WassersteinGapControllers, update_every=10", two, None, engine(gap(10, count))))
    closed = {
        "LossRatioPIDController('wasserstein')": LossRatioPIDController("wasserstein", update_every=10),
        "AccuracyLadderController()": AccuracyLadderController(update_every=10),
    }
    rows += [Case(f"{name}, update_every=10", two, 0.35, engine(c.attach)) for name, c in closed.items()]
    lagged = WassersteinGapController(update_every=10, lagged=True)
    rows.append(Case("WassersteinGapController(lagged=True), update_every=10", two, None, engine(lagged.attach)))
    opened = {
        "FixedController(5)": FixedController(5),
        "StepDecayController(milestones={0: 25, 25: 10})": StepDecayController(milestones={0: 25, 25: 10}),
        "WGANReferenceController()": WGANReferenceController(),
    }
    rows += [Case(name, two, 0.1, engine(controller.attach)) for name, controller in opened.items()]
    for form, baseline in (("tuples", nan), ("tensors", nan_tensors)):
        guarded = engine(DivergenceGuard().attach, form=form)
        rows.append(Case(f"DivergenceGuard(), n=5, {form}", baseline, 0.5, guarded))
    update = "an update of a critic by Adam, 128 wide"
    rows.append(Case(update, update, None, updating(None)))
    for limit in (None, 5.0):
        name = f"that update under DivergenceGuard('rollback', to_restore={{its optimizer}}, update_limit={limit})"
        rows.append(Case(name, update, None, updating(partial(_rollback, limit))))
    return rows


def _rollback(update_limit: float | None, optimizer: torch.optim.Optimizer) -> DivergenceGuard:
    return DivergenceGuard("rollback", to_restore={"optimizer": optimizer}, update_limit=update_limit)


def measure(rows: list[Case], blocks: int = BLOCKS, iterations: int = ITERATIONS) -> Mapping[str, Cost]:
    """Return the cost of each case, from ``blocks`` turns of ``iterations`` iterations each, after one to warm up."""
    taken: dict[str, list[float]] = {row.name: [] for row in rows}
    for _ in range(blocks + 1):
        for row in rows:
            gc.collect(0)
            start = time.process_time()
            row.trainer.run(range(iterations), max_epochs=row.trainer.state.epoch + 1)
            taken[row.name].append((time.process_time() - start) / iterations * 1e6)
    empty = taken[rows[0].name][1:]
    added = {name: [t - e for t, e in zip(times[1:], empty, strict=True)] for name, times in taken.items()}
    costs = {}
    for row in rows[1:]:
        own, base = added[row.name], added[row.against]
        low, _, high = quantiles([a / b for a, b in zip(own, base, strict=True)], n=4)
        costs[row.name] = Cost(median(own), median(own) / median(base), (low, high))
    return costs
