"""Does feedback save fake-score updates in distillation? Fixed numbers against controllers at equal cost.

    python -m experiments.clients.distillation_experiment

Two settings: a fake score with twice the generator's learning rate, and one with a fifth of that. Seeds are paired:
networks, their start and noise. Costs are forward passes in units of a generator update; a controller that needs D pays
one teacher evaluation per iteration for it. Quality is the sliced Wasserstein distance of 2000 generated points to 2000
of the teacher. Nothing was tuned: the controllers are as they come. Runs that ``results/distillation.json`` has already
are not run again.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import adaptive_critic
from adaptive_critic.controller import Controller
from experiments.clients.distillation import Distillation, Teacher
from experiments.metrics import sliced_w1

RESULT = Path(__file__).parent / "results" / "distillation.json"
BUDGET = 2400.0  # generator updates' worth of forward passes
POINTS = 40  # evaluations, at equal distances of cost
SEEDS = range(5)
SETTINGS = {"fake-score rate 1e-3": 1e-3, "fake-score rate 2e-4": 2e-4}
CONTENDERS = (
    "FixedController(1)",
    "FixedController(2)",
    "FixedController(5)",  # DMD2's number
    "FixedController(10)",
    "FixedController(1) at 8 times the rate",
    "WassersteinGapController()",
    "LossRatioPIDController('wasserstein')",
    "CriticEffortController(optimizer_d)",
)


def distance(toy: Distillation) -> float:
    """Return the distance of the generator to the teacher, with noise that is the same at every call."""
    noise = torch.Generator().manual_seed(2026)
    real = Teacher().sample(2000, noise)
    with torch.no_grad():
        return sliced_w1(real, toy.generator(torch.randn(2000, 2, generator=noise)))


def floor() -> float:
    """Return the distance of the teacher to itself."""
    noise = torch.Generator().manual_seed(2026)
    return sliced_w1(Teacher().sample(2000, noise), Teacher().sample(2000, noise))


def run(contender: str, setting: str, seed: int, budget: float = BUDGET) -> dict[str, Any]:
    """Train once; return what is to be kept of it."""
    code, _, times = contender.removesuffix(" times the rate").partition(" at ")
    rate = SETTINGS[setting] * float(times or 1)
    toy = Distillation(seed, fake_rate=rate, watched=not contender.startswith("Fixed"))
    controller: Controller = eval(code, {**vars(adaptive_critic), "optimizer_d": toy.optimizer_f})
    began, cost = time.process_time(), 0.0
    ran: list[int] = []
    distances: list[float] = []
    while len(distances) < POINTS:
        ran.append(controller.num_discriminator_steps)
        controller.observe(toy.train_step(ran[-1]))
        cost += toy.cost(ran[-1])
        while len(distances) < POINTS and cost >= budget * (len(distances) + 1) / POINTS:
            distances.append(round(distance(toy), 5))
    return {
        "contender": contender,
        "setting": setting,
        "seed": seed,
        "distances": distances,
        "processor_seconds": round(time.process_time() - began, 2),
        "generator_updates": len(ran),
        "critic_updates": sum(ran),
        "iterations_without": ran.count(0),
        "steps_at_eighths": [ran[(len(ran) - 1) * i // 8] for i in range(9)],
    }


def load(path: Path) -> dict[str, Any]:
    """Return the result so far, or a new one."""
    if path.exists():
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return result
    return {
        "command": "python -m experiments.clients.distillation_experiment",
        "versions": {"Python": platform.python_version(), "torch": version("torch")},
        "budget": BUDGET,
        "points": POINTS,
        "floor": round(floor(), 5),
        "runs": [],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS), help="as in CONTENDERS")
    parser.add_argument("--result", type=Path, default=RESULT)
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    result = load(args.result)
    done = {(row["contender"], row["setting"], row["seed"]) for row in result["runs"]}
    for seed in args.seeds:
        for setting in args.settings:
            for contender in args.contenders:
                if (contender, setting, seed) in done:
                    continue
                row = run(contender, setting, seed, result["budget"])
                result["runs"].append(row)
                args.result.parent.mkdir(exist_ok=True)
                args.result.write_text(json.dumps(result) + "\n", encoding="utf-8")
                print(
                    f"{contender}, {setting}, seed {seed}: {row['distances'][POINTS // 4 - 1 :: POINTS // 4]}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
