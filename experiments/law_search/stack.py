"""Stacks of multilayer perceptrons, one per replica, with the state of their optimizers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from experiments.law_search.problems import Optimizer

SLOPE = 0.2
RMSPROP_DECAY = 0.99
POWER_ITERATIONS = 15

Layers = list[tuple[Tensor, Tensor]]


class Stack:
    """A stack of multilayer perceptrons with their optimizer's state, flat per replica.

    Args:
        sizes: units of the input, of each hidden layer and of the output.
        seeds: seed of the initial weights of each replica.
        lr: learning rate; ``rates``, shape (replicas, 1), multiplies it.
        betas: Adam's decay rates.
        leaky: leaky instead of plain rectified units.
        optimizer: Adam, or RMSprop with a decay of 0.99.
        spectral: divide each layer's weights by their largest singular value, as power iteration estimates it.
        normalised_from: first hidden layer (from 0) whose units are normalised over the batch; None for no layer.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        seeds: Sequence[int],
        lr: float,
        betas: tuple[float, float],
        leaky: bool,
        optimizer: Optimizer = "adam",
        spectral: bool = False,
        normalised_from: int | None = None,
    ) -> None:
        self.sizes = list(pairwise(sizes))
        self.slope = SLOPE if leaky else 0.0
        self.lr, self.betas, self.optimizer = lr, betas, optimizer
        self.normalised_from = normalised_from
        rows = []
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed)
            parts = []
            for fan_in, fan_out in self.sizes:
                bound = 1 / math.sqrt(fan_in)
                parts.append((torch.rand(fan_in * fan_out, generator=generator) * 2 - 1) * bound * 1.7)
                parts.append((torch.rand(fan_out, generator=generator) * 2 - 1) * bound * 0.5)
            rows.append(torch.cat(parts))
        self.flat = torch.stack(rows)
        self.first = torch.zeros_like(self.flat)
        self.second = torch.zeros_like(self.flat)
        self.steps = torch.zeros(len(seeds), 1)
        self.rates = torch.ones(len(seeds), 1)
        self.singular: list[Tensor] | None = None
        if spectral:
            self.singular = [torch.ones(len(seeds), fan_out) for _, fan_out in self.sizes]
            every = torch.arange(len(seeds))
            for _ in range(POWER_ITERATIONS):
                self.effective(self.views(every, False), every, advance=True)

    @property
    def forward_flops(self) -> int:
        """Multiply-adds of one forward pass of one sample."""
        return sum(a * b for a, b in self.sizes)

    def views(self, index: Tensor, grad: bool) -> Layers:
        """Return weights (k, in, out) and biases (k, 1, out) of the replicas in index, as leaves."""
        flat = self.flat[index]
        out, at = [], 0
        for fan_in, fan_out in self.sizes:
            weight = flat[:, at : at + fan_in * fan_out].reshape(-1, fan_in, fan_out)
            at += fan_in * fan_out
            bias = flat[:, at : at + fan_out].reshape(-1, 1, fan_out)
            at += fan_out
            out.append((weight.requires_grad_(grad), bias.requires_grad_(grad)))
        return out

    def effective(self, layers: Layers, index: Tensor, advance: bool = False) -> Layers:
        """Return the layers that a forward pass uses: divided by their singular values if that is wanted.

        Args:
            layers: of the replicas in index.
            index: replicas.
            advance: take one power iteration first, as torch's does in training mode.
        """
        if self.singular is None:
            return layers
        out = []
        for at, (weight, bias) in enumerate(layers):
            with torch.no_grad():
                left = functional.normalize(torch.bmm(weight, self.singular[at][index, :, None]), dim=1)
                right = functional.normalize(torch.bmm(weight.transpose(1, 2), left), dim=1)
                if advance:
                    self.singular[at][index] = right[:, :, 0]
            sigma = torch.bmm(left.transpose(1, 2), torch.bmm(weight, right))
            out.append((weight / sigma, bias))
        return out

    def forward(self, layers: Layers, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the outputs (k, batch, out) and the slopes of the hidden units, for the input gradient."""
        slopes = []
        for at, (weight, bias) in enumerate(layers[:-1]):
            if self.normalised_from is not None and at >= self.normalised_from:
                x = torch.bmm(x, weight)
                x = (x - x.mean(1, keepdim=True)) * (x.var(1, keepdim=True) + 1e-5).rsqrt() + bias
            else:
                x = torch.baddbmm(bias, x, weight)
            x = functional.leaky_relu(x, self.slope)
            slopes.append(x)
        weight, bias = layers[-1]
        return torch.baddbmm(bias, x, weight), slopes

    def input_gradient(self, layers: Layers, hidden: list[Tensor]) -> Tensor:
        """Return dD/dx (k, batch, in), differentiable in the weights.

        The units are piecewise linear, so their slopes have no gradient almost everywhere, and the chain of matrix
        products below has the same gradient as double backward, at a fraction of its price.
        """
        masks = [torch.where(h.detach() > 0, 1.0, self.slope) for h in hidden]
        gradient = masks[-1] * layers[-1][0].transpose(1, 2)
        for (weight, _), mask in zip(reversed(layers[1:-1]), reversed(masks[:-1]), strict=True):
            gradient = mask * torch.bmm(gradient, weight.transpose(1, 2))
        return torch.bmm(gradient, layers[0][0].transpose(1, 2))

    def step(self, index: Tensor, layers: Layers, clip: float | None = None) -> None:
        """Take one optimizer step for the replicas in index; clip bounds the weights after it."""
        parts = []
        for weight, bias in layers:
            for leaf in (weight, bias):
                assert leaf.grad is not None
                parts.append(leaf.grad.flatten(1))
        gradient = torch.cat(parts, 1)
        lr = self.lr * self.rates[index]
        if self.optimizer == "rmsprop":
            second = self.second[index].mul_(RMSPROP_DECAY).addcmul_(gradient, gradient, value=1 - RMSPROP_DECAY)
            flat = self.flat[index] - lr * gradient / second.sqrt().add_(1e-8)
        else:
            beta1, beta2 = self.betas
            steps = self.steps[index] + 1
            first = self.first[index].mul_(beta1).add_(gradient, alpha=1 - beta1)
            second = self.second[index].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
            denominator = (second / (1 - beta2**steps)).sqrt_().add_(1e-8)
            flat = self.flat[index] - lr * (first / (1 - beta1**steps)) / denominator
            self.first[index], self.steps[index] = first, steps
        if clip is not None:
            flat.clamp_(-clip, clip)
        self.flat[index], self.second[index] = flat, second
