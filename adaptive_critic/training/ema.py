"""Exponential moving average of a generator's weights, as torch's AveragedModel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.parametrize import is_parametrized
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

_HALF = (torch.float16, torch.bfloat16)


def unwrapped(network: nn.Module) -> nn.Module:
    """Return the module inside a DataParallel or DistributedDataParallel; any other module is returned unchanged."""
    if isinstance(network, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        inner: nn.Module = network.module
        return inner
    return network


class AveragedGenerator(AveragedModel):
    """An ``AveragedModel`` that moves by average <- decay * average + (1 - decay) * generator.

    The first update copies the generator. Beyond torch's class:

    - Averages of float16 and bfloat16 weights are kept in float32, since single updates are smaller than the precision
      of rounded ones; ``module`` has them rounded.
    - Layers with ``spectral_norm`` of torch (the parametrization or the hook) estimate the norm of the averaged weight
      by power iterations of their own, one set at each update.
    - Running statistics of batch and instance normalisation are averaged, all other buffers are copied.
    - Nothing is read back to the host. The averaged network is in evaluation mode and requires no gradients.

    Args:
        generator: the network to average. A DataParallel or DistributedDataParallel wrapper is removed.
        decay: share of the old average that is kept, in [0, 1).
    """

    def __init__(self, generator: nn.Module, decay: float) -> None:
        generator = unwrapped(generator)
        # Hooks of weight_norm and spectral_norm keep the weight that they computed, whose graph can't be copied.
        computed = {
            id(value): value.detach().clone()
            for layer in generator.modules()
            for value in vars(layer).values()
            if isinstance(value, Tensor) and not value.is_leaf
        }
        super().__init__(deepcopy(generator, computed))
        self.decay = decay
        self._begun = False
        for index, average in enumerate(_averaged(self.module)):
            if average.dtype in _HALF:
                self.register_buffer(f"precise_{index}", average.detach().float())
        self.eval().requires_grad_(False)

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Move the average one step toward the current weights of the model."""
        model = unwrapped(model)
        rounded, current = _averaged(self.module), _averaged(model)
        averages = [getattr(self, f"precise_{index}", average) for index, average in enumerate(rounded)]
        # The first update also copies the model's estimates of norms.
        left = {*map(id, rounded), *(map(id, _norm_estimates(self.module)) if self._begun else ())}
        for kept, buffer in zip(self.module.buffers(), model.buffers(), strict=True):
            if id(kept) not in left:
                kept.copy_(buffer)
        if self._begun:
            move = get_ema_multi_avg_fn(self.decay)  # type: ignore[no-untyped-call]  # torch's annotation
            move(averages, [new.to(old.dtype) for old, new in zip(averages, current, strict=True)], self.n_averaged)
        else:
            for average, new in zip(averages, current, strict=True):
                average.copy_(new)
        for average, copy in zip(averages, rounded, strict=True):
            if copy is not average:
                copy.copy_(average)
        if self._begun:
            _iterate(self.module)
        self._begun = True
        self.n_averaged += 1

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load a state of this class, of an ``AveragedModel``, or of this library's ExponentialMovingAverage."""
        state = dict(state_dict)
        if "_extra_state" in state and "n_averaged" not in state:
            state["n_averaged"] = torch.tensor(state.pop("_extra_state"))
        names = {id(tensor): name for name, tensor in self.state_dict(keep_vars=True).items()}
        for index, average in enumerate(_averaged(self.module)):
            if average.dtype in _HALF and names[id(average)] in state:
                state.setdefault(f"precise_{index}", state[names[id(average)]])
        result = super().load_state_dict(state, strict, assign)
        self._begun = bool(self.n_averaged)
        return result


def has_spectral_norm(network: nn.Module) -> bool:
    """Return whether a layer has torch's spectral normalisation."""
    return next(_norm_estimates(network), None) is not None


def _averaged(network: nn.Module) -> list[Tensor]:
    """Return the parameters and running statistics, in the same order for a network and its copy."""
    layers = (layer for layer in network.modules() if isinstance(layer, _NormBase))
    statistics = (buffer for layer in layers for buffer in (layer.running_mean, layer.running_var))
    return [*network.parameters(), *(buffer for buffer in statistics if buffer is not None)]


def _norm_estimates(network: nn.Module) -> Iterator[Tensor]:
    """Yield the buffers of power iterations, whose averages or copies do not fit other weights."""
    for layer in network.modules():
        if isinstance(layer, _SpectralNorm):
            yield from layer.buffers()
        for hook in layer._forward_pre_hooks.values():
            if isinstance(hook, SpectralNorm):
                yield from (getattr(layer, f"{hook.name}_{vector}") for vector in "uv")


def _iterate(network: nn.Module) -> None:
    """Make the power iterations that a forward pass in training mode makes."""
    for layer in network.modules():
        if is_parametrized(layer):
            for name, steps in layer.parametrizations.items():  # type: ignore[union-attr,operator]  # a ModuleDict
                normalising = [step for step in steps if isinstance(step, _SpectralNorm)]
                for step in normalising:
                    step.train()
                if normalising:
                    getattr(layer, name)
                for step in normalising:
                    step.eval()
        for hook in layer._forward_pre_hooks.values():
            if isinstance(hook, SpectralNorm):
                hook.compute_weight(layer, do_power_iteration=True)
