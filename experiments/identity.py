"""The identity of a run: a hash of what was asked for and of the code that the answer depends on.

The code is a set of definitions: the top-level statements of ``adaptive_critic`` and ``experiments`` that the task, the
contender and the training loop refer to, directly or not. Each counts as its syntax tree and as what its names refer
to. Names and places of files do not count, so that a module can be renamed, moved, joined or split in two. Comments,
docstrings, layout and imports do not count either.

What cannot be seen: an object that code outside the definitions hands over, unless its class is one of the roots or is
named in an annotation; code that is found by a string; the contents of data files. What counts although it changes no
number: the name of a function, class or variable, and an annotation. A local variable that shares its name with a
definition of its module counts as a reference to it.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

from experiments.definitions import PACKAGES, Definition, find, parse, read

ARITHMETIC = ("torch", "numpy", "scipy", "pytorch-ignite")
"""Packages whose version may change the numbers."""


def identity(configuration: Mapping[str, Any], roots: Iterable[str]) -> str:
    """Return the identity of a run, 16 hexadecimal digits.

    Args:
        configuration: Plain values only; the order of its keys does not matter.
        roots: What the run starts from, each as "package.module:name".

    Raises:
        TypeError: The configuration holds something that JSON cannot express.
        ValueError: A root is not defined in this project.
    """
    content = {
        "configuration": configuration,
        "code": _code(tuple(roots)),
        "versions": _versions(),
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def dependencies(roots: Iterable[str]) -> set[str]:
    """Return what the roots depend on within this project, themselves included, each as "package.module.name"."""
    found = set()
    for module, place in _reached(roots):
        source = read(module)
        assert source is not None
        names = [name for name, places in source.binders.items() if place in places]
        found |= {f"{module}.{name}" for name in names or [f"<statement {place}>"]}
    return found


@functools.cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in ARITHMETIC}


@functools.cache
def _code(roots: tuple[str, ...]) -> tuple[list[list[str]], list[str]]:
    """What the run starts from, in this order, and all that it depends on."""
    starts = [sorted(map(_entry, _start(root))) for root in roots]
    return starts, sorted({_entry(definition) for definition in _reached(roots)})


@functools.cache
def _entry(definition: Definition) -> str:
    """Hash of a definition with what its names refer to."""
    own, uses = parse(definition)
    return _hash([own, *sorted({f"{name} {_text_hash(used)}" for name, used in uses})])


def _reached(roots: Iterable[str]) -> set[Definition]:
    found: set[Definition] = set()
    waiting = [definition for root in roots for definition in _start(root)]
    while waiting:
        definition = waiting.pop()
        source = read(definition.module)
        assert source is not None
        if definition.place is None:
            waiting += [Definition(definition.module, place) for place in range(len(source.statements))]
        elif definition not in found:
            found.add(definition)
            waiting += [Definition(definition.module, place) for place in source.always]
            waiting += [used for _, used in parse(definition)[1]]
    return found


def _start(root: str) -> set[Definition]:
    module, _, name = root.partition(":")
    found = find(module, name)
    if not found or any(definition.place is None for definition in found):
        raise ValueError(f"{root!r}: no definition of {' or '.join(PACKAGES)}; expected 'package.module:name'")
    return found


@functools.cache
def _text_hash(definition: Definition) -> str:
    if definition.place is not None:
        return _hash([parse(definition)[0]])
    source = read(definition.module)
    assert source is not None
    return _hash(sorted(parse(Definition(definition.module, place))[0] for place in range(len(source.statements))))


def _hash(texts: list[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()
