"""``python -m tests.mutation``: change lines of the package, see whether a test fails; 1 if too few of them do."""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path

from tests.mutation.modules import MODULES
from tests.mutation.mutants import ROOT, Tried, try_mutants

TARGET = 0.90
REASONS = Path(__file__).with_name("survivors.txt")


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def reasons(text: str) -> dict[str, str]:
    """Return why a mutant may survive, by ``module function`` and the lines that differ."""
    found = {}
    for paragraph in text.split("\n\n"):
        *mutant, last = [line for line in paragraph.splitlines() if not line.startswith("#")] or [""]
        if last.startswith("why: "):
            found["\n".join(mutant)] = last.removeprefix("why: ")
    return found


def interval(killed: int, tried: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share."""
    z = 1.96
    share, spread = killed / tried, z * z / tried
    half = z * math.sqrt(share * (1.0 - share) / tried + spread / (4.0 * tried))
    return (share + spread / 2.0 - half) / (1.0 + spread), (share + spread / 2.0 + half) / (1.0 + spread)


def score(results: list[Tried]) -> float:
    """Return the share that is killed: of all mutants, each module's sample standing for all of its mutants."""
    return sum(one.mutants * one.killed / one.tried for one in results) / sum(one.mutants for one in results)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("modules", nargs="*", default=list(MODULES), help=f"some of {', '.join(MODULES)}")
    parser.add_argument("--sample", type=int, default=100, help="mutants of a module that are tried, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="which ones are drawn")
    parser.add_argument("--processes", type=int, default=1, help="mutants that are tried at the same time")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "mutation", help="where the copies lie")
    options = parser.parse_args(arguments)
    unknown = set(options.modules) - set(MODULES)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(MODULES)}")

    known = reasons(REASONS.read_text())
    results: dict[str, Tried] = {}
    rows = []
    for name in options.modules:
        begun = time.perf_counter()
        result = try_mutants(MODULES[name], options.folder / name, options.sample, options.seed, options.processes)
        results[name] = result
        open_ones = [survivor for survivor in result.survivors if f"{name} {survivor}" not in known]
        low, high = interval(result.killed, result.tried)
        rows.append(
            f"| {name} | {result.mutants} | {result.tried} | {result.killed} | {result.killed / result.tried:.1%} "
            f"({low:.0%} to {high:.0%}) | {len(result.survivors) - len(open_ones)} | {len(open_ones)} |"
        )
        say(f"{name}: {result.killed} of {result.tried} killed, {time.perf_counter() - begun:.0f} s")
        for survivor in open_ones:
            say(f"\n{name} {survivor}\nwhy: ")
    say("\n| module | mutants | tried | killed | score (95 %) | survivors explained | not explained |")
    say("|---|---|---|---|---|---|---|")
    say("\n".join(rows))
    groups = dict.fromkeys(MODULES[name].group for name in options.modules)
    scores = {
        group: score([result for name, result in results.items() if MODULES[name].group == group]) for group in groups
    }
    say("\n" + ", ".join(f"{group} {value:.1%}" for group, value in scores.items()))
    return int(min(scores.values()) < TARGET)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
