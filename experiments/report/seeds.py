"""Which seeds were for choices and which for results, and who ran on which of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.report import formatting
from experiments.schema import SEED_ROLES, Results


@dataclass(frozen=True)
class Group:
    """Contenders, by title, that ran on the same seeds of a task."""

    seeds: tuple[int, ...]
    contenders: tuple[str, ...]

    @property
    def text(self) -> str:
        """The seeds and their number, in formatting."""
        return f"{formatting.seeds(self.seeds)} ({len(self.seeds)} {'seed' if len(self.seeds) == 1 else 'seeds'})"


def groups(results: Results) -> dict[str, dict[str, list[Group]]]:
    """Return, by task and role, the contenders grouped by their seeds; the largest group comes first.

    A failed run is a run: its seed counts.
    """
    ran: dict[tuple[str, str, str], set[int]] = defaultdict(set)
    for run in results.runs:
        ran[run.config.task, run.config.seed_role, run.config.contender].add(run.config.seed)
    found: dict[str, dict[str, list[Group]]] = {}
    for task in results.suite.tasks:
        found[task.name] = {}
        for role in SEED_ROLES:
            by_seeds: dict[tuple[int, ...], list[str]] = defaultdict(list)
            for contender in results.suite.contenders:
                if seeds := ran.get((task.name, role, contender.name)):
                    by_seeds[tuple(sorted(seeds))].append(contender.title)
            made = [Group(seeds, tuple(titles)) for seeds, titles in by_seeds.items()]
            found[task.name][role] = sorted(made, key=lambda g: (-len(g.contenders), -len(g.seeds), g.seeds))
    return found


@dataclass(frozen=True)
class Seen:
    """Final seeds of evaluation tasks whose results had been looked at before the law was what it is now.

    Attributes:
        seeds: these.
        cheap: of cheap tasks (True) or of the others.
        frozen_at: commit of the settings that they were looked at with.
    """

    seeds: tuple[int, ...]
    cheap: bool
    frozen_at: str


SEEN = (
    Seen(seeds=(0, 1), cheap=True, frozen_at="793c49e"),
    Seen(seeds=(2, 3, 4), cheap=True, frozen_at="93c06ca"),
    Seen(seeds=(0, 1), cheap=False, frozen_at="93c06ca"),
    Seen(seeds=tuple(range(5, 25)), cheap=True, frozen_at="ae0e4ec"),
    Seen(seeds=tuple(range(2, 7)), cheap=False, frozen_at="ae0e4ec"),
    Seen(seeds=tuple(range(25, 35)), cheap=True, frozen_at="147cbe3"),
    Seen(seeds=tuple(range(7, 12)), cheap=False, frozen_at="147cbe3"),
    Seen(seeds=(35, 36, 37), cheap=True, frozen_at="aea1ccc"),
    Seen(seeds=(12, 13), cheap=False, frozen_at="aea1ccc"),
    Seen(seeds=(38, 39, 40), cheap=True, frozen_at="1a231a4"),
    Seen(seeds=(14, 15), cheap=False, frozen_at="1a231a4"),
    Seen(seeds=tuple(range(41, 49)), cheap=True, frozen_at="37d35c9"),
    Seen(seeds=tuple(range(16, 22)), cheap=False, frozen_at="37d35c9"),
)
"""Seeds that have been scored, each group with the settings of one commit."""


def seen_note(results: Results, seen: Sequence[Seen] = SEEN) -> str:
    """Say what a reader must know of seeds looked at before; empty where no final run is on a task they concern."""
    # Settings are not spoilt by results of their own.
    before = [group for group in seen if group.frozen_at != results.suite.freeze_commit]
    return " ".join(note for group in before if (note := _note(results, group)))


def _note(results: Results, seen: Seen) -> str:
    tasks = {t.name for t in results.suite.tasks if t.suite == "evaluation" and t.cheap is seen.cheap}
    runs = [r for r in results.runs if r.config.task in tasks and r.config.seed_role == "final"]
    if not runs:
        return ""
    mine = sum(run.config.seed in seen.seeds for run in runs)
    which = f"Seeds {formatting.seeds(seen.seeds)} of the {'cheap' if seen.cheap else 'costly'} evaluation tasks"
    looked = f"were looked at with an earlier law, as its settings were frozen at {seen.frozen_at}"
    if not mine:
        return f"{which} {looked}; none of these results comes from them."
    return (
        f"{which} {looked}, so for any setting frozen later they are not unseen. {mine} of the {len(runs)} final runs "
        "on these tasks are theirs, and they count in all figures."
    )
