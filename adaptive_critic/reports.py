"""Collects the reports of a round, one update after the other, into one StepOutput."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import torch

from adaptive_critic import state as saved
from adaptive_critic.checks import integer
from adaptive_critic.step_output import Scalar, StepOutputError

_KEYS = ("d_real", "d_fake", "d_loss", "d_real_std", "d_fake_std", "d_accuracy", "d_penalty")


class RoundReports:
    """Holds the scores and losses of a round's critic updates until the generator update ends it."""

    def __init__(self) -> None:
        self.critic_updates = 0
        """critic updates of the round so far"""
        self._entries: dict[str, list[Scalar]] = {}
        self._num_samples = 0

    def add(self, values: Mapping[str, Scalar | None], num_samples: int) -> None:
        """Add a critic update with these entries of a StepOutput, each () or None, and the real samples consumed.

        An entry may be left out from some update on, without gaps. A StepOutputError adds nothing.
        """
        given = _checked(values)
        for key in given:
            if len(self._entries.get(key, ())) != self.critic_updates:
                raise StepOutputError(
                    f"{key}=: critic update {self.critic_updates} of this round had no {key!r} and this one has, so "
                    "its position would be lost. Give it with every critic update, or with the first ones only"
                )
        self._num_samples += integer("num_samples", num_samples, at_least=0)
        for key, value in given.items():
            self._entries.setdefault(key, []).append(value)
        self.critic_updates += 1

    def merged(self, values: Mapping[str, Scalar | None], num_samples: int) -> dict[str, Any]:
        """Return the StepOutput of the round; given are the generator update's entries and further samples consumed."""
        output: dict[str, Any] = {**self._entries, **_checked(values)}
        samples = self._num_samples + integer("num_samples", num_samples, at_least=0)
        return {**output, "num_samples": samples} if samples > 0 else output

    def state_dict(self) -> dict[str, Any]:
        """Return the state: ints, floats and 0-d tensors."""
        entries = {key: list(values) for key, values in self._entries.items()}
        return {"critic_updates": self.critic_updates, "num_samples": self._num_samples, "entries": entries}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> RoundReports:
        """Return the reports with this state, or raise a StateError."""
        reports = cls()
        reports.critic_updates = saved.integer(state, "critic_updates")
        reports._num_samples = saved.integer(state, "num_samples")
        for key, values in saved.mapping(state, "entries").items():
            if key not in _KEYS:
                raise saved.StateError(f"state['entries'] has {key!r}: expected some of {', '.join(_KEYS)}")
            if not isinstance(values, (list, tuple)) or len(values) > reports.critic_updates:
                raise saved.StateError(
                    f"state['entries'][{key!r}]={values!r}: expected a list of at most {reports.critic_updates} numbers"
                )
            try:
                reports._entries[key] = [_scalar(key, value) for value in values]
            except StepOutputError as error:
                raise saved.StateError(f"state['entries']: {error}") from None
        return reports


def _checked(values: Mapping[str, Scalar | None]) -> dict[str, Scalar]:
    return {key: _scalar(key, value) for key, value in values.items() if value is not None}


def _scalar(key: str, value: Any) -> Scalar:
    """Return a copy of a scalar without its graph: the loop may write into the same tensor again."""
    if isinstance(value, torch.Tensor):
        if value.ndim == 0 and not value.is_complex():
            return value.detach().clone()
        raise StepOutputError(
            f"{key}=: expected a 0-d tensor or a float, got a tensor of shape {tuple(value.shape)}. "
            f"One number for the batch is meant, its mean: {key}=....mean()"
        )
    if isinstance(value, Real) and not isinstance(value, bool):
        return float(value)
    raise StepOutputError(f"{key}={value!r}: expected a 0-d tensor or a float, got {type(value).__name__}")
