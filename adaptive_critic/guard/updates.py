"""Sizes of optimizer updates, and the scale of the losses behind them."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from adaptive_critic.step_output import Scalar

_NONE = (None, None)

# Hooks of garbage-collected measurements. Removing a hook within a step would disturb its loop over hooks.
_abandoned: list[Any] = []


class Updates:
    """Measures an update of each optimizer on request, by hooks of its ``step``.

    The size is the distance between the weights before and after the first step of an iteration, as a share of their
    own norm, both Euclidean: it depends neither on the number of weights nor on their scale. It stays on the device,
    and is not finite if the weights were all 0. During that step there is a second copy of the weights that have a
    gradient (with a closure, of all that can have one).

    The hooks do not keep this object alive. Without it they do nothing, until another object that begins to measure
    removes them.

    Args:
        optimizers: by name. Optimizers without hooks, such as wrappers that are optimizers by class only, are not
            measured.
    """

    def __init__(self, optimizers: Mapping[str, torch.optim.Optimizer]) -> None:
        # A wrapper that does not call Optimizer.__init__ has none of its attributes.
        self._optimizers = {name: one for name, one in optimizers.items() if hasattr(one, "_optimizer_step_pre_hooks")}
        self.names = tuple(self._optimizers)
        self.captured = False
        """whether a step was captured in a CUDA graph, whose replays call no hooks"""
        self._hooks: list[Any] = []
        self._before: dict[str, tuple[int, list[tuple[torch.Tensor, torch.Tensor]]]] = {}
        self._sizes: dict[str, tuple[int, torch.Tensor]] = {}

    def watch(self, due: Callable[[str], int | None]) -> None:
        """Start measuring.

        At each step ``due``, a method of an object that lives as long as this, is called with the optimizer's name. It
        returns the number of the iteration if an update is to be measured in it.
        """
        _remove(_abandoned)
        this, asked = weakref.ref(self), weakref.WeakMethod(due)
        for name, optimizer in self._optimizers.items():

            def begin(
                stepping: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any], name: str = name
            ) -> None:
                updates, is_due = this(), asked()
                if updates is not None and is_due is not None:
                    updates._begin(is_due(name), name, stepping, _has_closure(args, kwargs))

            def end(stepping: torch.optim.Optimizer, args: Any, kwargs: Any, name: str = name) -> None:
                updates = this()
                if updates is not None:
                    updates._end(name)

            self._hooks.append(optimizer.register_step_pre_hook(_uncompiled(begin)))
            self._hooks.append(optimizer.register_step_post_hook(_uncompiled(end)))
        weakref.finalize(self, _abandoned.extend, self._hooks)

    def leave(self) -> None:
        """Stop measuring."""
        _remove(self._hooks)

    def take(self, iteration: int) -> list[torch.Tensor | None]:
        """Return the sizes measured in this iteration, 0-d, in the order of ``names``; None where none was."""
        sizes, self._sizes = self._sizes, {}
        # A size of an iteration that failed after the step does not count.
        return [size if at == iteration else None for at, size in (sizes.get(name, _NONE) for name in self.names)]

    def _begin(self, iteration: int | None, name: str, optimizer: torch.optim.Optimizer, closure: bool) -> None:
        if torch.cuda.is_available() and torch.cuda.is_current_stream_capturing():
            self.captured = True
            return
        if iteration is not None and self._sizes.get(name, _NONE)[0] != iteration:
            weights = [
                _local(weight)
                for group in optimizer.param_groups
                for weight in group["params"]
                if weight.grad is not None or (closure and weight.requires_grad)
            ]
            self._before[name] = iteration, [(weight, weight.clone()) for weight in weights]

    def _end(self, name: str) -> None:
        iteration, before = self._before.pop(name, (None, []))
        if iteration is not None and before:
            moved = _norm([weight - old for weight, old in before])
            self._sizes[name] = iteration, moved / _norm([old for _, old in before])


def smallest_loss_scale(scalers: Iterable[Any], device: torch.device) -> Scalar:
    """Return the smallest scale of the gradient scalers among these, 0-d on the device; infinite without one."""
    known = [one for one in scalers if isinstance(one, torch.amp.GradScaler) and one.is_enabled()]
    if not known:
        return math.inf
    one = torch.ones((), device=device)
    # scale() waits for nothing on the scaler's own device; get_scale() reads the scale on the host.
    scales = [scaler.scale(one) if _is_on(scaler, device) else one * scaler.get_scale() for scaler in known]
    return torch.stack(scales).min()


def _is_on(scaler: torch.amp.GradScaler, device: torch.device) -> bool:
    return bool(getattr(scaler, "_device", None) == device.type)  # torch has no public way to ask


def _norm(tensors: list[torch.Tensor]) -> torch.Tensor:
    """Return the Euclidean norm of all of them together, 0-d, on the device of the first."""
    norms = [torch.linalg.vector_norm(tensor) for tensor in tensors]
    device = norms[0].device
    dtype = torch.float32 if device.type == "mps" else torch.float64
    together: torch.Tensor = torch.linalg.vector_norm(torch.stack([norm.to(device, dtype) for norm in norms]))
    return together


def _has_closure(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Return whether a step computes the gradients itself, so that it begins without them."""
    return any(map(callable, (*args, *kwargs.values())))


def _remove(hooks: list[Any]) -> None:
    while hooks:
        hooks.pop().remove()


def _uncompiled(hook: Callable[..., None]) -> Callable[..., None]:
    """Return a hook that torch.compile skips. Otherwise it would recompile for every number compared here."""
    left_alone: Callable[..., None] = torch.compiler.disable(hook)  # type: ignore[no-untyped-call]  # torch's annotation
    return left_alone


def _local(weight: torch.Tensor) -> torch.Tensor:
    """Return the weight itself, or this rank's part if it is sharded."""
    to_local: Callable[[], torch.Tensor] | None = getattr(weight, "to_local", None)
    return weight.detach() if to_local is None else to_local().detach()
