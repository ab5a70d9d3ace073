"""Killing trainings of two ranks, one of them or both, and comparing every iteration of each rank."""

from __future__ import annotations

import datetime
import os
import random
import selectors
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import distributed

from adaptive_critic import resume_exactly
from adaptive_critic.resume import saving
from tests.crash.kills import Kill, Result, moments
from tests.crash.training import ITERATIONS, MODES, Training
from tests.crash.worker import SuspendedSaver, say
from tests.processes import preloaded, said_into

RANKS = 2
VICTIMS = ((0,), (1,), (0, 1))
LIMIT = 60.0  # seconds after which a rank that hangs is an error


class RankKill(NamedTuple):
    """When and which ranks are killed."""

    kill: Kill
    victims: tuple[int, ...]


# --- the program of a rank --------------------------------------------------------------------------------------------


def one_rank(
    rank: int,
    rendezvous: str,
    mode: str,
    iterations: int,
    folder: str | None,
    suspend: tuple[int, str, float] | None,
) -> None:
    """Train as one of RANKS, going on from the folder if there is something; without a folder nothing is saved."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{rendezvous}",
        rank=rank,
        world_size=RANKS,
        timeout=datetime.timedelta(seconds=LIMIT),
    )
    training = Training(mode, rank=rank)
    if folder is None:
        say("resumed", "0 0")
    else:
        if suspend is not None:
            vars(saving)["DiskSaver"] = partial(_suspended, suspend)  # in this process, which is one rank's
        resumed = resume_exactly(training.trainer, folder, {"controller": training.controller}, every=7)
        say("resumed", f"{resumed.iteration} {len(resumed.passed_over)}")
    training.run(None, lambda line: say("trace", line), iterations)
    distributed.destroy_process_group()


def _suspended(
    suspend: tuple[int, str, float], folder: str, *, require_empty: bool, save_on_rank: int
) -> SuspendedSaver:
    assert not require_empty
    return SuspendedSaver(Path(folder), suspend, save_on_rank=save_on_rank)


# --- one life ---------------------------------------------------------------------------------------------------------


class _Rank:
    """A process, and what it has said."""

    def __init__(self, rank: int, *arguments: object) -> None:
        context = preloaded()
        self.reader, writer = context.Pipe(duplex=False)
        self.process = context.Process(target=said_into, args=(writer, one_rank, rank, *arguments), daemon=True)
        self.process.start()
        writer.close()
        self._rest = b""
        self.said: list[str] = []
        self.lines: list[str] = []
        self.start = 0
        self.passed_over = 0

    def read(self) -> list[str]:
        """Return the first words of the whole lines that have come; nothing means that it has ended."""
        found = os.read(self.reader.fileno(), 1 << 16)
        *whole, self._rest = (self._rest + found).split(b"\n")
        words = []
        for line in whole:
            word, _, rest = line.decode(errors="replace").partition(" ")
            words.append(word)
            if word == "resumed":
                self.start, self.passed_over = map(int, rest.split())
            elif word == "trace":
                self.lines.append(rest)
            else:
                self.said.append(line.decode(errors="replace"))
        return words if found else ["end"]


def one_life(
    mode: str, iterations: int, folder: Path | None, planned: RankKill | None, rendezvous: Path
) -> tuple[str, list[_Rank]]:
    """Let both ranks live until they end or are killed.

    A survivor is left alone: it ends by itself when the other is gone from the next collective.

    Returns:
        where the victims were killed, "completed" if both ended before; and the ranks.
    """
    kill = planned.kill if planned is not None else None
    ranks = []
    for rank in range(RANKS):
        mine = planned is not None and rank in planned.victims
        suspend = (kill.iterations, kill.within, kill.delay) if mine and kill is not None and kill.within else None
        name = None if folder is None else str(folder)
        ranks.append(_Rank(rank, str(rendezvous), mode, iterations, name, suspend))
    where = "completed"
    deadline = time.monotonic() + LIMIT
    try:
        with selectors.DefaultSelector() as selector:
            for rank, running in enumerate(ranks):
                selector.register(running.reader.fileno(), selectors.EVENT_READ, rank)
            while selector.get_map():
                ready = selector.select(timeout=LIMIT)
                if not ready or time.monotonic() > deadline:
                    said = [line for running in ranks for line in running.said]
                    raise RuntimeError(f"a rank hangs; they said {said}")
                for key, _ in ready:
                    words = ranks[key.data].read()
                    if "end" in words:
                        selector.unregister(key.fd)
                    elif where == "completed" and planned is not None and _has_come(planned, words, ranks, key.data):
                        where = _end(planned, ranks)
    finally:
        for running in ranks:
            if where == "completed":
                running.process.join(LIMIT)
            running.process.kill()
            running.process.join()
    codes = [running.process.exitcode for running in ranks]
    if where == "completed" and codes != [0] * RANKS:
        raise RuntimeError(f"ranks ended by themselves with {codes}: {[running.said for running in ranks]}")
    return "completed" if codes == [0] * RANKS else where, ranks


def _has_come(planned: RankKill, words: list[str], ranks: list[_Rank], spoke: int) -> bool:
    if spoke not in planned.victims:
        return False
    if planned.kill.within is not None:
        return "writing" in words
    return len(ranks[spoke].lines) >= planned.kill.iterations


def _end(planned: RankKill, ranks: list[_Rank]) -> str:
    if planned.kill.within is None:
        time.sleep(planned.kill.delay)
    for victim in planned.victims:
        ranks[victim].process.kill()
    who = "both" if len(planned.victims) > 1 else f"rank {planned.victims[0]}"
    return f"{who}, {planned.kill.within or 'anywhere'}"


# --- many lives -------------------------------------------------------------------------------------------------------


def _planned(seed: int, iterations: int) -> Iterator[RankKill]:
    draw = random.Random(seed)
    for number, kill in enumerate(moments(seed, iterations)):
        yield RankKill(kill, VICTIMS[(number + draw.randrange(2)) % len(VICTIMS)])


def _one_run(
    mode: str, iterations: int, drawn: Iterator[RankKill], most: int, expected: list[list[str]], result: Result
) -> None:
    """Kill one training up to ``most`` times, and resume it until it completes."""
    result.runs += 1
    pending = 0  # kills whose continuation has been exact so far
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "checkpoints")
        left = most
        while True:
            rendezvous = Path(name, f"rendezvous {result.lives}")
            where, ranks = one_life(mode, iterations, folder, next(drawn) if left else None, rendezvous)
            result.lives += RANKS
            result.damaged += sum(rank.passed_over for rank in ranks)
            for number, rank in enumerate(ranks):
                if rank.lines and not result.compare(rank.lines, rank.start, expected[number]):
                    result.differences[-1] = f"rank {number}, {result.differences[-1]}"
                    return
            if where == "completed":
                break
            left -= 1
            pending += 1
            result.kills += 1
            result.where[where] += 1
    for rank in ranks:
        if rank.start + len(rank.lines) != iterations:
            result.differences.append(f"it ended at iteration {rank.start + len(rank.lines)}, not {iterations}")
            return
    result.exact += pending


def uninterrupted_ranks(mode: str, iterations: int) -> list[list[str]]:
    """Return the trace of each rank of a run that is neither killed nor saved."""
    with tempfile.TemporaryDirectory() as name:
        _, ranks = one_life(mode, iterations, None, None, Path(name, "rendezvous"))
    return [rank.lines for rank in ranks]


def kill_ranks(
    kills: int,
    seed: int = 0,
    *,
    per_run: int = 5,
    iterations: int = ITERATIONS,
    progress: Callable[[Result], None] = lambda _: None,
    planned: Iterable[RankKill] | None = None,
) -> Result:
    """Kill one or both ranks ``kills`` times in all, at most ``per_run`` times in each training.

    The kills are ``planned``, or drawn from the seed.
    """
    result, drawn = Result(), iter(planned) if planned is not None else _planned(seed, iterations)
    expected: dict[str, list[list[str]]] = {}
    while result.kills < kills and not result.differences:
        mode = MODES[result.runs % len(MODES)]
        if mode not in expected:
            expected[mode] = uninterrupted_ranks(mode, iterations)
        _one_run(mode, iterations, drawn, min(per_run, kills - result.kills), expected[mode], result)
        progress(result)
    return result
