"""Killing a training again and again, and comparing every iteration of it with an uninterrupted one."""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.crash.training import ITERATIONS, MODES, Training, first_difference
from tests.crash.worker import MOMENTS, main
from tests.processes import preloaded, said_into


class Kill(NamedTuple):
    """When a life ends."""

    iterations: int
    """after so many iterations of this life, 0: before its first; for a kill within a write: the number of the write"""
    delay: float
    """seconds after that line of the trace; for a kill within a write: share of the bytes that are on the disk"""
    within: str | None
    """one of MOMENTS: suspended within a write; None: wherever it happens to be"""


@dataclass
class Result:
    """What came of killing."""

    kills: int = 0
    exact: int = 0
    """kills after which every further iteration was the uninterrupted run's"""
    runs: int = 0
    lives: int = 0
    compared: int = 0
    """iterations that were compared"""
    damaged: int = 0
    """checkpoints that were passed over because they did not load"""
    where: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)

    def compare(self, lines: list[str], start: int, expected: list[str]) -> bool:
        """Compare the lines of one life, which went on after iteration ``start``; note the first difference."""
        self.compared += len(lines)
        for line, uninterrupted in zip(lines, expected[start:], strict=False):
            difference = first_difference(line, uninterrupted)
            if difference is not None:
                self.differences.append(difference)
                return False
        return True


def uninterrupted(mode: str, iterations: int) -> list[str]:
    """Return the trace of a run in this process that is neither killed nor saved."""
    lines: list[str] = []
    Training(mode).run(None, lines.append, iterations)
    return lines


def moments(seed: int, iterations: int) -> Iterator[Kill]:
    """Yield random moments: half of them within a write, five or six on average in a run of so many iterations."""
    draw = random.Random(seed)
    while True:
        if draw.random() < 0.5:
            yield Kill(draw.randrange(0, 3 * iterations // 10), draw.random() * 0.02, None)
        else:
            yield Kill(draw.randrange(0, 3 * iterations // 70), draw.random(), draw.choice(MOMENTS))


class _Life:
    """A worker's process."""

    def __init__(self, folder: Path, options: list[str]) -> None:
        context = preloaded()
        reader, writer = context.Pipe(duplex=False)
        self._process = context.Process(target=said_into, args=(writer, main, [str(folder), *options]), daemon=True)
        self._process.start()
        writer.close()
        self._output = os.fdopen(os.dup(reader.fileno()), encoding="utf-8")
        reader.close()
        self._said: list[str] = []
        self.lines: list[str] = []
        self.start = 0
        self.damaged = 0

    def live(self, kill: Kill | None) -> str:
        """Read what it says until the moment has come, then kill it.

        Returns:
            where it was killed; "completed" if it ended before that.
        """
        where = "completed"
        for text in self._output:
            word, _, rest = text.rstrip("\n").partition(" ")
            if word == "resumed":
                self.start, self.damaged = map(int, rest.split())
            elif word == "trace" and text.endswith("\n"):
                self.lines.append(rest)
            else:
                self._said.append(text)
            if where == "completed" and kill is not None and self._has_come(kill, word):
                if kill.within is None:
                    time.sleep(kill.delay)
                where = kill.within or ("before the first iteration" if not self.lines else "anywhere")
                self._process.kill()
        self._process.join()
        self._output.close()
        code = self._process.exitcode
        if code != 0 and where == "completed":
            raise RuntimeError(f"a life ended by itself with exit status {code}:\n{''.join(self._said)}")
        if code == 0:
            return "completed"  # the kill came too late
        return where

    def _has_come(self, kill: Kill, word: str) -> bool:
        if kill.within is not None:
            return word == "writing"
        return word in ("resumed", "trace") and len(self.lines) >= kill.iterations


def one_run(
    mode: str, number: int, iterations: int, drawn: Iterator[Kill], most: int, expected: list[str], result: Result
) -> None:
    """Kill one training up to ``most`` times, and resume it until it completes.

    Every second run saves before the controller's own handler, every fifth without a temporary file.
    """
    options = ["--mode", mode, "--iterations", str(iterations)]
    options += ["--save-first"] * (number % 2)
    atomic = number % 5 != 4
    options += [] if atomic else ["--not-atomic"]
    result.runs += 1
    pending = 0  # kills whose continuation has been exact so far
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        left = most
        while True:
            kill = next(drawn) if left else None
            extra: list[str] = []
            if kill is not None and kill.within is not None:
                if not atomic:  # there is no rename
                    kill = kill._replace(within="in the file")
                extra = ["--suspend", str(kill.iterations), kill.within or "", str(kill.delay)]
            life = _Life(folder, options + extra)
            where = life.live(kill)
            result.lives += 1
            result.damaged += life.damaged
            if atomic and life.damaged:
                result.differences.append(f"{life.damaged} checkpoint(s) that were written atomically do not load")
                return
            if not result.compare(life.lines, life.start, expected):
                return
            if where == "completed":
                break
            left -= 1
            pending += 1
            result.kills += 1
            result.where[where if atomic or kill is None or kill.within is None else f"{where}, not atomic"] += 1
    if life.start + len(life.lines) != iterations:
        result.differences.append(f"it ended at iteration {life.start + len(life.lines)}, not {iterations}")
        return
    result.exact += pending


def kill_trainings(
    kills: int,
    seed: int = 0,
    *,
    per_run: int = 5,
    iterations: int = ITERATIONS,
    progress: Callable[[Result], None] = lambda _: None,
) -> Result:
    """Kill trainings ``kills`` times in all, at most ``per_run`` times each, until a difference is found."""
    result, drawn = Result(), moments(seed, iterations)
    expected: dict[str, list[str]] = {}
    while result.kills < kills and not result.differences:
        mode = MODES[result.runs % len(MODES)]
        if mode not in expected:
            expected[mode] = uninterrupted(mode, iterations)
        one_run(mode, result.runs, iterations, drawn, min(per_run, kills - result.kills), expected[mode], result)
        progress(result)
    return result
