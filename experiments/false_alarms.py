"""``python -m experiments.false_alarms``: the divergence guard beside runs of the suite, which should not alarm it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine

from adaptive_critic import DivergenceGuard
from experiments.contenders import CONTENDERS as ALL_CONTENDERS
from experiments.contenders import select_contenders
from experiments.runner import Training
from experiments.tasks import all_tasks
from experiments.tasks._task import Task

SEED = 1000
CONTENDERS = ("gap", "fixed-5")


def watch(task: Task, contender: str, seed: int) -> dict[str, Any]:
    """Make a run of the suite with a guard at its defaults that acts on nothing.

    Returns:
        The run, its iterations, whether it lost its generator, what the guard would have acted on, and how often it
        reported a collapse, on which it does not act.
    """
    (chosen,) = select_contenders([contender])
    training = Training(task, chosen, seed)
    alarms: list[str] = []

    def keep(engine: Engine, record: dict[str, Any]) -> None:
        alarms.append(f"iteration {record['iteration']}: {record['reason']}")

    optimizers = {"optimizer_g": training.game.optimizer_g, "optimizer_d": training.game.optimizer_d}
    guard = DivergenceGuard(keep, to_restore=optimizers, max_interventions=10**9)
    guard.attach(training.trainer)
    ledger = training.run()
    return {
        "task": task.name,
        "contender": contender,
        "seed": seed,
        "iterations": ledger.generator_updates,
        "diverged": ledger.diverged,
        "alarms": alarms,
        "collapses": sum(record["rule"] == "collapse" for record in guard.history),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Watch one run of each task and contender; 1 if a run that did not diverge raised an alarm."""
    parser = argparse.ArgumentParser(prog="python -m experiments.false_alarms", description=main.__doc__)
    parser.add_argument("--tasks", nargs="+", choices=sorted(all_tasks()), default=sorted(all_tasks()), metavar="NAME")
    names = [contender.name for contender in ALL_CONTENDERS if contender.matches is None]
    parser.add_argument("--contenders", nargs="+", choices=names, default=list(CONTENDERS), metavar="NAME")
    parser.add_argument("--seed", type=int, default=SEED, help="default: a tuning seed, %(default)s")
    parser.add_argument("--write", type=Path, metavar="FILE", help="also write what was found, as JSON")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    found = []
    for name in given.tasks:
        for contender in given.contenders:
            found.append(watch(all_tasks()[name], contender, given.seed))
            print(json.dumps(found[-1]), flush=True)
    false = [run for run in found if run["alarms"] and not run["diverged"]]
    iterations = sum(run["iterations"] for run in found)
    print(f"{len(found)} runs, {iterations} iterations, {len(false)} with an alarm that did not diverge")
    if given.write is not None:
        given.write.write_text(json.dumps(found, indent=1) + "\n")
    return int(bool(false))


if __name__ == "__main__":
    raise SystemExit(main())
