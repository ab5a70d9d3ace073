"""Computes the StepOutput of an iteration from its scores and losses, on the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from adaptive_critic.step_output import StepOutput


class Measured(NamedTuple):
    """Measurements of one update before its step, all detached."""

    loss: Tensor  # (), without penalties
    fake: Tensor  # (batch,), scores of generated samples
    real: Tensor  # (batch,), scores of real samples; empty in a generator update
    penalty: Tensor  # (), as added to the loss


def flat_scores(output: object, batch: int) -> Tensor:
    """Return a critic's output, a tensor of one score per sample, as scores (batch,) in at least single precision."""
    if not isinstance(output, Tensor):
        raise TypeError(f"the discriminator returned {type(output).__name__}: expected a tensor of scores")
    if output.dim() == 0 or len(output) != batch or output.numel() != batch:
        raise ValueError(
            f"the discriminator returned scores of shape {tuple(output.shape)} for {batch} samples: expected "
            f"({batch},) or ({batch}, 1), one score per sample"
        )
    scores = output.reshape(batch)
    return scores.float() if scores.dtype in (torch.float16, torch.bfloat16) else scores


def merged(parts: Sequence[Measured]) -> Measured:
    """Return one record for all micro-batches of an update."""
    if len(parts) == 1:
        return parts[0]
    losses, fakes, reals, penalties = zip(*parts, strict=True)
    return Measured(torch.stack(losses).mean(), torch.cat(fakes), torch.cat(reals), torch.stack(penalties).mean())


def step_output(critic: Sequence[Measured], generator: Measured, boundary: float, num_samples: int) -> StepOutput:
    """Return the StepOutput of n critic updates, in order, and one generator update.

    Scores above ``boundary`` count as real; ``num_samples`` real samples were consumed.
    """
    nothing = (generator.loss.new_empty(0),) * 3
    real_mean, real_std, real_called = _statistics([update.real for update in critic], boundary) if critic else nothing
    fake_mean, fake_std, fake_called = _statistics([update.fake for update in critic], boundary) if critic else nothing
    _, _, called_real = _statistics([generator.fake], boundary)
    return StepOutput(
        d_real=real_mean,
        d_fake=fake_mean,
        d_loss=torch.stack([update.loss for update in critic]) if critic else nothing[0],
        d_real_std=real_std,
        d_fake_std=fake_std,
        d_accuracy=(real_called + 1 - fake_called) / 2,
        d_penalty=torch.stack([update.penalty for update in critic]) if critic else nothing[0],
        g_loss=generator.loss,
        g_fake=generator.fake.mean(),
        g_fake_accuracy=1 - called_real[0],
        num_samples=num_samples,
    )


def _statistics(scores: Sequence[Tensor], boundary: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean, population standard deviation and share above ``boundary`` of each (batch,), shapes (n,)."""
    if len({len(row) for row in scores}) > 1:  # a loader's last batch may be smaller
        rows = [_statistics([row], boundary) for row in scores]
        means, stds, shares = (torch.cat(column) for column in zip(*rows, strict=True))
        return means, stds, shares
    # One reduction over (n, batch) instead of n over (batch,): for small tensors the calls cost most.
    table = torch.stack(list(scores))
    return table.mean(dim=1), table.std(dim=1, correction=0), (table > boundary).to(table.dtype).mean(dim=1)
