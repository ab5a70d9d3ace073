"""Count the floating-point operations of a piece of training, gradients of gradients included."""

from __future__ import annotations

from collections.abc import Callable

from torch.utils.flop_counter import FlopCounterMode
from torch.utils.module_tracker import ModuleTracker


class _WholeOnly(ModuleTracker):
    """Tracks no modules: the usual tracker's hooks fail in a gradient with respect to an input."""

    def __enter__(self) -> _WholeOnly:
        return self

    def __exit__(self, *exception: object) -> None:
        return None


def count_flops(work: Callable[[], object]) -> int:
    """FLOPs of the matrix products and convolutions in ``work()``, forward and backward, which it runs once.

    Example:
        >>> import torch
        >>> count_flops(lambda: torch.ones(2, 3) @ torch.ones(3, 4))
        48
    """
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = _WholeOnly()
    with counter:
        work()
    return int(counter.get_total_flops())
