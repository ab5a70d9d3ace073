"""What a run was, before and after each step, entry by entry, and where two runs differ first."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

from ignite.engine import Engine, Events

from adaptive_critic.random_state import RandomState
from adaptive_critic.resume.recipe import default_device
from adaptive_critic.resume.watch import entries, numbers, stateful_objects

__all__ = [
    "OUTPUT",
    "RANDOM",
    "STATE",
    "Difference",
    "Moment",
    "Recorder",
    "Trace",
    "first_difference",
    "random_states_used",
]

STATE, OUTPUT, RANDOM = "engine.state", "output", "the global random state"

Entry: TypeAlias = "tuple[str, str]"  # (object, path of the entry within it)


class Moment(NamedTuple):
    """A point in a run."""

    iteration: int
    step: str
    """"before" or "after" its step"""


Trace: TypeAlias = "dict[Moment, dict[Entry, str]]"
Difference: TypeAlias = "tuple[Entry, str, str]"  # what it is, and what it is uninterrupted


class Recorder:
    """Records every entry of a run before and after each step, and ends it after ``last`` iterations."""

    def __init__(self, trainer: Engine, to_save: Mapping[str, Any], last: int, ignore: Collection[str]) -> None:
        self._watched = {name: item for name, item in stateful_objects(trainer, to_save).items() if name not in ignore}
        self._random = RandomState(default_device())
        self._ignored = ignore
        self._last = last
        self.trace: Trace = {}
        trainer.add_event_handler(Events.STARTED, self._on_started)

    def _on_started(self, trainer: Engine) -> None:
        # Only now all handlers are attached, and these come after them.
        trainer.add_event_handler(Events.ITERATION_STARTED, self._before)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._after)

    def _before(self, trainer: Engine) -> None:
        # What was not restored shows itself before the step, so that it is named, and not what comes of it.
        batch = trainer.state.batch
        # A number is what a run over range(...) counts with; everything else is data, which Ignite does not resume.
        parts = [] if isinstance(batch, (int, float)) else entries(batch, "batch")
        drawn = [(STATE, path, text) for path, text in parts]
        self._record(trainer, "before", [*drawn, *self._objects(), *self._states(trainer)])

    def _after(self, trainer: Engine) -> None:
        output = [(OUTPUT, path, text) for path, text in entries(trainer.state.output)]
        self._record(trainer, "after", [*self._states(trainer), *output, *self._objects()])
        if trainer.state.iteration >= self._last:
            trainer.terminate()

    def _record(self, trainer: Engine, step: str, found: list[tuple[str, str, str]]) -> None:
        kept = {
            (name, path): text for name, path, text in found if not {name, path, f"{name}.{path}"} & set(self._ignored)
        }
        self.trace[Moment(trainer.state.iteration, step)] = kept

    def _states(self, trainer: Engine) -> Iterator[tuple[str, str, str]]:
        for name, text in numbers(trainer).items():
            yield STATE, name, text

    def _objects(self) -> Iterator[tuple[str, str, str]]:
        for name, item in self._watched.items():
            for path, text in entries(item.state_dict()):
                yield name, path, text
        for path, text in entries(self._random.state_dict()):
            yield RANDOM, path, text


def random_states_used(trace: Trace) -> set[str]:
    """Return which of the global random states change within a run: "cpu", "python", ..."""
    found: dict[str, set[tuple[str, ...]]] = {}
    for entries_then in trace.values():
        states: dict[str, list[str]] = {}
        for (name, path), text in entries_then.items():
            if name == RANDOM:
                states.setdefault(path.partition(".")[0], []).append(text)
        for key, texts in states.items():
            found.setdefault(key, set()).add(tuple(texts))
    return {key for key, values in found.items() if len(values) > 1}


def first_difference(trace: Trace, expected: Trace, used: Collection[str]) -> tuple[Moment, list[Difference]] | None:
    """Return the first moment at which the runs differ, with all that differs then, in order."""
    for (moment, ours), (expected_moment, theirs) in zip(trace.items(), expected.items(), strict=False):
        if moment != expected_moment:
            return expected_moment, [((STATE, "iteration"), str(moment.iteration), str(expected_moment.iteration))]
        differing = [
            ((name, path), ours.get((name, path), "absent"), theirs.get((name, path), "absent"))
            for name, path in dict.fromkeys([*theirs, *ours])
            if ours.get((name, path)) != theirs.get((name, path)) and (name != RANDOM or path.partition(".")[0] in used)
        ]
        if differing:
            return moment, differing
    if len(trace) < len(expected):
        missing = list(expected)[len(trace)]
        return missing, [((STATE, "iteration"), "the end of the run", str(missing.iteration))]
    return None
