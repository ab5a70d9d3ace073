"""Is a controller worth anything to CTGAN? Fixed numbers against WassersteinGapController at equal cost.

    python -m experiments.clients.tabular_experiment

Half of the rows of a real table are trained on; the other half scores what was generated (sdmetrics' QualityReport:
shapes of columns and trends of pairs, 0 to 1). The two halves against each other are the ceiling. Seeds are paired:
split, networks and noise are the same for all contenders. Costs are FLOPs in units of one generator update, counted
here. Runs that ``results/tabular.json`` has already are not run again.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import time
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from ctgan import CTGAN

import adaptive_critic
from adaptive_critic.controller import Controller
from experiments.clients.tabular import CATEGORIES, driven, fair
from experiments.flops import count_flops

RESULT = Path(__file__).parent / "results" / "tabular.json"
# Generator updates' worth of FLOPs. Set after a look at seed 0 with 2000: there all were level from 250 on.
BUDGET = 800.0
BATCH = 200  # CTGAN's own is 500; with 200 the same processor time holds more updates. All else is CTGAN's default.
CHECKPOINTS = (0.0625, 0.125, 0.25, 0.5, 1.0)  # shares of the budget at which samples are scored
SEEDS = range(5)
CONTENDERS = (
    "FixedController(1)",  # CTGAN's own default
    "FixedController(5)",
    "WassersteinGapController()",
    "LossRatioPIDController('wasserstein')",
)


class Spent(Exception):
    """The budget is spent."""


class Recorder:
    """Adds up the cost of a run, scores samples at the checkpoints, ends it after the last."""

    def __init__(self, model: Any, held_out: Any, critic_cost: float, budget: float) -> None:
        self.steps: list[int] = []
        self.scores: list[dict[str, float]] = []
        self.cost = 0.0
        self._model = model
        self._held_out = held_out
        self._critic_cost = critic_cost
        self._at = [share * budget for share in CHECKPOINTS]

    def after_round(self, n: int) -> None:
        """Count a round of n critic updates and a generator update."""
        self.steps.append(n)
        self.cost += 1.0 + n * self._critic_cost
        while self.cost >= self._at[len(self.scores)]:
            self.scores.append(score(self._held_out, sample(self._model, len(self._held_out))))
            if len(self.scores) == len(self._at):
                raise Spent


def sample(model: Any, rows: int) -> Any:
    """Sample from a copy, with noise of its own, so that a training that goes on is not touched."""
    twin = copy.deepcopy(model)
    twin.set_random_state(2026)
    return twin.sample(rows)


def score(real: Any, other: Any) -> dict[str, float]:
    """Return sdmetrics' quality of ``other`` as a stand-in for ``real``: 1 for the same distribution."""
    from sdmetrics.reports import QualityReport

    kinds = {name: "categorical" if name in CATEGORIES else "numerical" for name in real.columns}
    report = QualityReport()
    metadata = {"tables": {"fair": {"columns": {name: {"sdtype": kind} for name, kind in kinds.items()}}}}
    report.generate({"fair": real}, {"fair": other}, metadata, verbose=False)
    parts = dict(report.get_properties().itertuples(index=False, name=None))
    return {
        "quality": float(report.get_score()),
        "shapes": parts["Column Shapes"],
        "pairs": parts["Column Pair Trends"],
    }


def halves(seed: int) -> tuple[Any, Any]:
    """Return the rows to train on and those to score with."""
    rows = fair()
    train = rows.sample(frac=0.5, random_state=seed)
    return train.reset_index(drop=True), rows.drop(train.index).reset_index(drop=True)


def critic_cost() -> float:
    """Return the FLOPs of a critic update over those of a generator update, counted within CTGAN's own ``fit``."""
    train, _ = halves(0)
    rounds = len(train) // BATCH
    flops = []
    for k in (1, 2):
        model = CTGAN(epochs=1, discriminator_steps=k, batch_size=BATCH, enable_gpu=False)
        model.set_random_state(0)
        flops.append(count_flops(partial(model.fit, train, CATEGORIES)) / rounds)
    critic = flops[1] - flops[0]
    return critic / (flops[0] - critic)


def run(contender: str, seed: int, cost_of_critic: float, budget: float = BUDGET) -> dict[str, Any]:
    """Train once; return what is to be kept of it."""
    train, held_out = halves(seed)
    model = CTGAN(epochs=10**9, batch_size=BATCH, enable_gpu=False)
    model.set_random_state(seed)
    controller: Controller = eval(contender, dict(vars(adaptive_critic)))
    recorder = Recorder(model, held_out, cost_of_critic, budget)
    began = time.process_time()
    try:
        with driven(model, controller, recorder.after_round):
            model.fit(train, CATEGORIES)
    except Spent:
        pass
    return {
        "contender": contender,
        "seed": seed,
        "scores": recorder.scores,
        "cost": recorder.cost,
        "processor_seconds": time.process_time() - began,
        "generator_updates": len(recorder.steps),
        "critic_updates": sum(recorder.steps),
        "steps_at_eighths": [recorder.steps[(len(recorder.steps) - 1) * i // 8] for i in range(9)],
    }


def load(path: Path) -> dict[str, Any]:
    """Return the result so far, or a new one."""
    if path.exists():
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return result
    return {
        "command": "python -m experiments.clients.tabular_experiment",
        "versions": {
            "Python": platform.python_version(),
            **{name: version(name) for name in ("torch", "ctgan", "rdt", "sdmetrics", "statsmodels")},
        },
        "table": "statsmodels fair, half of its 6366 rows",
        "critic_cost": critic_cost(),
        "batch_size": BATCH,
        "budget": BUDGET,
        "checkpoints": list(CHECKPOINTS),
        "ceiling": {},
        "runs": [],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS), help="controllers, as Python writes them")
    parser.add_argument("--result", type=Path, default=RESULT)
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    result = load(args.result)
    done = {(row["contender"], row["seed"]) for row in result["runs"]}
    for seed in args.seeds:
        result["ceiling"].setdefault(str(seed), score(*reversed(halves(seed))))
        for contender in args.contenders:
            if (contender, seed) in done:
                continue
            row = run(contender, seed, result["critic_cost"], result["budget"])
            result["runs"].append(row)
            args.result.parent.mkdir(exist_ok=True)
            args.result.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
            qualities = " ".join(f"{at['quality']:.3f}" for at in row["scores"])
            print(f"{contender}, seed {seed}: quality {qualities}, {row['critic_updates']} critic updates", flush=True)


if __name__ == "__main__":
    main()
