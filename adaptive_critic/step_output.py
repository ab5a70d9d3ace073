"""StepOutput, the dict that a training step returns, and readers of its entries that never wait for the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any, TypeAlias, TypedDict

import torch

Scalar: TypeAlias = "torch.Tensor | float"
"""a 0-d tensor or a float"""
Entries: TypeAlias = "torch.Tensor | Sequence[Scalar]"
"""one number for each critic update, shape (n,): a tensor, or a sequence of 0-d tensors or floats"""


class StepOutput(TypedDict, total=False):
    """Output of the training step of one iteration: n critic updates and one generator update.

    Scores are logits, higher means more real. Losses leave penalties out. With n = 0 the critic's entries are empty or
    absent. Each controller names the entries that it needs; the others are optional. Other keys are ignored.
    """

    d_real: Entries
    """(n,), mean critic score of the real batch, in each critic update before its step"""
    d_fake: Entries
    """(n,), mean critic score of the generated batch, in each critic update before its step"""
    d_loss: Entries
    """(n,), critic loss of each critic update: the sum of the real and the fake term"""
    g_loss: Scalar
    """(), generator loss after the critic updates and before the generator's step"""
    g_fake: Scalar
    """(), mean critic score of the generator's batch at that moment; with a Wasserstein objective it is -g_loss"""
    d_real_std: Entries
    """(n,), standard deviation of the real batch's scores"""
    d_fake_std: Entries
    """(n,), standard deviation of the generated batch's scores"""
    d_accuracy: Entries
    """(n,), share of both batches that the critic classifies correctly, in [0, 1]"""
    d_penalty: Entries
    """(n,), the penalty as it enters the critic's loss"""
    g_fake_accuracy: Scalar
    """(), share of the generator's batch that the critic calls fake, in [0, 1]"""
    num_samples: int
    """real samples of this iteration"""
    num_critic_updates: int
    """critic updates made, if a gradient scaler skipped some; absent: all that were asked for"""


class StepOutputError(ValueError):
    """The training step's output lacks what a controller needs. The message says what it has and what would do."""


def _describe(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}{' of complex numbers' if value.is_complex() else ''}"
    if type(value).__name__ == "ndarray":
        return f"{value!r} (a NumPy array; torch.as_tensor(...) makes a tensor of it)"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"a {type(value).__name__} of length {len(value)}"
    return f"{value!r} ({type(value).__name__})"


def require(output: Any, *keys: str) -> None:
    """Check that an output has all of these entries; ``-g_loss`` stands for ``g_fake``.

    Raises:
        StepOutputError: if the output is not a dict, or lacks some of them. The message names all that it lacks.
    """
    absent: Sequence[str] = keys
    if isinstance(output, (dict, Mapping)):  # a check for dict is much faster than for Mapping
        absent = [key for key in keys if key not in output and not (key == "g_fake" and "g_loss" in output)]
    if absent:
        raise StepOutputError(_lacking(output, absent))


def _lacking(output: Any, keys: Sequence[str]) -> str:
    named = " and ".join(filter(None, (", ".join(map(repr, keys[:-1])), repr(keys[-1]))))
    adapts = "(output_transform= adapts other outputs)"
    if isinstance(output, Mapping):
        return f"the training step's output has no {named}; it has {sorted(map(str, output))} {adapts}"
    what = "None; does the training step return its output?" if output is None else _describe(output)
    return f"the training step must return a dict with the key{'s' * (len(keys) > 1)} {named}, got {what} {adapts}"


def _lookup(output: Any, key: str) -> Any:
    if isinstance(output, (dict, Mapping)):
        try:
            return output[key]
        except KeyError:
            pass
    raise StepOutputError(_lacking(output, [key]))


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)  # NumPy's scalars are Real, too


def _as_scalar(value: Any, key: str) -> Scalar:
    if isinstance(value, torch.Tensor):
        if value.ndim == 0 and not value.is_complex():
            return value
    elif _is_number(value):
        return float(value)
    mean = ": give its mean, .mean()" if isinstance(value, torch.Tensor) and value.ndim > 0 else ""
    raise StepOutputError(f"{key!r} must be a 0-d tensor or a float, got {_describe(value)}{mean}")


def scalar(output: Any, key: str) -> Scalar:
    """Return a () entry.

    Raises:
        StepOutputError: if the output is not a dict, lacks the key, or the entry is not a 0-d tensor or a number.
    """
    return _as_scalar(_lookup(output, key), key)


def _is_scalar(value: Any) -> bool:
    return value.ndim == 0 if isinstance(value, torch.Tensor) else _is_number(value)


