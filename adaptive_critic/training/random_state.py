"""torch's random state as something that a checkpoint can hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from adaptive_critic.distributed import rank

__all__ = ["RandomState"]


class RandomState:
    """The global random state of torch on the CPU and, for a CUDA device, on that device.

    A run resumed with it draws the latents that it would have drawn uninterrupted. In a distributed run it is
    restored only on the rank that saved it (a checkpoint holds one rank's): the others keep the state they
    have, as one state for all would give every process the same latents.

    Args:
        device: the device that latents are drawn on.

    Example:
        >>> state = RandomState(torch.device("cpu"))
        >>> saved = state.state_dict()
        >>> first = torch.randn(3)
        >>> state.load_state_dict(saved)
        >>> torch.equal(torch.randn(3), first)
        True
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def state_dict(self) -> dict[str, Any]:
        """Return the states as tensors of bytes, with the rank that they belong to."""
        state: dict[str, Any] = {"rank": rank(), "cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self.device)
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore the states, on the rank that saved them.

        Raises:
            ValueError: if an entry is missing.
        """
        missing = [key for key in ("rank", "cpu") if key not in state_dict]
        if missing:
            raise ValueError(f"state_dict lacks {missing}; it has {sorted(map(str, state_dict))}")
        if state_dict["rank"] != rank():
            return
        # A checkpoint may have been loaded onto another device; random states live on the CPU.
        torch.set_rng_state(state_dict["cpu"].cpu())
        if self.device.type == "cuda" and "cuda" in state_dict:
            torch.cuda.set_rng_state(state_dict["cuda"].cpu(), self.device)
