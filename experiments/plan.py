"""Which runs there are: blocks of the suite, and what each run is called and depends on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from experiments.contenders import CONTENDERS, Contender, select_contenders
from experiments.identity import identity
from experiments.schema import Config, Suite
from experiments.tasks import all_tasks, module_of, select_tasks
from experiments.tasks._task import Task

TUNING_SEEDS = (1000, 1001, 1002)
"""Seeds that pick the best constants, fix the targets and freeze settings; no result is quoted from them."""
RUNNER = ("experiments.runner:Training", "experiments.runner:result_of")
"""What every run depends on, beside its task and its contender."""


@dataclass(frozen=True)
class Spec:
    """One run to be made, complete enough to be sent to another process.

    Attributes:
        task: name of the task.
        contender: name of the contender.
        seed: of the run.
        identity: see :mod:`experiments.identity`.
        folder: where its files go.
        matches: folder of the run whose mean n it holds, or None.
        quick: whether the task is cut.
    """

    task: str
    contender: str
    seed: int
    identity: str
    folder: Path
    matches: Path | None = None
    quick: bool = False

    @property
    def role(self) -> str:
        """Whether the seed is for choices or for results."""
        return "tuning" if self.seed in TUNING_SEEDS else "final"

    def load_task(self) -> Task:
        """Return the task, cut if asked for."""
        task = all_tasks()[self.task]
        return task.cut() if self.quick else task

    def config(self) -> Config:
        """Return what the result says of its configuration."""
        task, (contender,) = self.load_task(), select_contenders([self.contender])
        setting = {"handler": contender.root, **contender.configuration()}
        extra = {"task_configuration": task.configuration(), "setting": setting}
        return Config(self.task, task.suite, self.contender, self.seed, self.role, extra)

    def __str__(self) -> str:
        return f"{self.task}, {self.contender}, seed {self.seed}"


@dataclass(frozen=True)
class Block:
    """A part of the suite that runs in one go, at most 90 minutes on two cores.

    Attributes:
        name: on the command line, and of the compact results' file.
        title: for people.
        tasks: names.
        contenders: names.
        seeds: all of one role.
    """

    name: str
    title: str
    tasks: tuple[str, ...]
    contenders: tuple[str, ...]
    seeds: tuple[int, ...]

    @property
    def only_best_pairs(self) -> bool:
        """Whether pairs run only where tuning seeds picked them: there are too many for all final seeds."""
        return bool(self.name) and not set(self.seeds) <= set(TUNING_SEEDS)


def blocks() -> dict[str, Block]:
    """Return the blocks of the suite by name, in the order in which they are meant to run."""
    tasks = all_tasks().values()
    development = tuple(task.name for task in tasks if task.suite == "development")
    cheap = tuple(task.name for task in tasks if task.suite == "evaluation" and task.cheap)
    images = tuple(task.name for task in tasks if task.suite == "evaluation" and not task.cheap)
    constant = tuple(contender.name for contender in CONTENDERS if contender.kind in ("fixed", "pair"))
    every = tuple(contender.name for contender in CONTENDERS)
    found = [
        Block("development", "development tasks, tuning seeds", development, every, TUNING_SEEDS),
        Block("tuning", "constants on cheap evaluation tasks, tuning seeds", cheap, constant, TUNING_SEEDS),
        *(
            Block(f"tuning-images-{seed}", f"constants on images, tuning seed {seed}", images, constant, (seed,))
            for seed in TUNING_SEEDS
        ),
        # Final seeds below these have been looked at (experiments/report/seeds.py).
        Block("cheap", "cheap evaluation tasks, final seeds 41-44", cheap, every, tuple(range(41, 45))),
        Block("cheap-more", "cheap evaluation tasks, final seeds 45-48", cheap, every, tuple(range(45, 49))),
        # 49 to 54 of one task were looked at with two laws.
        Block("cheap-fresh", "cheap evaluation tasks, final seeds 55-57", cheap, every, tuple(range(55, 58))),
        Block("cheap-fresh-more", "cheap evaluation tasks, final seeds 58-59", cheap, every, (58, 59)),
        *(
            Block(f"images-{seed}", f"image evaluation tasks, final seed {seed}", images, every, (seed,))
            for seed in range(16, 27)
        ),
    ]
    return {block.name: block for block in found}


def select_blocks(names: Iterable[str]) -> list[Block]:
    """Return the blocks of these names; a ValueError lists the blocks there are."""
    known = blocks()
    wanted = list(names)
    if unknown := [name for name in wanted if name not in known]:
        raise ValueError(f"unknown block {', '.join(map(repr, unknown))}; there are: {', '.join(known)}")
    return [known[name] for name in wanted]


def specs(
    out: Path,
    *,
    block_names: Sequence[str] = (),
    task_names: Sequence[str] | None = None,
    contender_names: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    quick: bool = False,
    suite: Suite | None = None,
) -> list[Spec]:
    """Return the runs asked for, seed by seed, each after the run that it matches.

    Args:
        out: folder of the results.
        block_names: of these blocks; all of them when empty.
        task_names: only of these tasks.
        contender_names: only of these contenders, and of those that they match.
        seeds: only with these seeds, or, with tasks or contenders but no block, with these whatever the blocks say.
        quick: cut every task, seed 0.
        suite: which pairs blocks of final seeds run: the best of each task, and the best over all. Without it, none.

    Raises:
        ValueError: a name is unknown, or nothing is left.
    """
    tasks = [task.name for task in select_tasks(task_names)]
    contenders = [contender.name for contender in select_contenders(contender_names)]
    if quick or (seeds is not None and not block_names):
        only = Block("", "", tuple(tasks), tuple(contenders), (0,) if seeds is None else tuple(seeds))
        chosen = [only]
    else:
        chosen = select_blocks(block_names or blocks())
    best = _best_pairs(suite)
    found: dict[str, Spec] = {}
    for block in chosen:
        wanted_seeds = [seed for seed in block.seeds if seeds is None or seed in seeds]
        names = [name for name in block.contenders if name in contenders]
        for seed in wanted_seeds:
            for task in (all_tasks()[name] for name in block.tasks if name in tasks):
                for contender in select_contenders(names):
                    is_left_out = (
                        contender.kind == "pair" and block.only_best_pairs and contender.name not in best[task.name]
                    )
                    if contender.runs_on(task) and not is_left_out:
                        for spec in _chain(out, task, contender, seed, quick):
                            found.setdefault(spec.identity, spec)
    if not found:
        raise ValueError("no run is left: these tasks, contenders and seeds have none in common")
    # Within a seed the long runs first, so that the last core is not left alone with one of them.
    return sorted(found.values(), key=lambda spec: (spec.seed, spec.matches is not None, -spec.load_task().seconds))


def _best_pairs(suite: Suite | None) -> dict[str, set[str]]:
    """The pairs that final seeds are for, by task."""
    found: dict[str, set[str]] = {name: set() for name in all_tasks()}
    if suite is None:
        return found
    for task in suite.tasks:
        if task.name in found:
            found[task.name].update(suite.pairs, asdict(task.best_pair).values() if task.best_pair is not None else ())
    return found


def _chain(out: Path, task: Task, contender: Contender, seed: int, quick: bool) -> list[Spec]:
    """The run, after the run that it matches, if any."""
    before: list[Spec] = []
    if contender.matches is not None:
        (matched,) = select_contenders([contender.matches])
        before = _chain(out, task, matched, seed, quick)
    shown = task.cut() if quick else task
    configuration = {
        "task": shown.configuration(),
        "contender": contender.configuration(),
        "seed": seed,
        "matches": before[-1].identity if before else None,
    }
    roots = (f"{module_of(task)}:TASK", contender.root, *RUNNER)
    name = identity(configuration, roots)
    folder = out / task.name / contender.name.replace(":", "-") / f"seed-{seed}-{name}"
    return [*before, Spec(task.name, contender.name, seed, name, folder, before[-1].folder if before else None, quick)]


def suite_record(previous: Suite | None = None) -> Suite:
    """Describe the suite for ``tasks.json``; what tuning seeds fixed is kept from ``previous``."""
    known = {task.name: task for task in previous.tasks} if previous is not None else {}
    tasks = []
    for task in all_tasks().values():
        record = task.record()
        if task.name in known:
            before = known[task.name]
            kept = {key: getattr(before, key) for key in ("floor", "targets", "best_fixed_n", "best_pair")}
            record = replace(record, **kept)
        tasks.append(record)
    contenders = tuple(contender.record() for contender in CONTENDERS)
    commit, pairs = (previous.freeze_commit, previous.pairs) if previous is not None else (None, ())
    return Suite(tuple(tasks), contenders, commit, gap="gap", loss_ratio="pid", reference="wgan-reference", pairs=pairs)


def estimated_seconds(runs: Iterable[Spec]) -> float:
    """Processor seconds that runs are expected to take on one thread."""
    return math.fsum(spec.load_task().seconds for spec in runs)
