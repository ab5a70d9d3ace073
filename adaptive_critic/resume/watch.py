"""Finds the objects with a state that a training step and its handlers use, and every entry of a state."""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections import deque
from collections.abc import Iterator, Mapping
from logging import Logger
from types import CodeType, ModuleType
from typing import Any

import torch
from ignite.engine import Engine
from ignite.handlers import Checkpoint
from ignite.metrics import Metric

from adaptive_critic.random_state import RandomState
from adaptive_critic.resume.recipe import GeneratorState
from adaptive_critic.training.ema import unwrapped

# The global names that functions of these packages refer to do not belong to the training.
_LIBRARIES = ("torch", "ignite", "numpy", "adaptive_critic")
_DEEPEST = 6
_MOST_ITEMS = 100
# Attributes that Ignite computes anew on a resume, the length of a run, and objects compared as a whole.
_NOT_COMPARED = ("epoch", "epoch_length", "max_epochs", "max_iters", "seed", "batch", "output")
# Ignite resets running metrics on a resume. If a controller reads one, the controller's state shows it.
_NOT_WATCHED = (Engine, Metric, RandomState, Logger, ModuleType, type, torch.Tensor, str, bytes, int, float)


def entries(state: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path and a text of every entry of nested dicts and sequences. The text shows all bits, type and shape.

    Example:
        >>> dict(entries({"a": [1, 2.5], "b": torch.tensor([1.0])}))
        {'a.0': '1', 'a.1': '2.5', 'b': 'float32 (1,) 1.0'}
    """
    if isinstance(state, Mapping):
        for key, value in state.items():
            yield from entries(value, f"{path}.{key}" if path else str(key))
    elif isinstance(state, (list, tuple)):
        if not state:
            yield path, "empty"
        for index, value in enumerate(state):
            yield from entries(value, f"{path}.{index}" if path else str(index))
    elif isinstance(state, torch.Tensor):
        yield path, _tensor(state)
    elif hasattr(state, "__array__") and not isinstance(state, (int, float)):
        yield path, _tensor(torch.as_tensor(state))
    elif state is None or isinstance(state, (bool, int, float, str)):
        yield path, repr(state)
    else:
        yield path, type(state).__name__  # nothing to compare two builds by


def _tensor(tensor: torch.Tensor) -> str:
    values = tensor.detach().cpu().contiguous()
    kind = f"{str(values.dtype).removeprefix('torch.')} {tuple(values.shape)}"
    if values.numel() == 1:
        return f"{kind} {values.item()!r}"
    raw = values.flatten().view(torch.uint8).numpy().tobytes()
    return f"{kind} #{hashlib.blake2b(raw, digest_size=6).hexdigest()}"


def numbers(engine: Engine) -> Iterator[tuple[str, str]]:
    """Yield name and text of the numbers on ``engine.state``, the critic updates among them."""
    for name, value in vars(engine.state).items():
        if isinstance(value, (int, float)) and name not in _NOT_COMPARED:
            yield name, repr(value)


def stateful_objects(trainer: Engine, to_save: Mapping[str, Any]) -> dict[str, Any]:
    """Return the objects behind the trainer's step and handlers, then ``to_save`` without trainer and random states.

    Found are modules, optimizers, generators and everything that has ``state_dict`` and ``load_state_dict``, in
    closures, attributes, arguments, containers and the global names that a function uses, by their names there.
    """
    listed = {name: item for name, item in to_save.items() if not isinstance(item, (Engine, RandomState))}
    found: dict[str, Any] = {}
    seen = {id(_inner(item)) for item in listed.values()}
    kept: list[Any] = []  # living objects can't share an id
    waiting: deque[tuple[str, Any, int]] = deque([("", trainer._process_function, 0)])
    for handlers in trainer._event_handlers.values():
        waiting.extend(("", handler, 0) for handler in handlers)
    while waiting:
        name, item, depth = waiting.popleft()
        item = _inner(item)
        if id(item) in seen or isinstance(item, _NOT_WATCHED) or depth > _DEEPEST:
            continue
        seen.add(id(item))
        kept.append(item)
        if _has_state(item):
            name = name or type(item).__name__
            while name in found or name in listed:
                name = f"another {name}"
            found[name] = GeneratorState(item) if isinstance(item, torch.Generator) else item
        else:
            waiting.extend((key or name, value, depth + 1) for key, value in _parts(item))
    # Those not listed come first: they are why the listed ones differ.
    return found | listed


def _inner(item: Any) -> Any:
    if isinstance(item, torch.nn.Module):
        return unwrapped(item)
    return item.generator if isinstance(item, GeneratorState) else item


def _has_state(item: Any) -> bool:
    methods = all(callable(getattr(item, method, None)) for method in ("state_dict", "load_state_dict"))
    return isinstance(item, torch.Generator) or (methods and not isinstance(item, Checkpoint))


def _parts(item: Any) -> Iterator[tuple[str, Any]]:
    """Yield the objects that ``item`` refers to, each with its name there. "" means that of ``item``."""
    if isinstance(item, functools.partial):
        yield from (("", item.func), *(("", value) for value in item.args), *item.keywords.items())
    elif inspect.ismethod(item):
        yield from (("", item.__self__), ("", item.__func__))
    elif inspect.isfunction(item):
        for name, cell in zip(item.__code__.co_freevars, item.__closure__ or (), strict=True):
            try:
                yield name, cell.cell_contents
            except ValueError:  # not filled yet
                continue
        yield from (("", value) for value in item.__defaults__ or ())
        yield from (item.__kwdefaults__ or {}).items()
        if (item.__module__ or "").partition(".")[0] not in _LIBRARIES:
            used = _global_names(item.__code__)
            yield from ((name, value) for name, value in item.__globals__.items() if name in used)
    elif isinstance(item, Mapping):
        if len(item) <= _MOST_ITEMS:
            yield from ((str(key), value) for key, value in item.items())
    elif isinstance(item, (list, tuple, set, frozenset)):
        if len(item) <= _MOST_ITEMS:
            yield from (("", value) for value in item)
    elif hasattr(item, "__dict__"):
        yield from vars(item).items()


def _global_names(code: CodeType) -> set[str]:
    """Return the names that a function and the functions within it look up."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _global_names(constant)
    return names
