"""The command line of the law search."""

from __future__ import annotations

import argparse
from pathlib import Path

from experiments.law_search.search import Store, baselines, run_problem, score
from experiments.law_search.problems import DEVELOPMENT, HELD_OUT


def main() -> None:
    """Run contenders of a split, or print the scores of those that were run."""
    parser = argparse.ArgumentParser(prog="python -m experiments.law_search", description=__doc__)
    parser.add_argument("action", choices=("run", "score"))
    parser.add_argument("--split", choices=("development", "held-out"), default="development")
    parser.add_argument("--problems", nargs="*", default=None, help="names; default: all of the split")
    parser.add_argument("--store", type=Path, default=Path("law_search_runs"))
    arguments = parser.parse_args()
    split = DEVELOPMENT if arguments.split == "development" else HELD_OUT
    problems = [split[name] for name in arguments.problems or split]
    store = Store(arguments.store)
    if arguments.action == "run":
        for problem in problems:
            run_problem(problem, baselines(), store)
    for name, row in sorted(score(problems, store).items(), key=lambda item: item[1]["to_best"]):
        print(f"{name:40s} " + "  ".join(f"{key} {value:6.2f}" for key, value in row.items()))
