"""Multiplies the critic's learning rate while its optimizer steps, and only then."""

from __future__ import annotations

import logging
import math
import weakref
from collections import OrderedDict
from collections.abc import Callable
from functools import update_wrapper
from types import MethodType
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from adaptive_critic.checks import kind_of, real, shortened

# Code of torch's wrapper of a class's step, which runs the hooks.
_RUNS_HOOKS = Optimizer.profile_hook_step(lambda: None).__code__

_logger = logging.getLogger("adaptive_critic")


class CriticRate:
    """Multiplies the learning rates of an optimizer while its ``step`` runs.

    Every group's ``"lr"`` is ``multiplier`` times the user's during the step, and the user's own again afterwards, bit
    for bit, also if the step raises. Schedulers, checkpoints and ``param_groups`` never show the product, and nothing
    accumulates. A rate of 0 stays 0. Hooks of ``step`` that were registered before :meth:`attach` see the user's rate.
    One case is left: an ``optimizer.step`` that was taken or compiled before :meth:`attach` and raises leaves the
    product until the next step.

    Rates that are tensors are multiplied in place, without a host read, by a factor that is a tensor too. So a new
    multiplier causes no recompilation of a compiled step, and a captured graph follows it.

    An optimizer that multiplies its weight decay by the rate, such as AdamW, decays by the product too, as under a
    learning-rate schedule. The weights at which loss and decay balance do not depend on the multiplier then.

    Keep this object: the optimizer holds it weakly, and steps at the user's rate without it. ASGD follows the
    multiplier one step late, since it computes each step's rate at the end of the step before.

    Args:
        optimizer_d: any optimizer with ``"lr"`` in its groups, except Rprop.
        multiplier: finite, above 0.

    Attributes:
        optimizer: the optimizer.
        steps: number of calls of its ``step`` while attached. A gradient scaler makes no call for a step that it skips,
            unless the optimizer is fused.
        forgotten_after: steps after which to log that no controller observes any iteration; None: never.

    Raises:
        TypeError: if ``optimizer_d`` is not an Optimizer, or ``multiplier`` is not a number.
        ValueError: if a group has no learning rate, if the optimizer has no step hooks or ignores changes of the rate,
            or if ``multiplier`` is not finite or not above 0.

    Example:
        >>> weight = torch.nn.Parameter(torch.zeros(1))
        >>> optimizer = torch.optim.SGD([weight], lr=0.5)
        >>> rate = CriticRate(optimizer, multiplier=4.0)
        >>> rate.attach()
        >>> weight.sum().backward()
        >>> optimizer.step()
        >>> weight.item(), optimizer.param_groups[0]["lr"]
        (-2.0, 0.5)
    """

    def __init__(self, optimizer_d: Optimizer, multiplier: float = 1.0) -> None:
        _check_optimizer(optimizer_d)
        self.optimizer = optimizer_d
        self.steps = 0
        self.forgotten_after: int | None = None
        self._factors: dict[tuple[torch.device, torch.dtype], Tensor] = {}
        self._undo: weakref.finalize[..., CriticRate] | None = None
        # The rates multiplied now: (group, the user's, the product), and (the rate, a copy of the user's, its version).
        self._replaced: list[tuple[dict[str, Any], Any, Any]] = []
        self._scaled: list[tuple[Tensor, Tensor, int]] = []
        self.multiplier = multiplier

    @property
    def multiplier(self) -> float:
        """The factor of every group's rate from the next step on: finite, above 0."""
        return self._multiplier

    @multiplier.setter
    def multiplier(self, value: float) -> None:
        self._multiplier = real("multiplier", value, above=0.0)
        for factor in self._factors.values():
            factor.fill_(self._multiplier)

    @property
    def attached(self) -> bool:
        """Whether steps are multiplied."""
        return self._undo is not None

    def attach(self) -> None:
        """Multiply the rates from the next step on. Does nothing if attached.

        Raises:
            ValueError: if another CriticRate multiplies this optimizer's rates.
        """
        if self.attached:
            return
        for hook in self.optimizer._optimizer_step_pre_hooks.values():
            if hasattr(hook, "critic_rate"):
                raise ValueError(
                    f"another controller (at multiplier {hook.critic_rate().multiplier:g}) multiplies the learning "
                    f"rates of optimizer_d ({type(self.optimizer).__name__}): call its detach() first. In a "
                    "notebook that is controller.detach(), before a cell that makes the controller runs again"
                )
        this = weakref.ref(self)
        undo = _install(self.optimizer, _hook(this, CriticRate._multiply), _hook(this, CriticRate._restore))
        # The hooks do not keep this object alive and end with it.
        self._undo = weakref.finalize(self, undo)

    def detach(self) -> None:
        """Restore the optimizer as found. Does nothing if not attached."""
        self._restore()
        if self._undo is not None:
            self._undo()
            self._undo = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Return the recipe of a copy: for a copy of the optimizer, not attached."""
        return type(self), (self.optimizer, self.multiplier)

    def _multiply(self) -> None:
        """Multiply every group's rate."""
        # Rates are multiplied already if this is the step of a base class, whose hooks run too.
        if not self._restore():
            self.steps += 1
            if self.steps == self.forgotten_after:
                _logger.warning(
                    "optimizer_d has made %d steps at %g times its learning rate, and its controller has observed no "
                    "iteration: attach it to the trainer, or call n_critic = controller.observe(output) after each "
                    "generator update. To train the critic alone first, make the controller after that",
                    self.steps, self._multiplier,
                )  # fmt: skip
        for group in self.optimizer.param_groups:
            rate = group["lr"]
            if not isinstance(rate, Tensor) or rate.requires_grad:
                group["lr"] = product = rate * self._multiplier
                self._replaced.append((group, rate, product))
            elif all(rate is not other for other, *_ in self._scaled):  # one tensor may be the rate of several groups
                own = rate.clone()
                rate.mul_(self._factor(rate))
                self._scaled.append((rate, own, rate._version))

    def _restore(self) -> bool:
        """Restore the user's rates; return whether any was multiplied."""
        multiplied = bool(self._replaced or self._scaled)
        for group, rate, product in self._replaced:
            if group.get("lr") is product:  # else it was assigned during the step, and the new value counts
                group["lr"] = rate
        for rate, own, version in self._scaled:
            if rate._version == version:
                rate.copy_(own)
        self._replaced.clear()
        self._scaled.clear()
        return multiplied

    def _factor(self, rate: Tensor) -> Tensor:
        """Return the multiplier as a tensor like ``rate``, always the same one."""
        key = rate.device, rate.dtype
        if key not in self._factors:
            self._factors[key] = torch.full_like(rate, self._multiplier)
        return self._factors[key]


