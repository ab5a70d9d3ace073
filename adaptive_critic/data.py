"""An endless source of batches: a fresh one for every critic update, and a position that can be saved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

import torch

from adaptive_critic.loader_order import NAME, STATE_VERSION, LoaderOrder, Position, refuse_single_samples

__all__ = ["InfiniteBatches", "infinite_batches"]

BatchT = TypeVar("BatchT")

_REUSE = ("never", "iteration")


class InfiniteBatches(Iterator[BatchT]):
    """Iterator over ``loader`` that starts over when the loader is exhausted; see :func:`infinite_batches`.

    Attributes:
        loader: the iterable it draws from.
        passes: complete passes over the loader so far.
        batches: batches drawn from the pass under way.
    """

    def __init__(self, loader: Iterable[BatchT], *, reuse: str = "never") -> None:
        if isinstance(loader, InfiniteBatches):
            raise TypeError("loader is an InfiniteBatches already: use it as it is")
        refuse_single_samples(loader)
        if reuse not in _REUSE:
            raise ValueError(f"reuse={reuse!r}: expected one of {', '.join(map(repr, _REUSE))}")
        self.loader = loader
        self._order = LoaderOrder(loader)
        self.reuse = reuse
        self.passes = 0
        self.batches = 0
        self._iterator: Iterator[BatchT] | None = None
        self._held: list[BatchT] = []
        self._engine: Any = None
        self._remember_random_states()

    @property
    def batch_size(self) -> int | None:
        """Samples per batch as the loader states it; None if it does not."""
        size = getattr(self.loader, "batch_size", None)
        return size if isinstance(size, int) else None

    def __iter__(self) -> InfiniteBatches[BatchT]:
        return self

    def __next__(self) -> BatchT:
        if self.reuse == "never":
            return self._draw()
        if self._engine is None:
            raise RuntimeError(
                "reuse='iteration' has to know when an iteration begins: call attach(trainer) before the "
                "run, or use reuse='never' for a fresh batch at every next()"
            )
        if not self._held:
            self._held.append(self._draw())
        return self._held[0]

    def attach(self, engine: Any) -> None:
        """Follow the iterations of ``engine``, so that ``reuse="iteration"`` draws one batch in each.

        With ``reuse="never"`` there is nothing to follow and this does nothing.

        Args:
            engine: an Ignite ``Engine``: the trainer whose step calls ``next``.

        Raises:
            TypeError: if it is not an engine.
            RuntimeError: if another engine is being followed already.
        """
        if self.reuse == "never" or engine is self._engine:
            return
        if not hasattr(engine, "add_event_handler"):
            raise TypeError(f"engine={engine!r}: expected an ignite.engine.Engine, got {type(engine).__name__}")
        if self._engine is not None:
            raise RuntimeError("attached to another engine already: one InfiniteBatches serves one trainer")
        # Ignite's events equal their names, which keeps this module free of Ignite.
        engine.add_event_handler("ITERATION_STARTED", self._held.clear)
        self._engine = engine

    def state_dict(self) -> dict[str, Any]:
        """Return the position: ints and tensors, and the loader's own ``state_dict`` where it has one."""
        state: dict[str, Any] = {
            "handler": NAME,
            "version": STATE_VERSION,
            "passes": self.passes,
            "batches": self.batches,
            "pass_rng": self._pass_rng,
            "pass_generators": list(self._pass_generators),
            "generators": self._order.states(),
        }
        if self.batches and self._order.saves_itself():
            state["loader"] = self.loader.state_dict()  # type: ignore[attr-defined]  # _saves_itself looked
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go to a saved position, such that the next batch is the one that would have come next.

        A loader that has ``state_dict`` and ``load_state_dict``, such as torchdata's ``StatefulDataLoader``,
        goes there itself. From any other, the batches already drawn in this pass are drawn once more and
        thrown away, with the random states that the pass began with. That costs their loading time. It is
        exact if the order depends on nothing but torch's CPU generator, the loader's and its samplers'
        ``generator`` and the epoch of a distributed sampler. It is not if a sampler draws from ``random`` or
        NumPy, if the data set draws random numbers in persistent workers, or if the loader's ``generator`` is
        used elsewhere as well. torch's global random state is left as it was.

        A data set that draws from ``random`` or NumPy in this process, as augmentations do, is exact together
        with :class:`~adaptive_critic.training.random_state.RandomState`, which puts those two back: load that
        afterwards. :func:`complete_recipe`, :func:`resume_exactly` and the ``to_save`` of
        :func:`create_gan_trainer` hold one, in that order.

        Args:
            state_dict: what :meth:`state_dict` returned, for a loader over the same data with the same
                settings.

        Raises:
            ValueError: if it is no such state, has a newer version, or the loader has too few batches for the
                position. After an error nothing has changed, except that an iterator which can be read only
                once has lost the batches that were tried.
        """
        position = self._order.read(state_dict)
        previous = self._order.read(self.state_dict())
        iterator = self._iterator
        try:
            self._iterator = self._go_to(position)
        except Exception:
            shared = self._order.saves_itself() or getattr(self.loader, "persistent_workers", False)
            # Such loaders have one iterator, which the attempt has just reset.
            self._iterator = self._go_to(previous) if shared else iterator
            self._order.set_epoch(self.passes)
            self._order.set_states(previous.generators)
            raise
        self.passes, self.batches = position.passes, position.batches
        self._pass_rng, self._pass_generators = position.pass_rng, position.pass_generators
        self._held.clear()

    def _draw(self) -> BatchT:
        while True:
            if self._iterator is None:
                self._order.set_epoch(self.passes)
                self._remember_random_states()
                self._iterator = iter(self.loader)
            try:
                batch = next(self._iterator)
            except StopIteration:
                self._end_pass()
                continue
            self.batches += 1
            return batch

    def _end_pass(self) -> None:
        exhausted, self._iterator = self._iterator, None
        if self.batches == 0:
            kind = type(self.loader).__name__
            if exhausted is self.loader:
                raise ValueError(
                    f"the {kind} has no batches left after {self.passes} pass(es): it can be read only "
                    "once; pass something that can be iterated again and again, such as a DataLoader or a "
                    "list"
                )
            raise ValueError(
                f"the {kind} yielded no batches in pass {self.passes}: is the data set empty, or smaller "
                "than one batch with drop_last=True?"
            )
        self.passes += 1
        self.batches = 0

    def _go_to(self, position: Position) -> Iterator[BatchT] | None:
        """Return the loader's iterator at ``position``, leaving the global random state alone."""
        rng = torch.get_rng_state()
        try:
            self._order.set_epoch(position.passes)
            iterator = None
            if position.batches:
                if position.passes and getattr(self.loader, "persistent_workers", False):
                    iter(self.loader)  # starts the workers, which draws once; later passes do not
                torch.set_rng_state(position.pass_rng)
                self._order.set_states(position.pass_generators)
                if position.loader is not None:
                    self.loader.load_state_dict(position.loader)  # type: ignore[attr-defined]  # _checked looked
                iterator = iter(self.loader)
                if position.loader is None:
                    self._skip(iterator, position.batches)
            self._order.set_states(position.generators)
        finally:
            torch.set_rng_state(rng)
        return iterator

    def _skip(self, iterator: Iterator[BatchT], batches: int) -> None:
        for drawn in range(batches):
            try:
                next(iterator)
            except StopIteration:
                raise ValueError(
                    f"the saved position is {batches} batches into a pass, but the "
                    f"{type(self.loader).__name__} yielded only {drawn}: was it saved with other data or "
                    "another batch size?"
                ) from None

    def _remember_random_states(self) -> None:
        self._pass_rng = torch.get_rng_state()
        self._pass_generators = self._order.states()