def tensor_entry(value: Any, index: int) -> torch.Tensor | None:
    """Return an entry that is a 0-d tensor, the frequent case; None for all that need a closer look."""
    if isinstance(value, (torch.Tensor, tuple, list)):
        try:
            entry = value[index]
        except IndexError:  # a 0-d tensor, or nothing in it
            return None
        if isinstance(entry, torch.Tensor) and entry.ndim == 0 and not entry.is_complex():
            return entry
    return None


def _entry(value: Any, key: str, index: int) -> Scalar:
    if isinstance(value, torch.Tensor):
        if value.ndim == 1 and value.shape[0] > 0 and not value.is_complex():
            return value[index]
    elif isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 0:
        return _as_scalar(value[index], f"{key}[{index}]")
    raise StepOutputError(
        f"{key!r} must hold one entry for each critic update, shape (n,), as a tensor or a sequence of 0-d tensors; "
        f"got {_describe(value)}"
    )


def first(output: Any, key: str) -> Scalar:
    """Return the entry of the first critic update from an (n,) entry with n >= 1.

    Raises:
        StepOutputError: if the output is not a dict, lacks the key, or the entry is a plain scalar or of another shape.
    """
    value = _lookup(output, key)
    entry = tensor_entry(value, 0)
    if entry is not None:
        return entry
    if _is_scalar(value):
        raise StepOutputError(
            f"{key!r} must hold one entry for each critic update, got one number, {_describe(value)}. This rule needs "
            "the first critic update's entry: collect the values in the loop over critic updates, "
            f"values.append(value.detach()), and return {{{key!r}: values, ...}}"
        )
    return _entry(value, key, 0)


def last(output: Any, key: str) -> Scalar:
    """Return the entry of the last critic update; a plain scalar counts as that.

    Raises:
        StepOutputError: if the output is not a dict, lacks the key, or the entry has another shape.
    """
    value = _lookup(output, key)
    entry = tensor_entry(value, -1)
    if entry is not None:
        return entry
    if _is_scalar(value):
        return _as_scalar(value, key)
    return _entry(value, key, -1)


def lacks_g_fake(output: Any) -> bool:
    """Return whether g_fake is absent and g_loss is there to replace it."""
    return isinstance(output, (dict, Mapping)) and "g_fake" not in output and "g_loss" in output


def generated_score(output: Any) -> Scalar:
    """Return g_fake, or -g_loss, which it equals under a Wasserstein objective.

    Raises:
        StepOutputError: if the output has neither, or it is not a number.
    """
    return -scalar(output, "g_loss") if lacks_g_fake(output) else scalar(output, "g_fake")


def gap_scores(output: Any) -> tuple[Scalar, Scalar, Scalar]:
    """Return d_real and d_fake of the first critic update, and g_fake, or -g_loss in its place.

    Raises:
        StepOutputError: if the output lacks some of them (the message names all), or one has another shape.
    """
    if isinstance(output, dict):  # the frequent case, in every iteration: all of them are tensors
        g_fake: Any = output.get("g_fake")
        try:
            d_real, d_fake = output.get("d_real", ())[0], output.get("d_fake", ())[0]
        except (IndexError, KeyError, TypeError):
            d_real = d_fake = None
        for score in (d_real, d_fake, g_fake):
            if not isinstance(score, torch.Tensor) or score.ndim > 0 or score.is_complex():
                break
        else:
            return d_real, d_fake, g_fake
    require(output, "d_real", "d_fake", "g_fake")
    return first(output, "d_real"), first(output, "d_fake"), generated_score(output)


def counts(output: Any, asked: int) -> tuple[int, int]:
    """Return the entries ``num_critic_updates``, ``asked`` if the output has none, and ``num_samples``, else 0.

    Raises:
        StepOutputError: if one is not an int of at least 0.
    """
    if not isinstance(output, (dict, Mapping)):
        return asked, 0
    made, samples = output.get("num_critic_updates", asked), output.get("num_samples", 0)
    if type(made) is int and type(samples) is int and made >= 0 and samples >= 0:  # the frequent case
        return made, samples
    return _count(made, "num_critic_updates"), _count(samples, "num_samples")


def _count(count: Any, key: str) -> int:
    if isinstance(count, bool) or not isinstance(count, (int, Integral)) or count < 0:
        raise StepOutputError(f"{key!r} must be an int of at least 0, got {count!r} ({type(count).__name__})")
    return int(count)


def kept(value: Scalar) -> Scalar:
    """Return a copy: steps may write into the same buffer in every iteration."""
    return value.detach().clone() if isinstance(value, torch.Tensor) else value
