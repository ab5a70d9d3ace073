"""How far optimizers move their weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

__all__ = ["Updates"]

_NONE = (None, None)


class Updates:
    """Measures an update of each optimizer in the iterations that are asked for, by hooks of its ``step``.

    The size is the Euclidean distance between the weights before and after the first step of an iteration, so that it
    does not depend on how many there are. It stays on the device. For the duration of that step there is a second copy
    of those weights that have a gradient; the other steps cost two calls that return at once.

    Args:
        optimizers: by name.
    """

    def __init__(self, optimizers: Mapping[str, torch.optim.Optimizer]) -> None:
        self._optimizers = dict(optimizers)
        self.names = tuple(self._optimizers)
        self._hooks: list[Any] = []
        self._before: dict[str, tuple[int, list[tuple[torch.Tensor, torch.Tensor]]]] = {}
        self._sizes: dict[str, tuple[int, torch.Tensor]] = {}

    def watch(self, due: Callable[[], int | None]) -> None:
        """Measure from now on.

        Args:
            due: called at each step; returns the number of the iteration if it is one to measure in.
        """
        for name, optimizer in self._optimizers.items():
            begin, end = partial(self._begin, due, name), partial(self._end, name)
            self._hooks.append(optimizer.register_step_pre_hook(_uncompiled(begin)))
            self._hooks.append(optimizer.register_step_post_hook(_uncompiled(end)))

    def leave(self) -> None:
        """Measure no longer."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def take(self, iteration: int) -> list[torch.Tensor | None]:
        """Return what was measured in this iteration, 0-d, in the order of ``names``; None where there was no step."""
        sizes, self._sizes = self._sizes, {}
        # That of an iteration that failed after the step is not this one's.
        return [size if at == iteration else None for at, size in (sizes.get(name, _NONE) for name in self.names)]

    def _begin(self, due: Callable[[], int | None], name: str, optimizer: torch.optim.Optimizer) -> None:
        iteration = due()
        if iteration is not None and self._sizes.get(name, _NONE)[0] != iteration:
            weights = [_local(p) for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
            self._before[name] = iteration, [(weight, weight.clone()) for weight in weights]

    def _end(self, name: str, optimizer: torch.optim.Optimizer) -> None:
        iteration, before = self._before.pop(name, (None, []))
        if iteration is not None and before:
            moved = [torch.linalg.vector_norm(weight - old) for weight, old in before]
            device = moved[0].device
            dtype = torch.float32 if device.type == "mps" else torch.float64
            size = torch.linalg.vector_norm(torch.stack([distance.to(device, dtype) for distance in moved]))
            self._sizes[name] = iteration, size


def _uncompiled(function: Callable[[torch.optim.Optimizer], None]) -> Callable[..., None]:
    """Return a hook that a compiled step leaves alone: else it is compiled anew for every number compared here."""
    hook: Callable[..., None] = torch.compiler.disable(  # type: ignore[no-untyped-call]  # torch's own annotation
        lambda optimizer, *_: function(optimizer)
    )
    return hook


def _local(weight: torch.Tensor) -> torch.Tensor:
    """Return the weight itself, or this rank's part of one that is spread over ranks."""
    to_local: Callable[[], torch.Tensor] | None = getattr(weight, "to_local", None)
    return weight.detach() if to_local is None else to_local().detach()