def infinite_batches(loader: Iterable[BatchT], *, reuse: str = "never") -> InfiniteBatches[BatchT]:
    """Return an endless iterator over the batches of ``loader``.

    Every ``next`` gives a fresh batch, so a step that calls it once per critic update never shows the critic
    the same batch twice in a row, which ``for _ in range(n)`` over the engine's own batch does. When the
    loader is exhausted it is iterated anew; a sampler with ``set_epoch`` (``DistributedSampler``) is told the
    number of the pass before each, so that every pass has its own order. ``state_dict`` and
    ``load_state_dict`` save and restore the position: pass the result to Ignite's ``Checkpoint``. It has no
    length.

    Args:
        loader: what gives the batches; it must be possible to iterate it more than once.
        reuse: ``"never"`` (a fresh batch at every ``next``) or ``"iteration"`` (within one iteration of the
            trainer every ``next`` gives the same batch). The second needs ``attach(trainer)``, by which it
            sees where an iteration begins; ``create_gan_trainer`` attaches it itself.

    Raises:
        TypeError: if ``loader`` is no iterable of batches: a data set or a tensor gives single samples.
        ValueError: if ``reuse`` is unknown; from ``next``, if the loader yields no batch in a whole pass, or
            can be read only once and has been read.

    Example:
        >>> real_batches = infinite_batches([10, 20, 30])
        >>> [next(real_batches) for _ in range(5)]
        [10, 20, 30, 10, 20]
        >>> saved = real_batches.state_dict()
        >>> next(real_batches)
        30
        >>> resumed = infinite_batches([10, 20, 30])
        >>> resumed.load_state_dict(saved)
        >>> next(resumed)
        30
    """
    return InfiniteBatches(loader, reuse=reuse)
