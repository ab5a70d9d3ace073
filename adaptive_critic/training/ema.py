"""An exponential moving average of a network's weights, moved without reading anything back to the host."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import nn

from adaptive_critic.checks import real

__all__ = ["ExponentialMovingAverage", "unwrapped"]

_BUFFERS = ("average", "copy")


def unwrapped(network: nn.Module) -> nn.Module:
    """Return what a DataParallel or DistributedDataParallel wraps, any other module as it is."""
    if isinstance(network, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        inner: nn.Module = network.module
        return inner
    return network


class ExponentialMovingAverage(nn.Module):
    """A copy of ``model`` whose weights follow it: average <- decay * average + (1 - decay) * model.

    The first :meth:`update` copies the model instead, so that weights loaded into the model after this was
    made count. Calling it calls the averaged copy, which is in evaluation mode and never requires gradients.

    torch's ``AveragedModel`` reads its counter back at every update and averages integer buffers to a
    truncated value; Ignite's ``EMAHandler`` makes buffers one with the model's. Neither happens here.

    Args:
        model: the network to follow; the wrapper of a DataParallel or DistributedDataParallel is taken off.
        decay: share of the old average that is kept, in [0, 1).
        buffers: ``"average"`` averages floating-point buffers as well (running statistics of batch
            normalisation), ``"copy"`` copies them. All others are copied.

    Attributes:
        module: the averaged network.
        num_updates: updates so far, an int.

    Raises:
        TypeError: if ``model`` is no module or ``decay`` no number.
        ValueError: if ``decay`` is outside [0, 1) or ``buffers`` unknown.

    Example:
        >>> model = nn.Linear(1, 1, bias=False)
        >>> average = ExponentialMovingAverage(model, decay=0.5)
        >>> for weight in (1.0, 3.0):
        ...     _ = nn.init.constant_(model.weight, weight)
        ...     average.update()
        >>> average(torch.ones(1, 1)).item()
        2.0
    """

    def __init__(self, model: nn.Module, decay: float = 0.999, *, buffers: str = "average") -> None:
        super().__init__()
        if not isinstance(model, nn.Module):
            raise TypeError(f"model={model!r}: expected a torch.nn.Module, got {type(model).__name__}")
        if buffers not in _BUFFERS:
            raise ValueError(f"buffers={buffers!r}: expected one of {', '.join(map(repr, _BUFFERS))}")
        self.decay = real("decay", decay, at_least=0.0, below=1.0)
        self.buffers_mode = buffers
        self.num_updates = 0
        # A tuple hides the model from nn.Module: it is followed, not owned, and stays out of the state_dict.
        self._followed = (unwrapped(model),)
        self.module = deepcopy(self._followed[0]).eval().requires_grad_(False)

    @property
    def followed(self) -> nn.Module:
        """The network that is followed."""
        return self._followed[0]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the averaged network."""
        return self.module(*args, **kwargs)

    @torch.no_grad()
    def update(self) -> None:
        """Move the average one step towards the model as it is now."""
        weight = 1 - self.decay if self.num_updates else 1.0
        for average, current in zip(self.module.parameters(), self.followed.parameters(), strict=True):
            average.lerp_(current, weight)
        for kept, buffer in zip(self.module.buffers(), self.followed.buffers(), strict=True):
            if self.buffers_mode == "average" and kept.is_floating_point():
                kept.lerp_(buffer, weight)
            else:
                kept.copy_(buffer)
        self.num_updates += 1

    def get_extra_state(self) -> int:
        """Return what ``state_dict`` holds besides the weights: the number of updates."""
        return self.num_updates

    def set_extra_state(self, state: int) -> None:
        """Restore the number of updates."""
        self.num_updates = state
