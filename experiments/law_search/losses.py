"""Losses of critic and generator by objective, from scores (k, batch, 1); shape (k,)."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus


def critic_loss(objective: str, real: Tensor, fake: Tensor) -> Tensor:
    """Return the critic's loss without penalties."""
    if objective in ("wgan-gp", "wgan-clip"):
        return fake.mean((1, 2)) - real.mean((1, 2))
    if objective in ("hinge", "hinge-r1"):
        return (1 - real).relu().mean((1, 2)) + (1 + fake).relu().mean((1, 2))
    if objective == "least-squares-r1":
        return 0.5 * ((real - 1).square().mean((1, 2)) + fake.square().mean((1, 2)))
    return softplus(-real).mean((1, 2)) + softplus(fake).mean((1, 2))


def generator_loss(objective: str, score: Tensor) -> Tensor:
    """Return the generator's loss."""
    if objective.startswith("non-saturating"):
        return softplus(-score).mean((1, 2))
    if objective == "least-squares-r1":
        return 0.5 * (score - 1).square().mean((1, 2))
    return -score.mean((1, 2))
