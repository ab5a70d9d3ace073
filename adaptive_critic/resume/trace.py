"""Records a run before and after each step, entry by entry, and finds where two runs differ first."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

from ignite.engine import Engine, Events

from adaptive_critic.distributed import full_state
from adaptive_critic.random_state import RandomState
from adaptive_critic.resume.recipe import default_device
from adaptive_critic.resume.watch import entries, numbers, stateful_objects

STATE, OUTPUT, RANDOM = "engine.state", "output", "the global random state"

Entry: TypeAlias = "tuple[str, str]"  # (object, path of the entry within it)


class Moment(NamedTuple):
    """A point in a run."""

    iteration: int
    step: str  # "before" or "after" its step


Trace: TypeAlias = "dict[Moment, dict[Entry, str]]"
Difference: TypeAlias = "tuple[Entry, str, str]"  # value in the resumed run, and in the uninterrupted one


class Recorder:
    """Records every entry of a run before and after each step, and ends it after ``last`` iterations."""

    def __init__(self, trainer: Engine, to_save: Mapping[str, Any], last: int, ignore: Collection[str]) -> None:
        watched = {name: item for name, item in stateful_objects(trainer, to_save).items() if name not in ignore}
        self._watched = {**watched, RANDOM: RandomState(default_device())}
        self._ignored = set(ignore)
        self._last = last
        self.trace: Trace = {}
        trainer.add_event_handler(Events.STARTED, self._on_started)

    def _on_started(self, trainer: Engine) -> None:
        # Only now all other handlers are attached, so these come after them.
        trainer.add_event_handler(Events.ITERATION_STARTED, self._before)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._after)

    def _before(self, trainer: Engine) -> None:
        # Before the step the trace names the entry that was not restored, not its consequences.
        batch = trainer.state.batch
        # A run over range(...) has plain numbers. Everything else is data, which Ignite does not resume.
        drawn = [] if isinstance(batch, (int, float)) else entries(batch, "batch")
        self._record(trainer, "before", [(STATE, drawn), *self._objects(), (STATE, numbers(trainer))])

    def _after(self, trainer: Engine) -> None:
        output = entries(trainer.state.output)
        self._record(trainer, "after", [(STATE, numbers(trainer)), (OUTPUT, output), *self._objects()])
        if trainer.state.iteration >= self._last:
            trainer.terminate()

    def _objects(self) -> Iterator[tuple[str, Iterable[tuple[str, str]]]]:
        return ((name, entries(_state(item))) for name, item in self._watched.items())

    def _record(self, trainer: Engine, step: str, found: Iterable[tuple[str, Iterable[tuple[str, str]]]]) -> None:
        self.trace[Moment(trainer.state.iteration, step)] = {
            (name, path): text
            for name, parts in found
            for path, text in parts
            if self._ignored.isdisjoint((name, path, f"{name}.{path}"))
        }


def _state(item: Any) -> Any:
    try:
        return full_state(item)
    except Exception as error:  # wrappers have the method, whatever they wrap; saving one is an error of its own
        return {"state_dict()": f"raises {type(error).__name__}"}


def random_states_used(trace: Trace) -> set[str]:
    """Return which of the global random states change within a run: "cpu", "python", ..."""
    first = next(iter(trace.values()), {})
    return {
        path.partition(".")[0]
        for then in trace.values()
        for (name, path), text in then.items()
        if name == RANDOM and first.get((name, path)) != text
    }


def first_difference(trace: Trace, expected: Trace, used: Collection[str]) -> tuple[Moment, list[Difference]] | None:
    """Return the first moment at which the runs differ, with all differences then, in order."""
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