def relative_step(optimizer_d: Optimizer) -> float:
    """Return how far a step at the user's own rate moves the weights, as a share of their root mean square.

    Optimizers that divide gradients by their size (Adam and its kin, RMSprop, Adagrad at first) move every weight by
    about the learning rate. Steps of others depend on the gradients: 0.0 for them, as for numbers that are not finite.
    Vectors (biases, gains of a normalisation) are left out. Reads the device once for each weight, and communicates
    only for weights that are spread over ranks.
    """
    moved = size = 0.0
    for group in optimizer_d.param_groups:
        if "betas" not in group and not isinstance(optimizer_d, (torch.optim.RMSprop, torch.optim.Adagrad)):
            continue
        base = group.get("initial_lr")  # a scheduler that warms up has lowered "lr"
        rate = float(group["lr"] if base is None else base)
        for weight in group["params"]:
            if not is_lazy(weight) and weight.ndim >= 2 and not weight.is_meta:
                moved += weight.numel() * rate * rate
                square = weight.detach().abs().float().square().sum()
                # A weight that is spread over ranks (FSDP) sums up its parts; all ranks make the controller.
                size += float(square.full_tensor() if hasattr(square, "full_tensor") else square)
    step = math.sqrt(moved / size) if size > 0.0 else 0.0
    return step if math.isfinite(step) else 0.0


