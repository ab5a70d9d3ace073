"""``python -m tests.crash``: kill and resume trainings, also of two ranks, spoil some; 1 if anything differs."""

from __future__ import annotations

import argparse
import logging
import math
import statistics
import sys
import time
from collections.abc import Callable

import torch

from tests.crash.kills import Result, kill_trainings
from tests.crash.ranks import kill_ranks
from tests.crash.spoilt import END, FAULTS, OBJECTIVES, Outcome, complaint, spoil


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def killed(kills: int, seed: int, kill: Callable[..., Result], processes: str) -> bool:
    begun = time.perf_counter()

    def progress(result: Result) -> None:
        say(f"  {result.kills} of {kills} kills, {result.runs} trainings, {time.perf_counter() - begun:.0f} s")

    result = kill(kills, seed, progress=progress)
    say(
        f"{result.exact} of {result.kills} kills: resumed in {processes}, and every later iteration is the "
        f"uninterrupted run's bit for bit ({result.runs} trainings, {result.lives} processes, {result.compared} "
        f"iterations compared, {result.damaged} checkpoints passed over; {time.perf_counter() - begun:.0f} s)"
    )
    say("killed " + "; ".join(f"{where}: {count}" for where, count in sorted(result.where.items())))
    for difference in result.differences:
        say(f"FIRST DIFFERENCE: {difference}")
    return result.exact == result.kills == kills


def row(outcomes: list[Outcome]) -> str:
    """Return the table's row of all runs with one fault."""
    found = [outcome for outcome in outcomes if outcome.rule]
    rules = ", ".join(sorted({outcome.rule for outcome in found})) or "-"
    after = f"{statistics.median(outcome.after for outcome in found):.0f}" if found else "-"
    ended = sum(outcome.ended < END for outcome in outcomes)
    distances = [outcome.distance for outcome in outcomes]
    unusable = sum(math.isnan(outcome.distance + outcome.average_distance) for outcome in outcomes)
    cells = (
        outcomes[0].fault,
        f"{len(found)} of {len(outcomes)}",
        rules,
        after,
        f"{len(outcomes) - ended} / {ended}",
        f"{len(outcomes) - unusable} of {len(outcomes)}",
        " ".join(f"{distance:.2f}" for distance in distances),
    )
    return f"| {' | '.join(cells)} |"


def spoilt(seeds: int) -> bool:
    begun = time.perf_counter()
    heads = (
        "what was spoilt",
        "found",
        "rule",
        "iterations until found",
        "went on / stopped",
        "finite model",
        "distance",
    )
    say(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    complaints: list[str] = []
    for fault in FAULTS:
        outcomes = [spoil(fault, objective, seed) for objective in OBJECTIVES for seed in range(seeds)]
        say(row(outcomes))
        for outcome in outcomes:
            wrong = complaint(outcome, fault)
            if wrong is not None:
                complaints.append(f"{outcome.fault}, {outcome.objective}, seed {outcome.seed}: {wrong}")
    say(f"({len(FAULTS) * len(OBJECTIVES) * seeds} runs; {time.perf_counter() - begun:.0f} s)")
    for text in complaints:
        say(f"FAILED: {text}")
    return not complaints


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--rank-kills", type=int, default=10, help="kills of one or both of two ranks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=2, help="runs of each objective with each way of spoiling them")
    arguments = parser.parse_args()
    for name in ("kills", "rank_kills", "seeds"):
        if getattr(arguments, name) < 0:
            parser.error(f"--{name.replace('_', '-')} {getattr(arguments, name)}: expected at least 0")
    torch.set_num_threads(1)
    logging.getLogger("adaptive_critic").setLevel(logging.CRITICAL)  # the guard's reports are counted below
    exact = arguments.kills == 0 or killed(arguments.kills, arguments.seed, kill_trainings, "a new process")
    if arguments.rank_kills:
        exact = killed(arguments.rank_kills, arguments.seed, kill_ranks, "two new processes") and exact
    sound = arguments.seeds == 0 or spoilt(arguments.seeds)
    return 0 if exact and sound else 1


if __name__ == "__main__":
    sys.exit(main())
