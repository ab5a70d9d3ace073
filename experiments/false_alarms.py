"""``python -m experiments.false_alarms``: guard and warnings beside runs of the suite, which should not alarm them."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events

from adaptive_critic import DivergenceGuard, FixedController, WassersteinGapController
from experiments.contenders import CONTENDERS as ALL_CONTENDERS
from experiments.contenders import select_contenders
from experiments.runner import Training
from experiments.tasks import all_tasks
from experiments.tasks._task import Task

SEED = 1000
CONTENDERS = ("gap", "fixed-5")


class _Warnings(logging.Handler):
    """Keeps what the package logs about a step's output and about a number at its limit."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.output: list[str] = []
        self.limit: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        kept = {"output_warnings": self.output, "run_summary": self.limit}.get(record.module)
        if kept is not None:
            kept.append(record.getMessage())


def watch(task: Task, contender: str, seed: int, iterations: int | None = None) -> dict[str, Any]:
    """Make a run of the suite with a guard at its defaults that acts on nothing.

    With a fixed n a controller that can't move watches the scores.

    Args:
        task: What to train.
        contender: Who sets n.
        seed: Of the run.
        iterations: After so many the run ends; None: as the suite's runs.

    Returns:
        The run, its iterations, whether it lost its generator, what the guard would have acted on, how often it
        reported a collapse, on which it does not act, and the warnings about scores and about the upper limit.
    """
    (chosen,) = select_contenders([contender])
    training = Training(task, chosen, seed)
    warnings = _Warnings()
    if isinstance(training.handler, FixedController):
        n = training.handler.num_discriminator_steps
        WassersteinGapController(initial=n, limits=(n, n), param_name="watched").attach(training.trainer)
    if iterations is not None:
        training.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=iterations), Engine.terminate)
    alarms: list[str] = []

    def keep(engine: Engine, record: dict[str, Any]) -> None:
        alarms.append(f"iteration {record['iteration']}: {record['reason']}")

    optimizers = {"optimizer_g": training.game.optimizer_g, "optimizer_d": training.game.optimizer_d}
    guard = DivergenceGuard(keep, to_restore=optimizers, max_interventions=10**9)
    guard.attach(training.trainer)
    logger = logging.getLogger("adaptive_critic")
    logger.addHandler(warnings)
    try:
        ledger = training.run()
    finally:
        logger.removeHandler(warnings)
    return {
        "task": task.name,
        "contender": contender,
        "seed": seed,
        "iterations": ledger.generator_updates,
        "diverged": ledger.diverged,
        "alarms": alarms,
        "collapses": sum(record["rule"] == "collapse" for record in guard.history),
        "output": warnings.output,
        "limit": warnings.limit,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Watch one run of each task and contender; 1 if a run that did not diverge raised an alarm or had a warning."""
    parser = argparse.ArgumentParser(prog="python -m experiments.false_alarms", description=main.__doc__)
    parser.add_argument("--tasks", nargs="+", choices=sorted(all_tasks()), default=sorted(all_tasks()), metavar="NAME")
    names = [contender.name for contender in ALL_CONTENDERS if contender.matches is None]
    parser.add_argument("--contenders", nargs="+", choices=names, default=list(CONTENDERS), metavar="NAME")
    parser.add_argument("--seed", type=int, default=SEED, help="default: a tuning seed, %(default)s")
    parser.add_argument("--iterations", type=int, metavar="N", help="end each run after N; default: the whole run")
    parser.add_argument("--write", type=Path, metavar="FILE", help="also write what was found, as JSON")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    found = []
    for name in given.tasks:
        for contender in given.contenders:
            found.append(watch(all_tasks()[name], contender, given.seed, given.iterations))
            print(json.dumps(found[-1]), flush=True)
    healthy = [run for run in found if not run["diverged"]]
    false, told, limit = ([run for run in healthy if run[key]] for key in ("alarms", "output", "limit"))
    iterations = sum(run["iterations"] for run in found)
    print(
        f"{len(found)} runs, {iterations} iterations; of those that did not diverge {len(false)} with an alarm, "
        f"{len(told)} with a warning about the output, {len(limit)} with n at its upper limit"
    )
    if given.write is not None:
        given.write.write_text(json.dumps(found, indent=1) + "\n")
    return int(bool(false or told))


if __name__ == "__main__":
    raise SystemExit(main())
