"""The global random states of torch, Python and NumPy as something that a checkpoint can hold."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from adaptive_critic.distributed import rank
from adaptive_critic.state import StateError

__all__ = ["RandomState"]

_NUMPY_GENERATOR = "MT19937"


class RandomState:
    """The global random states of torch on the CPU and, for a CUDA device, on that device, of Python and of NumPy.

    A run resumed with it draws the latents that it would have drawn uninterrupted. In a distributed run it is
    restored only on the rank that saved it: the others keep the state they have, as one state for all would give
    every process the same latents. :func:`adaptive_critic.resume_exactly` saves one on each rank.

    Load it after the position in the data: data sets may draw random numbers while that is restored.

    Args:
        device: the device that latents are drawn on.

    Example:
        >>> state = RandomState(torch.device("cpu"))
        >>> saved = state.state_dict()
        >>> first = torch.randn(3), random.random(), np.random.rand()
        >>> state.load_state_dict(saved)
        >>> again = torch.randn(3), random.random(), np.random.rand()
        >>> torch.equal(again[0], first[0]), again[1:] == first[1:]
        (True, True)
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def state_dict(self) -> dict[str, Any]:
        """Return the states as tensors and numbers, with the rank that they belong to.

        Raises:
            ValueError: if NumPy's global generator was replaced by one of another kind.
        """
        state: dict[str, Any] = {"rank": rank(), "cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self.device)
        version, words, gauss = random.getstate()
        state["python"] = {"version": version, "words": torch.tensor(words), "gauss": gauss}
        numpy = np.random.get_state(legacy=False)  # noqa: NPY002  # the global generator is what is saved
        assert isinstance(numpy, dict)
        if numpy["bit_generator"] != _NUMPY_GENERATOR:
            raise ValueError(
                f"NumPy's global generator is a {numpy['bit_generator']}: only {_NUMPY_GENERATOR}, the default, can be "
                "saved; leave that in place, and draw from a np.random.Generator of your own"
            )
        words, position = numpy["state"]["key"], int(numpy["state"]["pos"])
        state["numpy"] = {
            "words": torch.from_numpy(words.astype(np.int64)),
            "position": position,
            "gauss": float(numpy["gauss"]) if numpy["has_gauss"] else None,
        }
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore the states, on the rank that saved them. Python's and NumPy's stay as they are where none was saved.

        Raises:
            ValueError: if an entry is missing, or no random state. Nothing is changed then.
        """
        missing = [key for key in ("rank", "cpu") if key not in state_dict]
        if missing:
            raise StateError(f"state_dict lacks {missing}; it has {sorted(map(str, state_dict))}")
        if state_dict["rank"] != rank():
            return
        try:
            # A checkpoint may have been loaded onto another device; random states live on the CPU.
            cpu = state_dict["cpu"].cpu()
            torch.Generator().set_state(cpu)
            python = _python(state_dict["python"]) if "python" in state_dict else random.getstate()
            random.Random().setstate(python)
            numpy = _numpy(state_dict["numpy"]) if "numpy" in state_dict else None
            if numpy is not None:
                np.random.RandomState().set_state(numpy)
            if self.device.type == "cuda" and "cuda" in state_dict:
                torch.cuda.set_rng_state(state_dict["cuda"].cpu(), self.device)
        except (AttributeError, IndexError, KeyError, OverflowError, RuntimeError, TypeError, ValueError) as error:
            raise StateError(f"these are no saved random states: {error}") from error
        torch.set_rng_state(cpu)
        random.setstate(python)
        if numpy is not None:
            np.random.set_state(numpy)  # noqa: NPY002


def _python(saved: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what ``random.setstate`` takes."""
    return saved["version"], tuple(saved["words"].tolist()), saved["gauss"]


def _numpy(saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``numpy.random.set_state`` takes."""
    gauss = saved["gauss"]
    return {
        "bit_generator": _NUMPY_GENERATOR,
        "state": {"key": saved["words"].cpu().numpy().astype(np.uint32), "pos": saved["position"]},
        "has_gauss": int(gauss is not None),
        "gauss": 0.0 if gauss is None else gauss,
    }
