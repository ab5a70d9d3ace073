"""The global random states of torch, Python and NumPy: reading them, restoring them, saving them in a checkpoint."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from adaptive_critic.distributed import rank
from adaptive_critic.state import StateError

_NUMPY_GENERATOR = "MT19937"


class GlobalStates(NamedTuple):
    """Random states of torch on the CPU, of Python and of NumPy."""

    cpu: torch.Tensor
    python: tuple[Any, ...]
    numpy: dict[str, Any]

    @classmethod
    def now(cls) -> GlobalStates:
        """Read the current states."""
        numpy = np.random.get_state(legacy=False)  # noqa: NPY002  # the global generator is meant
        assert isinstance(numpy, dict)
        return cls(torch.get_rng_state(), random.getstate(), numpy)

    def restore(self) -> None:
        """Make these the current states."""
        torch.set_rng_state(self.cpu)
        random.setstate(self.python)
        np.random.set_state(self.numpy)  # noqa: NPY002

    def same_as(self, other: GlobalStates) -> bool:
        """Return whether no random number was drawn between the two."""
        same = torch.equal(self.cpu, other.cpu) and self.python == other.python
        return same and repr(self.numpy) == repr(other.numpy)

    def state_dict(self) -> dict[str, Any]:
        """Return the states as tensors and numbers.

        Raises:
            ValueError: if NumPy's global generator was replaced by one of another kind.
        """
        if self.numpy["bit_generator"] != _NUMPY_GENERATOR:
            raise ValueError(
                f"NumPy's global generator is a {self.numpy['bit_generator']}: only {_NUMPY_GENERATOR}, the default, "
                "can be saved; leave that in place, and draw from a np.random.Generator of your own"
            )
        version, words, gauss = self.python
        return {
            "cpu": self.cpu,
            "python": {"version": version, "words": torch.tensor(words), "gauss": gauss},
            "numpy": {
                "words": torch.from_numpy(self.numpy["state"]["key"].astype(np.int64)),
                "position": int(self.numpy["state"]["pos"]),
                "gauss": float(self.numpy["gauss"]) if self.numpy["has_gauss"] else None,
            },
        }

    @classmethod
    def read(cls, state: Mapping[str, Any]) -> GlobalStates:
        """Return the states in a :meth:`state_dict`, the current ones of Python and NumPy if it lacks those."""
        _, python, numpy = cls.now()
        try:
            # A checkpoint may have been loaded onto another device; random states live on the CPU.
            cpu = state["cpu"].cpu()
            if "python" in state:
                saved = state["python"]
                python = saved["version"], tuple(saved["words"].tolist()), saved["gauss"]
            if "numpy" in state:
                saved = state["numpy"]
                numpy = {
                    "bit_generator": _NUMPY_GENERATOR,
                    "state": {"key": saved["words"].cpu().numpy().astype(np.uint32), "pos": saved["position"]},
                    "has_gauss": int(saved["gauss"] is not None),
                    "gauss": saved["gauss"] or 0.0,
                }
                np.random.RandomState().set_state(numpy)
            torch.Generator().set_state(cpu)
            random.Random().setstate(python)
        except (AttributeError, IndexError, KeyError, OverflowError, RuntimeError, TypeError, ValueError) as error:
            raise StateError(f"these are no saved random states: {error}") from error
        return cls(cpu, python, numpy)


class RandomState:
    """The global random states of torch on the CPU and, for a CUDA device, on that device, of Python and of NumPy.

    A run resumed with it draws the latents that it would have drawn uninterrupted. In a distributed run only the rank
    that saved it restores it, or every process would draw the same latents. :func:`adaptive_critic.resume_exactly`
    saves one on each rank. Load it after the position in the data, which may draw random numbers.

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
        """Return the states as tensors and numbers, with the rank that they belong to."""
        state = {"rank": rank(), **GlobalStates.now().state_dict()}
        if self.device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self.device)
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore the states, on the rank that saved them. Python's and NumPy's stay as they are where none was saved.

        Raises:
            StateError: if an entry is missing, or not a random state. Nothing is changed then.
        """
        missing = [key for key in ("rank", "cpu") if key not in state_dict]
        if missing:
            raise StateError(f"state_dict lacks {missing}; it has {sorted(map(str, state_dict))}")
        if state_dict["rank"] != rank():
            return
        states = GlobalStates.read(state_dict)
        if self.device.type == "cuda" and "cuda" in state_dict:
            try:
                torch.cuda.set_rng_state(state_dict["cuda"].cpu(), self.device)
            except (AttributeError, RuntimeError, TypeError) as error:
                raise StateError(f"these are no saved random states: {error}") from error
        states.restore()
