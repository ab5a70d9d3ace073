"""What decides the order of a loader's batches, and a place in that order as a state dict says it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch.utils.data import Dataset

from adaptive_critic.state import StateError, header, integer, mapping

__all__ = ["NAME", "STATE_VERSION", "LoaderOrder", "Position", "refuse_single_samples"]

NAME = "InfiniteBatches"
STATE_VERSION = 1


class Position(NamedTuple):
    """Where an InfiniteBatches stands, checked, as read from a state_dict."""

    passes: int  # complete passes over the loader
    batches: int  # batches drawn from the pass under way
    pass_rng: torch.Tensor  # torch's global CPU random state when that pass began
    pass_generators: list[torch.Tensor]  # states of the loader's own generators when that pass began
    generators: list[torch.Tensor]  # and when the position was saved
    loader: Mapping[str, Any] | None  # the loader's own state_dict, where it has one


class LoaderOrder:
    """Random generators, the epoch of the samplers, and the loader's own state where it has one.

    Args:
        loader: what gives the batches.
    """

    def __init__(self, loader: Iterable[Any]) -> None:
        self._loader = loader

    def saves_itself(self) -> bool:
        """Return whether the loader has a state of its own."""
        return all(callable(getattr(self._loader, name, None)) for name in ("state_dict", "load_state_dict"))

    def _parts(self) -> list[Any]:
        batch_sampler = getattr(self._loader, "batch_sampler", None)
        parts = [self._loader, getattr(self._loader, "sampler", None), batch_sampler]
        return [*parts, getattr(batch_sampler, "sampler", None)]

    def _generators(self) -> list[torch.Generator]:
        found = (getattr(part, "generator", None) for part in self._parts())
        return list({id(item): item for item in found if isinstance(item, torch.Generator)}.values())

    def states(self) -> list[torch.Tensor]:
        """Return the states of the loader's own generators."""
        return [generator.get_state() for generator in self._generators()]

    def set_states(self, states: list[torch.Tensor]) -> None:
        """Put back what ``states`` returned."""
        for generator, state in zip(self._generators(), states, strict=True):
            generator.set_state(state)

    def set_epoch(self, epoch: int) -> None:
        """Tell all samplers that want to know the number of the pass."""
        samplers = {id(part): part for part in self._parts()[1:]}
        for sampler in samplers.values():
            set_epoch: Callable[[int], None] | None = getattr(sampler, "set_epoch", None)
            if callable(set_epoch):
                set_epoch(epoch)

    def read(self, state_dict: Mapping[str, Any]) -> Position:
        """Return the position that a state dict says, for this loader.

        Raises:
            StateError: if it is none, or one of another kind of loader.
        """
        state = header(state_dict, NAME, STATE_VERSION)
        passes, batches = integer(state, "passes"), integer(state, "batches")
        count = len(self._generators())
        loader = mapping(state, "loader") if "loader" in state else None
        if loader is not None and not self.saves_itself():
            raise StateError(
                "the position was saved by a loader with a state_dict of its own, "
                f"{type(self._loader).__name__} has none: use the same kind of loader, such as torchdata's "
                "StatefulDataLoader"
            )
        return Position(
            passes,
            batches,
            _random_states(state, "pass_rng", 1)[0],
            _random_states(state, "pass_generators", count),
            _random_states(state, "generators", count),
            loader,
        )


def _random_states(state: Mapping[str, Any], key: str, count: int) -> list[torch.Tensor]:
    found = state.get(key)
    entries = found if isinstance(found, list) else [found]
    # A checkpoint may have been loaded onto another device; random states live on the CPU.
    tensors = [item.cpu() for item in entries if isinstance(item, torch.Tensor) and item.dtype == torch.uint8]
    if len(tensors) != len(entries):
        raise StateError(f"state[{key!r}]={found!r}: expected saved random states (tensors of bytes)")
    if len(tensors) != count:
        raise StateError(
            f"state[{key!r}] holds {len(tensors)} random state(s), expected {count}: give the loader as many "
            "generators (generator=) as it had when the position was saved"
        )
    return tensors


def refuse_single_samples(loader: Any) -> None:
    """Refuse what gives single samples, or nothing that could be a batch.

    Raises:
        TypeError: saying what to pass instead.
    """
    kind = type(loader).__name__
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
        raise TypeError(f"loader={loader!r}: expected an iterable of batches, such as a DataLoader")
