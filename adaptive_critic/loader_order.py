"""Reads and restores the order of a loader's batches: random generators, number of the pass, the loader's state."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader, IterableDataset, Subset

from adaptive_critic.checks import shortened
from adaptive_critic.random_state import GlobalStates
from adaptive_critic.state import StateError, header, integer, mapping

_NAME = "InfiniteBatches"
_VERSION = 1

_logger = logging.getLogger("adaptive_critic")


class PassStart(NamedTuple):
    """Start of a pass: everything that decides its order."""

    random: GlobalStates
    generators: list[torch.Tensor]  # states of the loader's own generators
    starts_workers: bool  # whether the loader's workers began with it, which draws a random number


class Position(NamedTuple):
    """A position in the passes over a loader."""

    passes: int  # complete ones
    batches: int  # drawn from the current pass
    start: PassStart  # of the current pass
    generators: list[torch.Tensor]  # states of the loader's own generators when the position was saved
    loader: Mapping[str, Any] | None  # the loader's own state_dict, if it has one


class LoaderOrder:
    """Reads and restores the state that decides the order of a loader's batches."""

    def __init__(self, loader: Iterable[Any]) -> None:
        self._loader = loader
        self._kind = type(loader).__name__
        self._generators_at_first = len(self._generators())
        self._warned: set[str] = set()

    @property
    def has_one_iterator(self) -> bool:
        """Whether every ``iter(loader)`` may reset the same iterator."""
        return self._has_state_methods() or self._has_persistent_workers()

    def shared_iterator(self) -> tuple[Any, Any]:
        """Return the iterator that all users of the loader share, if there is one, and its count of batches so far."""
        iterator = getattr(self._loader, "_iterator", None) if isinstance(self._loader, DataLoader) else None
        return iterator, getattr(iterator, "_num_yielded", None)

    def start(self) -> PassStart:
        """Return the start of a pass that begins now."""
        return PassStart(GlobalStates.now(), self._states(), not self._workers_run())

    def set_epoch(self, epoch: int) -> None:
        """Call every ``set_epoch`` in the loader with the number of the pass."""
        dataset = getattr(self._loader, "dataset", None)
        parts = [*self._samplers(), dataset]
        while isinstance(dataset, Subset):
            dataset = dataset.dataset
            parts.append(dataset)
        for part in {id(part): part for part in parts}.values():
            set_epoch: Callable[[int], None] | None = getattr(part, "set_epoch", None)
            if callable(set_epoch):
                set_epoch(epoch)

    def state_dict(self, passes: int, batches: int, start: PassStart) -> dict[str, Any]:
        """Return a position as ints and tensors, with the loader's own state if it has one."""
        random = start.random.state_dict()
        state = {
            "handler": _NAME,
            "version": _VERSION,
            "passes": passes,
            "batches": batches,
            "pass_rng": random.pop("cpu"),
            "pass_random": random,
            "pass_generators": list(start.generators),
            "pass_starts_workers": start.starts_workers,
            "generators": self._states(),
        }
        loader = self._own_state() if batches else None
        return state if loader is None else {**state, "loader": loader}

    def read(self, state_dict: Mapping[str, Any]) -> Position:
        """Return the position from a state dict; a StateError if there is none, or one of another kind of loader."""
        state = header(state_dict, _NAME, _VERSION)
        loader = mapping(state, "loader") if "loader" in state else None
        if loader is not None and not self._has_state_methods():
            raise StateError(
                f"the position was saved by a loader with a state_dict of its own, {self._kind} has none: use the same "
                "kind of loader, such as torchdata's StatefulDataLoader"
            )
        passes, batches = integer(state, "passes"), integer(state, "batches")
        cpu = next(iter(_random_states(state, "pass_rng")), None)
        others = mapping(state, "pass_random") if "pass_random" in state else {}  # 0.1.0 saved none
        random = GlobalStates.read({"cpu": cpu, **others})
        began, now = (self._own_states(state, key) for key in ("pass_generators", "generators"))
        start = PassStart(random, began, bool(state.get("pass_starts_workers", passes == 0)))
        return Position(passes, batches, start, now, loader)

    def _own_states(self, state: Mapping[str, Any], key: str) -> list[torch.Tensor]:
        """Return the states of the loader's own generators; it may have made some of them after the start."""
        states = _random_states(state, key)
        if len(states) < self._generators_at_first:
            raise self._other_generators(key, len(states))
        return states

    def go_to(self, position: Position) -> Iterator[Any] | None:
        """Return the loader's iterator at ``position``, None between two passes. Global random states are left alone.

        Raises:
            StateError: if the loader has too few batches or generators for the position.
        """
        now = GlobalStates.now()
        try:
            if len(position.start.generators) > len(self._generators()) and self._may_make_generators():
                self._skip(iter(self._loader), 1)
            self.set_epoch(position.passes)
            iterator = self._iterate(position) if position.batches else None
            # A Python generator over a loader that has loaded its state draws the order only with the first batch.
            if position.loader is None or not isinstance(iterator, Generator):
                self._set_states("generators", position.generators)
        finally:
            now.restore()
        return iterator

    def _iterate(self, position: Position) -> Iterator[Any]:
        """Begin the pass of ``position`` as it began then, and go on to its batch."""
        start, persistent = position.start, self._has_persistent_workers()
        if persistent and not start.starts_workers and not self._workers_run():
            iter(self._loader)
        start.random.restore()
        self._set_states("pass_generators", start.generators)
        if position.loader is not None:
            self._loader.load_state_dict(position.loader)  # type: ignore[attr-defined]  # read() looked
            return iter(self._loader)
        if persistent and start.starts_workers and self._workers_run():
            # Starting the workers draws their seed before the order is drawn.
            torch.empty((), dtype=torch.int64).random_(generator=getattr(self._loader, "generator", None))
        iterator = iter(self._loader)
        drawn = self._skip(iterator, position.batches)
        if drawn < position.batches:
            raise StateError(
                f"the saved position is {position.batches} batches into a pass, but the {self._kind} yielded only "
                f"{drawn}: was it saved with other data or another batch size?"
            )
        return iterator

    def restore_states(self, states: list[torch.Tensor]) -> None:
        """Restore the states of the loader's own generators; newer generators keep theirs."""
        for generator, state in zip(self._generators(), states, strict=False):
            generator.set_state(state)

    def _samplers(self) -> list[Any]:
        """Return the loader and its samplers, those within samplers included."""
        found: list[Any] = [self._loader]
        level = found
        for _ in range(3):
            level = [getattr(part, name, None) for part in level for name in ("sampler", "batch_sampler")]
            found = found + level
        return list({id(part): part for part in found if part is not None}.values())

    def _generators(self) -> list[torch.Generator]:
        found = (getattr(part, "generator", None) for part in self._samplers())
        return list({id(item): item for item in found if isinstance(item, torch.Generator)}.values())

    def _may_make_generators(self) -> bool:
        """Return whether a sampler may make its generator when it is first iterated, as accelerate's does."""
        return any(getattr(part, "generator", part) is None for part in self._samplers())

    def _states(self) -> list[torch.Tensor]:
        return [generator.get_state() for generator in self._generators()]

    def _set_states(self, key: str, states: list[torch.Tensor]) -> None:
        if len(states) > len(self._generators()):
            raise self._other_generators(key, len(states))
        self.restore_states(states)

    def _other_generators(self, key: str, saved: int) -> StateError:
        return StateError(
            f"state[{key!r}] holds {saved} random state(s), expected {len(self._generators())}: give the loader as "
            "many generators (generator=) as it had when the position was saved"
        )

    def _has_state_methods(self) -> bool:
        return all(callable(getattr(self._loader, name, None)) for name in ("state_dict", "load_state_dict"))

    def _own_state(self) -> Mapping[str, Any] | None:
        """Return the loader's own state, None if it has none: wrappers have the method whatever they wrap."""
        if not self._has_state_methods():
            return None
        try:
            state = self._loader.state_dict()  # type: ignore[attr-defined]  # looked at above
            if isinstance(state, Mapping) and state:
                return state
            found = f"returned {shortened(state)}"
        except Exception as error:  # whatever the wrapper does where the loader has no state
            found = f"raised {error!r}"
        self._warn(
            f"state_dict() of the {self._kind} {found}. The position is saved without it: on a resume its batches are "
            "drawn once more and thrown away, which takes their loading time"
        )
        return None

    def _has_persistent_workers(self) -> bool:
        return bool(getattr(self._loader, "persistent_workers", False))

    def _workers_run(self) -> bool:
        return getattr(self._loader, "_iterator", None) is not None

    def _skip(self, iterator: Iterator[Any], batches: int) -> int:
        """Draw batches and throw them away; return how many there were."""
        for drawn in range(batches):
            before = GlobalStates.now() if drawn == 1 and self._is_stream() else None
            try:
                next(iterator)
            except StopIteration:
                return drawn
            except Exception as error:  # it counts: batches that can't be read are in the position
                _logger.debug("a batch that is thrown away could not be read: %r", error)
            if before is not None and not before.same_as(GlobalStates.now()):
                self._warn(
                    f"The data set of the {self._kind} draws random numbers while it is iterated. If its order depends "
                    "on them, it is exact after a resume only if nothing else draws from the same global generator. "
                    "Let it shuffle with a generator of its own, seeded in __iter__ from the number that set_epoch() "
                    "gets"
                )
        return batches

    def _is_stream(self) -> bool:
        return not hasattr(self._loader, "dataset") or isinstance(self._loader.dataset, IterableDataset)

    def _warn(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            _logger.warning(message)


def _random_states(state: Mapping[str, Any], key: str) -> list[torch.Tensor]:
    found = state.get(key)
    entries = found if isinstance(found, list) else [found]
    # A checkpoint may have been loaded onto another device; random states live on the CPU.
    tensors = [item.cpu() for item in entries if isinstance(item, torch.Tensor) and item.dtype == torch.uint8]
    if len(tensors) != len(entries):
        raise StateError(f"state[{key!r}]={found!r}: expected saved random states (tensors of bytes)")
    return tensors
