"""Quality of samples, and the common costs at which every candidate is judged."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from torch import Tensor

from experiments.law_search.features import frechet
from experiments.law_search.problems import Problem, sample_data

EVALUATION_SAMPLES = 1024


def cost_grid(budget: float) -> list[float]:
    """Common costs at which every candidate is evaluated: spacing 3 % of the cost, at least 1/250 of the budget."""
    grid, at = [], 0.0
    while at < budget:
        at = min(budget, at + max(budget / 250, 0.03 * at))
        grid.append(at)
    return grid


@cache
def _reference(data: str) -> tuple[Tensor, Tensor]:
    x = torch.from_numpy(sample_data(data))
    dim = x.shape[1]
    if dim == 2:
        angle = torch.arange(16) * (math.pi / 16)
        directions = torch.stack([angle.cos(), angle.sin()])
    else:
        directions = torch.randn(dim, 48, generator=torch.Generator().manual_seed(5))
        directions = directions / directions.norm(dim=0)
    levels = (torch.arange(EVALUATION_SAMPLES) + 0.5) / EVALUATION_SAMPLES
    reference = torch.quantile(x[:16384] @ directions, levels, dim=0)
    # In many dimensions a random direction sees only 1/sqrt(d) of a distance; sqrt(d / 2) makes 2-D the unit.
    return directions, reference


def distances(problem: Problem, fake: Tensor) -> Tensor:
    """Return the distances, shape (k,), of samples (k, samples, dimensions) from the problem's data."""
    if problem.judge == "features":
        return frechet(problem.data, fake)
    directions, reference = _reference(problem.data)
    # numpy sorts contiguous rows several times faster than torch does
    projected = np.sort((directions.T @ fake.transpose(1, 2)).numpy(), axis=2)
    return (torch.from_numpy(projected) - reference.T).abs().mean((1, 2)) * math.sqrt(fake.shape[2] / 2)
