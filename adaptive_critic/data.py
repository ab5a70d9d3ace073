"""Endless source of batches: a fresh batch for every critic update, and a position that can be saved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from torch.utils.data import Dataset

from adaptive_critic.loader_order import LoaderOrder

BatchT = TypeVar("BatchT")


class InfiniteBatches(Iterator[BatchT]):
    """Iterator over ``loader`` that starts over when the loader is exhausted; see :func:`infinite_batches`.

    Attributes:
        loader: the iterable it draws from.
        passes: complete passes over the loader so far.
        batches: batches drawn from the current pass, including any that could not be read.
    """

    def __init__(self, loader: Iterable[BatchT]) -> None:
        if isinstance(loader, InfiniteBatches):
            raise TypeError("loader is an InfiniteBatches already: use it as it is")
        _refuse_single_samples(loader)
        self.loader = loader
        self.passes = 0
        self.batches = 0
        self._order = LoaderOrder(loader)
        self._start = self._order.start()
        self._iterator: Iterator[BatchT] | None = None
        self._left_at = self._order.shared_iterator()

    @property
    def batch_size(self) -> int | None:
        """Samples per batch as the loader states it; None if it does not."""
        size = getattr(self.loader, "batch_size", None)
        return size if isinstance(size, int) else None

    def __iter__(self) -> InfiniteBatches[BatchT]:
        return self

    def __next__(self) -> BatchT:
        while True:
            if self._iterator is None:
                self._order.set_epoch(self.passes)
                self._start = self._order.start()
                self._iterator = iter(self.loader)
            elif self._order.shared_iterator() != self._left_at:
                raise RuntimeError(
                    f"something else iterates over the {type(self.loader).__name__}, too. The loader has one iterator, "
                    "which each of the two resets, so that samples are lost: give infinite_batches a loader of its own"
                )
            try:
                batch = next(self._iterator)
                self.batches += 1
                return batch
            except StopIteration:
                self._end_pass()
            except Exception:
                # The caller may skip it and go on: the loader does, and so does its position.
                self.batches += 1
                raise
            finally:
                self._left_at = self._order.shared_iterator()

    def state_dict(self) -> dict[str, Any]:
        """Return the position: ints and tensors, and the loader's own ``state_dict`` if it has one."""
        return self._order.state_dict(self.passes, self.batches, self._start)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go to a saved position, such that the next batch is the one that would have come next.

        A loader that has ``state_dict`` and ``load_state_dict``, such as torchdata's ``StatefulDataLoader``, goes there
        itself, as exactly as its own state allows. With any other loader, the earlier batches of this pass are drawn
        again and thrown away, which costs their loading time. That is exact if the order follows from ``set_epoch``, or
        is drawn when the pass begins, from a global generator or the ``generator`` of the loader or a sampler.

        It is not exact for a loader whose ``generator`` is used elsewhere as well, or a data set that draws random
        numbers in persistent workers. Nor for a data set or sampler with its own random generator, unless it seeds that
        for each pass. Nor for a stream that draws its order bit by bit (a shuffle buffer) from a global generator that
        the training uses too; a warning says so.

        Global random states are left as they were. Load a :class:`~adaptive_critic.random_state.RandomState` after this
        if the data set draws random numbers in this process, as augmentations do.

        Args:
            state_dict: what :meth:`state_dict` returned, for a loader over the same data with the same settings.

        Raises:
            StateError: if it is not such a state, has a newer version, or the loader has too few batches for the
                position. Nothing has changed then, except that an iterator which can be read only once has lost the
                batches that were tried.
        """
        position = self._order.read(state_dict)
        previous = self._order.read(self.state_dict())
        try:
            self._iterator = self._order.go_to(position)
        except Exception:
            if self._order.has_one_iterator:  # which the attempt has reset
                self._iterator = self._order.go_to(previous)
            self._order.set_epoch(self.passes)
            self._order.restore_states(previous.generators)
            raise
        finally:
            self._left_at = self._order.shared_iterator()
        self.passes, self.batches, self._start = position.passes, position.batches, position.start

    def _end_pass(self) -> None:
        exhausted, self._iterator = self._iterator, None
        if self.batches == 0:
            kind = type(self.loader).__name__
            if exhausted is self.loader:
                raise ValueError(
                    f"the {kind} has no batches left after {self.passes} pass(es): it can be read only once; pass "
                    "something that can be iterated again and again, such as a DataLoader or a list"
                )
            raise ValueError(
                f"the {kind} yielded no batches in pass {self.passes}: is the data set empty, or smaller than one "
                "batch with drop_last=True?"
            )
        self.passes += 1
        self.batches = 0


def infinite_batches(loader: Iterable[BatchT]) -> InfiniteBatches[BatchT]:
    """Return an endless iterator over the batches of ``loader``.

    Every ``next`` gives a fresh batch, so that a step never shows the critic the same batch twice in a row, as
    ``for _ in range(n)`` over the engine's own batch does. An exhausted loader is iterated anew. Before each pass its
    number goes to every ``set_epoch`` in the loader (of the loader itself, its samplers and its data set), so that
    every pass has its own order. Pass the result to Ignite's ``Checkpoint`` to save its position. It has no length.

    Args:
        loader: gives the batches, not single samples, as a data set or a tensor would; it can be iterated again.

    Raises:
        ValueError: from ``next``, if the loader yields no batch in a whole pass, or can be read only once.
        RuntimeError: from ``next``, if the loader has one iterator for all its users (``persistent_workers=True``) and
            something else iterates over it, too.

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
    return InfiniteBatches(loader)


def _refuse_single_samples(loader: Any) -> None:
    """Refuse sources of single samples, or of no possible batch; the error says what to pass instead."""
    kind = type(loader).__name__
    if isinstance(loader, type):
        raise TypeError(f"loader is the class {loader.__name__}: expected an object of it, such as a DataLoader")
    if isinstance(loader, Dataset):
        raise TypeError(
            f"loader is a {kind}, a data set, which gives single samples: pass DataLoader(dataset, "
            "batch_size=64, shuffle=True), or with batch_size=None if its items are whole batches already"
        )
    if hasattr(loader, "__array__"):  # tensors, NumPy's arrays, data frames
        raise TypeError(
            f"loader is a {kind} of shape {tuple(getattr(loader, 'shape', ()))}, whose rows are single samples: pass "
            "DataLoader(TensorDataset(tensor), batch_size=64, shuffle=True)"
        )
    if isinstance(loader, (str, bytes, Mapping)) or not (hasattr(loader, "__iter__") or hasattr(loader, "__getitem__")):
        raise TypeError(f"expected an iterable of batches, such as a DataLoader, got {loader!r}")
