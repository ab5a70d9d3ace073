"""Checks and preparation of create_gan_trainer's arguments, one function for each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from ignite.utils import convert_tensor
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from adaptive_critic.checks import boolean, integer, real
from adaptive_critic.training.ema import AveragedGenerator, has_spectral_norm, unwrapped
from adaptive_critic.training.objectives import Objective
from adaptive_critic.training.step import MicroBatch

_logger = logging.getLogger("adaptive_critic")
_AUTOCAST_DTYPES = (torch.float16, torch.bfloat16)


def check_networks(
    generator: nn.Module,
    discriminator: nn.Module,
    optimizer_g: torch.optim.Optimizer,
    optimizer_d: torch.optim.Optimizer,
) -> None:
    """Check that each optimizer steps parameters of its own network; log if scores seem to be probabilities."""
    networks = {"generator": generator, "discriminator": discriminator}
    for name, network in networks.items():
        if not isinstance(network, nn.Module):
            raise TypeError(f"{name}={network!r}: expected a torch.nn.Module, got {type(network).__name__}")
    for name, optimizer, own, other in (
        ("optimizer_g", optimizer_g, "generator", "discriminator"),
        ("optimizer_d", optimizer_d, "discriminator", "generator"),
    ):
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise TypeError(f"{name}={optimizer!r}: expected a torch.optim.Optimizer, got {type(optimizer).__name__}")
        stepped = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        foreign = stepped - {id(parameter) for parameter in networks[own].parameters()}
        if not foreign:
            continue
        theirs = [key for key, parameter in networks[other].named_parameters() if id(parameter) in foreign]
        if theirs:
            raise ValueError(
                f"{name} steps {len(theirs)} parameter(s) of the {other}, such as {theirs[0]!r}: it may "
                f"step those of the {own} only; are the two optimizers, or the two networks, swapped?"
            )
        raise ValueError(
            f"{name} steps {len(foreign)} tensor(s) that are not parameters of the {own}: was it made for "
            "another network, or were the network's parameters replaced since?"
        )
    *_, last = discriminator.modules()
    if isinstance(last, nn.Sigmoid):
        _logger.warning(
            "the last module of the discriminator is a Sigmoid: its scores must be logits, so leave it out (the "
            "non-saturating objective is binary cross-entropy on logits)"
        )


def resolved_device(generator: nn.Module, device: str | torch.device | None) -> torch.device:
    """Return the device for batches and latents: ``device``, or the generator's."""
    home = next((parameter.device for parameter in generator.parameters()), torch.device("cpu"))
    if device is None:
        return home
    if not isinstance(device, (str, torch.device)):
        got = type(device).__name__
        raise TypeError(f"device={device!r}: expected a torch.device, text such as 'cuda:0', or None, got {got}")
    try:
        wanted = torch.device(device)
    except RuntimeError:
        raise ValueError(f"device={device!r}: expected what torch.device takes, such as 'cpu' or 'cuda:0'") from None
    if wanted.type != home.type:
        raise ValueError(
            f"device={str(wanted)!r}, but the generator is on {str(home)!r}: networks are not moved here; "
            "move both before making their optimizers"
        )
    return wanted


def precision(
    device: torch.device, autocast: torch.dtype | None, scaler: bool | torch.amp.GradScaler | None
) -> tuple[Callable[[], Any], torch.amp.GradScaler | None]:
    """Return a function that makes an autocast context, and a gradient scaler or None."""
    if autocast is not None and autocast not in _AUTOCAST_DTYPES:
        raise ValueError(f"autocast={autocast!r}: expected torch.bfloat16, torch.float16 or None")
    if scaler is None:
        scaler = autocast == torch.float16
    if not isinstance(scaler, (bool, torch.amp.GradScaler)):
        raise TypeError(f"scaler={scaler!r}: expected True, False or a torch.amp.GradScaler")
    if scaler is not False and autocast != torch.float16:
        raise ValueError(
            f"scaler={scaler!r} with autocast={autocast}: only gradients of float16 need scaling; leave "
            "scaler out, or use autocast=torch.float16"
        )
    context = nullcontext if autocast is None else partial(torch.autocast, device.type, dtype=autocast)
    if isinstance(scaler, bool):
        return context, torch.amp.GradScaler(device.type) if scaler else None
    return context, scaler


