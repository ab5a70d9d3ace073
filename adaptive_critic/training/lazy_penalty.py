"""Penalty at every k-th critic update instead of at each."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from adaptive_critic import state as saved
from adaptive_critic.checks import integer
from adaptive_critic.training.objectives import Objective

_FORMAT = 1


class LazyPenalty:
    """Decides which critic updates take the objective's penalty, and gives the penalty that the others report.

    The first critic update takes the penalty, and every k-th one after it, counted over the whole run. Its weight is
    multiplied by k, so that the mean of its gradients is that of a penalty at each update. An update whose step a
    gradient scaler skips counts too.

    Args:
        objective: the objective; it must have a penalty if k is above 1.
        every: k, at least 1.

    Source: the lazy regularisation of Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", 2020,
    arXiv 1912.04958, appendix B. There the penalty has optimizer steps of its own; here it shares the critic's.
    """

    def __init__(self, objective: Objective, every: int = 1) -> None:
        self.every = integer("penalty_every", every, at_least=1)
        self.has_penalty = objective.has_penalty
        if self.every > 1 and not self.has_penalty:
            raise ValueError(
                f"penalty_every={every} with objective {objective.name!r}, which has no penalty: give "
                "gradient_penalty= or r1= as well"
            )
        self.critic_updates = 0
        """critic updates so far; not counted if ``every`` is 1"""
        self._measured: Tensor | float = 0.0

    @property
    def due(self) -> bool:
        """Whether the next critic update takes the penalty."""
        return self.has_penalty and self.critic_updates % self.every == 0

    def count(self, penalty: Tensor) -> Tensor:
        """Count a critic update with this penalty (), 0 if it was not due; return the one to report, maybe an older."""
        if self.every == 1:
            return penalty  # nothing to count, so there is no state to save
        due = self.due
        self.critic_updates += 1
        if not due:
            return penalty + self._measured
        # A non-finite penalty is reported once: the weights may be rolled back afterwards.
        self._measured = torch.nan_to_num(penalty, nan=0.0, posinf=0.0, neginf=0.0)
        return penalty

    def state_dict(self) -> dict[str, Any]:
        """Return the number of critic updates and the last penalty."""
        return {
            "version": _FORMAT,
            "handler": type(self).__name__,
            "critic_updates": self.critic_updates,
            "d_penalty": float(self._measured),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned. A StateError changes nothing."""
        state = saved.header(state, type(self).__name__, _FORMAT)
        updates = saved.integer(state, "critic_updates")
        self._measured = saved.number(state, "d_penalty", -sys.float_info.max, sys.float_info.max)
        self.critic_updates = updates
