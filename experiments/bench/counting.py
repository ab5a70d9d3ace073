"""Counting what reaches the host, and what goes over the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_NAMED = ("tolist", "numpy", "__array__")
_COLLECTIVES = ("all_reduce", "all_gather", "all_gather_object", "broadcast", "barrier", "reduce")


class _Dispatched(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch does not annotate it
    """Counts reads below Python: ``.item()``, ``float()``, ``bool()`` and whatever else goes through it."""

    def __init__(self, found: list[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._found = found

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            self._found.append("_local_scalar_dense")
        return func(*args, **(kwargs or {}))


def _noting(original: Callable[..., Any], name: str, found: list[str]) -> Callable[..., Any]:
    def noted(*args: Any, **more: Any) -> Any:
        before = len(found)
        result = original(*args, **more)
        found[before:] = [name]  # once, whatever it does inside
        return result

    return noted


@contextmanager
def host_reads() -> Iterator[list[str]]:
    """Collect the names of device-to-host reads. A dispatch mode alone misses tolist and numpy on the CPU."""
    found: list[str] = []
    with ExitStack() as stack:
        for name in _NAMED:
            stack.enter_context(patch.object(torch.Tensor, name, _noting(getattr(torch.Tensor, name), name, found)))
        stack.enter_context(_Dispatched(found))
        yield found


@contextmanager
def collectives() -> Iterator[list[str]]:
    """Collect the names of torch.distributed's collectives."""
    found: list[str] = []
    with ExitStack() as stack:
        for name in _COLLECTIVES:
            noted = _noting(getattr(torch.distributed, name), name, found)
            stack.enter_context(patch.object(torch.distributed, name, noted))
        yield found
