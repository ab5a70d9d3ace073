"""Snapshots of networks and digests of batches, for an audit."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class NetworkState(NamedTuple):
    """Copies of a network's weights, and its modes."""

    weights: list[Tensor]
    modes: list[bool]

    @classmethod
    def now(cls, modules: Sequence[nn.Module]) -> NetworkState:
        """Return the current state of a network that consists of these modules."""
        return cls(copies(modules), [part.training for module in modules for part in module.modules()])

    def change(self, later: NetworkState) -> str:
        """Return the change in words, empty if nothing has changed."""
        if not all(map(torch.equal, self.weights, later.weights)):
            return "its weights have changed"
        return "its mode has changed (train or eval)" if self.modes != later.modes else ""


def weights(modules: Sequence[nn.Module]) -> list[Tensor]:
    """Return the parameters of all modules, without a graph and not copied."""
    return [value.detach() for module in modules for value in module.parameters()]


def copies(modules: Sequence[nn.Module]) -> list[Tensor]:
    """Return copies of the parameters of all modules."""
    return [value.clone() for value in weights(modules)]


def tensors_in(values: Any) -> list[Tensor]:
    """Return the tensors in nested tuples, lists and dicts."""
    if isinstance(values, Tensor):
        return [values]
    if isinstance(values, Mapping):
        values = list(values.values())
    return [tensor for value in values for tensor in tensors_in(value)] if isinstance(values, (tuple, list)) else []


def fingerprint(tensors: Sequence[Tensor]) -> bytes:
    """Return a digest of the contents, shapes and types of tensors: equal for equal batches. It reads them."""
    digest = hashlib.blake2b(digest_size=16)
    for tensor in tensors:
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.digest()
