"""The command line of the law search."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from experiments.law_search.at_limit import AT_LIMIT
from experiments.law_search.effort_rounds import EFFORT_ROUNDS
from experiments.law_search.problems import ALL, DEVELOPMENT, HASTY, HELD_OUT, IMAGES
from experiments.law_search.rounds import ROUNDS
from experiments.law_search.search import SEEDS, Store, ratios, run_problem, score

# The problems on which the law on effort was chosen, two at the limit of their rates beside them, and the others.
CHOSEN_ON = ("ring-r1", "swiss-fast", "ring", "mixture10", "swiss-hasty", "digits-features")
OTHERS = ("ring-hasty", "grid-hinge", "grid-hasty-least-squares", "shapes-features", "digits-hasty", "blobs")


def main() -> None:
    """Run rounds of candidates on a split, and print or write the scores of what was run."""
    rounds = ROUNDS | EFFORT_ROUNDS
    splits = {
        "development": DEVELOPMENT,
        "hasty": HASTY,
        "images": IMAGES,
        "held-out": HELD_OUT,
        "effort": {name: ALL[name] for name in CHOSEN_ON},
        "effort-others": {name: ALL[name] for name in OTHERS},
        "at-limit": AT_LIMIT,
    }
    parser = argparse.ArgumentParser(prog="python -m experiments.law_search", description=main.__doc__)
    parser.add_argument("action", choices=("run", "score"))
    parser.add_argument("--split", choices=tuple(splits), default="development")
    parser.add_argument("--problems", nargs="*", default=None, help="names; default: all of the split")
    parser.add_argument("--rounds", nargs="*", default=["baselines"], choices=sorted(rounds), help="for run")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="number of seeds, from 1")
    parser.add_argument("--full", action="store_true", help="run to the budget instead of to the late target")
    parser.add_argument("--store", type=Path, default=Path("law_search_runs"), help="folder of the quality curves")
    parser.add_argument("--write", type=Path, default=None, help="JSON file for the scores")
    arguments = parser.parse_args()
    split = splits[arguments.split]
    seeds = range(1, arguments.seeds + 1)
    names = arguments.problems or list(split)
    store = Store(arguments.store)
    if arguments.action == "run":
        for at in arguments.rounds:
            for name in names:
                run_problem(split[name], rounds[at], store, seeds, stop=at != "baselines" and not arguments.full)
    table = ratios([split[name] for name in names], store)
    scores = score(table, names)
    for name, row in scores.items():
        print(f"{name:32s} " + "  ".join(f"{key} {value:6.2f}" for key, value in row.items()))
    if arguments.write is not None:
        arguments.write.write_text(json.dumps({"problems": names, "scores": scores, "ratios": table}, indent=1) + "\n")