def averaged(generator: nn.Module, ema: float | AveragedModel | None) -> AveragedModel | None:
    """Return the moving average of the generator, or None."""
    if ema is None:
        return None
    if not isinstance(ema, AveragedModel):
        if isinstance(ema, bool):
            raise TypeError(f"ema={ema}: expected the decay, such as 0.999, or an AveragedModel")
        return AveragedGenerator(generator, real("ema", ema, at_least=0.0, below=1.0))
    own, others = (
        [(parameter.shape, parameter.dtype) for parameter in network.parameters()]
        for network in (ema.module, unwrapped(generator))
    )
    if own != others:
        raise ValueError("ema averages another network: make it with torch.optim.swa_utils.AveragedModel(generator)")
    if has_spectral_norm(generator) and not isinstance(ema, AveragedGenerator):
        raise ValueError(
            "ema is an AveragedModel of a generator with spectral_norm, whose averaged weights it would not "
            "normalise: give the decay, such as ema=0.999, for an average that does"
        )
    return ema


def latent_source(
    latent_dim: int | Sequence[int] | None, sample_latent: Callable[[int], Tensor] | None, device: torch.device
) -> Callable[[int], Tensor]:
    """Return a function from a batch size to latents on ``device``."""
    if (latent_dim is None) == (sample_latent is None):
        found = "neither" if latent_dim is None else "both"
        raise ValueError(f"got {found} of latent_dim and sample_latent: expected exactly one of them")
    if sample_latent is None:
        given: Any = latent_dim
        dims: tuple[Any, ...] = tuple(given) if isinstance(given, Sequence) and not isinstance(given, str) else (given,)
        if not dims:
            raise ValueError(f"latent_dim={latent_dim!r}: expected an int of at least 1, or a sequence of such ints")
        for dim in dims:
            integer("latent_dim", dim, at_least=1)
        return lambda batch: torch.randn(batch, *dims, device=device)
    if not callable(sample_latent):
        raise TypeError(f"sample_latent={sample_latent!r}: expected a callable from a batch size to latents")

    def draw(batch: int) -> Tensor:
        latents: Any = sample_latent(batch)
        if latents is None:
            raise TypeError(f"sample_latent({batch}) returned None: expected {batch} latents, such as a tensor")
        return cast(Tensor, convert_tensor(latents, device=device))

    return draw


def configured(objective: Objective, gradient_penalty: float | None, r1: float | None, clip: float | None) -> Objective:
    """Return the objective with the given weights in place of its own."""
    if clip is not None and objective.clip is None:
        raise ValueError(f"clip={clip!r} with objective {objective.name!r}: only 'wasserstein-clip' clips weights")
    return replace(
        objective,
        gradient_penalty=objective.gradient_penalty if gradient_penalty is None else gradient_penalty,
        r1=objective.r1 if r1 is None else r1,
        clip=objective.clip if clip is None else clip,
    )


def batch_reader(
    prepare_batch: Callable[[Any], Any] | None, conditional: bool, device: torch.device, non_blocking: bool
) -> Callable[[Any], MicroBatch]:
    """Return a function from a batch to the part of it that training uses, on ``device``."""
    if prepare_batch is not None and not callable(prepare_batch):
        raise TypeError(f"prepare_batch={prepare_batch!r}: expected a function of a batch, or None")
    boolean("conditional", conditional)
    boolean("non_blocking", non_blocking)

    def read(batch: Any) -> MicroBatch:
        batch = batch if prepare_batch is None else prepare_batch(batch)
        parts = batch if isinstance(batch, (tuple, list)) else (batch,)
        if conditional and len(parts) < 2:
            raise ValueError(
                f"conditional=True, but a batch has no labels (a {_kind(batch)}): expected (samples, labels); "
                "prepare_batch= can make that"
            )
        if not parts or not isinstance(parts[0], Tensor):
            raise ValueError(
                f"a batch is a {_kind(batch)}: expected a tensor of samples or a tuple that begins with one; "
                "prepare_batch= can make that"
            )
        if parts[0].dim() == 0 or len(parts[0]) == 0:
            shape = tuple(parts[0].shape)
            raise ValueError(f"a batch has samples of shape {shape}: expected (batch, ...) with at least one sample")
        samples, *labels = (convert_tensor(part, device, non_blocking) for part in parts[: 1 + conditional])
        return MicroBatch(cast(Tensor, samples), labels[0] if conditional else None)

    return read


def _kind(batch: Any) -> str:
    if isinstance(batch, Mapping):
        return f"{type(batch).__name__} with keys {sorted(map(str, batch))}"
    if isinstance(batch, (tuple, list)):
        return f"{type(batch).__name__} of {[type(part).__name__ for part in batch]}"
    return type(batch).__name__
