"""``python -m tests.soak``: a million iterations with random faults; 1 if anything grows, drifts or is not finite."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

import torch

from tests.soak.cases import CASES
from tests.soak.faults import FAULTS
from tests.soak.growth import Sample
from tests.soak.run import Soak, SoakError


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def report(soak: Soak, samples: Sequence[Sample], seconds: float) -> None:
    """Say what happened in one soak."""
    say(
        f"  {soak.done} iterations, {sum(soak.faults.values())} faults, {soak.errors} errors that ended a run, "
        f"{soak.overridden} iterations overridden, n from {soak.fewest} to {soak.most}, |sum of n - sum of ratios| at "
        f"most {soak.widest:.6f}, {soak.lines} lines in the log, {soak.warnings} warnings; {seconds:.0f} s"
    )
    half = len(samples) // 2
    for name, first, last in (("made anew", 1, half - 1), ("kept", half + 1, len(samples) - 1)):
        shown = ", ".join(
            f"{field} {early} -> {late}"
            for field, early, late in zip(Sample._fields, samples[first], samples[last], strict=True)
        )
        say(f"  handlers {name} in iterations {soak.sampled[first]} to {soak.sampled[last]}: {shown}")


def soaked(name: str, iterations: int, seed: int) -> bool:
    """Soak one controller and say what came of it."""
    say(f"{name}:")
    begun = time.perf_counter()
    soak = Soak(CASES[name], seed, FAULTS)
    try:
        samples = soak.run(
            iterations, progress=lambda done: say(f"  {done} iterations, {time.perf_counter() - begun:.0f} s")
        )
    except SoakError as error:
        say(f"FAILED: {error}")
        return False
    report(soak, samples, time.perf_counter() - begun)
    wrong = soak.complaints(samples)
    for text in wrong:
        say(f"FAILED: {text}")
    return not wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument(
        "--iterations", type=int, default=1_000_000, help="of the first controller; the others: a tenth"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=sorted(CASES), help="one controller alone, with all iterations")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    names = [arguments.only] if arguments.only else list(CASES)
    sound = True
    for index, name in enumerate(names):
        iterations = arguments.iterations if index == 0 else arguments.iterations // 10
        sound = soaked(name, iterations, arguments.seed) and sound
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