def _check_optimizer(optimizer: object) -> None:
    name = type(optimizer).__name__
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"optimizer_d={shortened(optimizer)}: expected a torch.optim.Optimizer, got {kind_of(optimizer)}"
        )
    if not hasattr(optimizer, "_optimizer_step_pre_hooks"):  # a wrapper that does not call Optimizer.__init__
        raise ValueError(
            f"optimizer_d is a {name} without step hooks: give the optimizer that it wraps, often {name}.optimizer"
        )
    if isinstance(optimizer, torch.optim.Rprop):
        raise ValueError("optimizer_d is an Rprop: it reads its learning rate at the first step only")
    for index, group in enumerate(optimizer.param_groups):
        if group.get("lr") is None:
            raise ValueError(
                f"group {index} of optimizer_d ({name}) has no learning rate 'lr' to multiply: it has "
                f"{sorted(key for key in group if key != 'params')}"
            )


def _hook(owner: weakref.ReferenceType[CriticRate], call: Callable[[CriticRate], object]) -> Callable[..., None]:
    """Return a hook that makes this call outside of compiled code, so that a new multiplier causes no recompilation."""

    def hook(stepping: Optimizer, args: Any, kwargs: Any) -> None:
        rate = owner()
        # A copy of the optimizer may have taken the hook along; a scheduler may still call what it found.
        if rate is not None and rate.attached and stepping is rate.optimizer:
            call(rate)

    outside: Callable[..., None] = torch.compiler.disable(hook)  # type: ignore[no-untyped-call]  # torch's annotation
    outside.critic_rate = owner  # type: ignore[attr-defined]  # for the next one to see
    return outside


def _install(optimizer: Optimizer, before: Callable[..., None], after: Callable[..., None]) -> Callable[[], None]:
    """Call ``before`` and ``after`` around the optimizer's steps; return a function that undoes it.

    Hooks make the calls, since they also run where other code holds an earlier ``optimizer.step`` (accelerate, a
    compiled step). Torch runs no hook after a step that raised. So ``optimizer.step`` is replaced by a function that
    calls ``after`` in any case.
    """
    hooks = [optimizer.register_step_pre_hook(before), optimizer.register_step_post_hook(after)]
    # First of the post hooks: one that steps a scheduler works on the user's rate.
    cast("OrderedDict[int, Any]", optimizer._optimizer_step_post_hooks).move_to_end(hooks[1].id, last=False)
    found, replaced = getattr(optimizer.step, "__func__", optimizer.step), vars(optimizer).get("step")

    def step(stepping: Optimizer, *args: Any, **kwargs: Any) -> Any:
        if getattr(type(stepping).step, "__code__", None) is not _RUNS_HOOKS:
            # Older versions of torch remove the hooks of all optimizers of torch.optim at the first torch.compile.
            before(stepping, args, kwargs)
        try:
            if replaced is None or stepping is not optimizer:
                return type(stepping).step(stepping, *args, **kwargs)
            return replaced(*args, **kwargs)
        finally:
            after(stepping, args, kwargs)

    # This function is not compiled, but what it calls still is.
    torch.compiler.disable(step, recursive=False)  # type: ignore[no-untyped-call]
    update_wrapper(step, found)  # schedulers look for their marks on it
    installed = MethodType(step, optimizer)
    optimizer.step = installed  # type: ignore[method-assign]

    def undo() -> None:
        for hook in hooks:
            hook.remove()
        if vars(optimizer).get("step") is not installed:
            return  # a scheduler has wrapped it
        if replaced is None:
            del optimizer.step
        else:
            optimizer.step = replaced  # type: ignore[method-assign]

    return undo
