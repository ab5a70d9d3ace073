"""``python -m tests.crash``: kill and resume trainings, then spoil some; ends with 1 if anything differs."""

from __future__ import annotations

import argparse
import sys
import time

import torch

from tests.crash.kills import Result, kill_trainings


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def killed(kills: int, seed: int) -> bool:
    begun = time.perf_counter()

    def progress(result: Result) -> None:
        say(f"  {result.kills} of {kills} kills, {result.runs} trainings, {time.perf_counter() - begun:.0f} s")

    result = kill_trainings(kills, seed, progress=progress)
    say(
        f"{result.exact} of {result.kills} kills: resumed in a new process, and every later iteration is the "
        f"uninterrupted run's bit for bit ({result.runs} trainings, {result.lives} processes, {result.compared} "
        f"iterations compared, {result.damaged} cut-off checkpoints passed over; {time.perf_counter() - begun:.0f} s)"
    )
    say("killed " + "; ".join(f"{where}: {count}" for where, count in sorted(result.where.items())))
    for difference in result.differences:
        say(f"FIRST DIFFERENCE: {difference}")
    return result.exact == result.kills == kills


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    return 0 if killed(arguments.kills, arguments.seed) else 1


if __name__ == "__main__":
    sys.exit(main())
