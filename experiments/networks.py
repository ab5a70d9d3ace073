"""The networks of the experiments, small enough for one CPU thread."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


def mlp(
    sizes: Sequence[int], activation: Callable[[], nn.Module] = nn.ReLU, output: nn.Module | None = None
) -> nn.Sequential:
    """Build a multilayer perceptron.

    Args:
        sizes: Widths from input to output, at least two.
        activation: Makes the module between two linear layers.
        output: Module after the last linear layer, if any.

    Example:
        >>> mlp([2, 8, 1])(torch.zeros(4, 2)).shape
        torch.Size([4, 1])
    """
    if len(sizes) < 2:
        raise ValueError(f"sizes={list(sizes)}: at least an input and an output width are needed")
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after), activation()]
    layers.pop()
    if output is not None:
        layers.append(output)
    return nn.Sequential(*layers)


def _leaky() -> nn.Module:
    return nn.LeakyReLU(0.2)


def generator_2d(latent_dim: int = 2, width: int = 128, depth: int = 3) -> nn.Sequential:
    """Generator of points: latents (n, latent_dim) to (n, 2), ``depth`` hidden layers."""
    return mlp([latent_dim, *[width] * depth, 2])


def critic_2d(width: int = 128, depth: int = 3) -> nn.Sequential:
    """Critic of points: (n, 2) to scores (n, 1)."""
    return mlp([2, *[width] * depth, 1], _leaky)


def image_mlp_generator(latent_dim: int = 64, side: int = 28, width: int = 256, depth: int = 3) -> nn.Sequential:
    """Generator of images without convolutions: latents (n, latent_dim) to (n, 1, side, side) in [-1, 1]."""
    network = mlp([latent_dim, *[width] * depth, side * side])
    return nn.Sequential(network, nn.Tanh(), nn.Unflatten(1, (1, side, side)))


def image_mlp_critic(side: int = 28, width: int = 256, depth: int = 3) -> nn.Sequential:
    """Critic of images without convolutions: (n, 1, side, side) to scores (n, 1)."""
    return nn.Sequential(nn.Flatten(), mlp([side * side, *[width] * depth, 1], _leaky))


def dcgan_generator(latent_dim: int = 64, side: int = 28, channels: int = 16) -> nn.Sequential:
    """Convolutional generator with batch normalisation: latents to images (n, 1, side, side) in [-1, 1].

    Args:
        latent_dim: Width of the latents.
        side: 14 (one doubling) or 28 (two).
        channels: Channels of the last hidden layer; each doubling before it has twice as many.
    """
    doublings = _doublings(side)
    width = channels * 2**doublings
    layers: list[nn.Module] = [
        nn.Linear(latent_dim, width * 49),
        nn.Unflatten(1, (width, 7, 7)),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    ]
    for _ in range(doublings):
        layers += [
            nn.ConvTranspose2d(width, width // 2, 4, stride=2, padding=1),
            nn.BatchNorm2d(width // 2),
            nn.ReLU(),
        ]
        width //= 2
    return nn.Sequential(*layers, nn.Conv2d(width, 1, 3, padding=1), nn.Tanh())


def dcgan_critic(side: int = 28, channels: int = 16, norm: str | None = None) -> nn.Sequential:
    """Convolutional critic to scores (n, 1).

    Args:
        side: 14 or 28.
        channels: Channels of the first hidden layer; each halving after it has twice as many.
        norm: None, as a gradient penalty wants it; "batch" after each halving, as DCGAN has it; or "spectral" on all
            weights.
    """
    if norm not in (None, "batch", "spectral"):
        raise ValueError(f"norm={norm!r}: must be None, 'batch' or 'spectral'")

    def weighted(layer: nn.Module) -> nn.Module:
        return nn.utils.parametrizations.spectral_norm(layer) if norm == "spectral" else layer

    doublings = _doublings(side)
    layers: list[nn.Module] = [weighted(nn.Conv2d(1, channels, 3, padding=1)), _leaky()]
    width = channels
    for _ in range(doublings):
        layers.append(weighted(nn.Conv2d(width, width * 2, 4, stride=2, padding=1)))
        width *= 2
        layers += [nn.BatchNorm2d(width), _leaky()] if norm == "batch" else [_leaky()]
    return nn.Sequential(*layers, nn.Flatten(), weighted(nn.Linear(width * 49, 1)))


def _doublings(side: int) -> int:
    if side not in (14, 28):
        raise ValueError(f"side={side}: must be 14 or 28")
    return side // 14


class TableGenerator(nn.Module):
    """Generator of encoded table rows: latents (n, latent_dim) to (n, continuous + sum of blocks).

    Args:
        continuous: How many continuous columns come first.
        block_sizes: Widths of the one-hot blocks that follow; each goes through a softmax.
        latent_dim: Width of the latents.
        width: Width of the hidden layers.
        depth: Their number.
    """

    def __init__(
        self,
        continuous: int,
        block_sizes: Sequence[int],
        latent_dim: int = 16,
        width: int = 128,
        depth: int = 2,
    ) -> None:
        super().__init__()
        self.sizes = [continuous, *block_sizes]
        self.network = mlp([latent_dim, *[width] * depth, sum(self.sizes)])

    def forward(self, latents: Tensor) -> Tensor:
        """Map latents (n, latent_dim) to rows (n, continuous + sum of blocks)."""
        columns, *blocks = self.network(latents).split(self.sizes, dim=1)
        return torch.cat([columns, *(block.softmax(dim=1) for block in blocks)], dim=1)


def table_critic(columns: int, width: int = 128, depth: int = 2) -> nn.Sequential:
    """Critic of encoded table rows: (n, columns) to scores (n, 1)."""
    return mlp([columns, *[width] * depth, 1], _leaky)
