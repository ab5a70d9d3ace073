"""The identity of a run: a hash of what was asked for and of the code that the answer depends on.

A run depends on the modules that its task, its contender and the training loop import, directly or not, within
``adaptive_critic`` and ``experiments``. A name that a package merely passes on (``from adaptive_critic import
FixedController``) is followed to the module that defines it, so that a change of one controller leaves the results of
the others valid. Comments, docstrings and layout do not count: the hash is over the syntax tree.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import json
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("adaptive_critic", "experiments")
# How a result is written down does not change what it says.
LEFT_OUT = ("experiments.schema",)
ARITHMETIC = ("torch", "numpy", "scipy", "pytorch-ignite")
"""Packages whose version may change the numbers."""


def identity(configuration: Mapping[str, Any], roots: Iterable[str]) -> str:
    """Return the identity of a run, 16 hexadecimal digits.

    Args:
        configuration: Plain values only; the order of its keys does not matter.
        roots: What the run starts from, as "package.module" or "package.module:name".

    Raises:
        TypeError: The configuration holds something that JSON cannot express.
        ValueError: A root is no module of this project.
    """
    content = {
        "configuration": configuration,
        "code": {name: _code_hash(path) for name, path in sorted(dependencies(roots).items())},
        "versions": {name: version(name) for name in ARITHMETIC},
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def dependencies(roots: Iterable[str]) -> dict[str, Path]:
    """Return the files that modules depend on within this project, by module name, the modules themselves included."""
    found: dict[str, Path] = {}
    waiting: list[str] = []
    for root in roots:
        module, _, name = root.partition(":")
        if _path(module) is None:
            raise ValueError(f"{root!r}: no module of {' or '.join(PACKAGES)}")
        waiting += _definers(module, [name] if name else [])
    while waiting:
        module = waiting.pop()
        path = _path(module)
        if path is None or module in found or _is_left_out(module):
            continue
        found[module] = path
        for imported, names in _imports(module):
            waiting += _definers(imported, names)
    return found


def _is_left_out(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in LEFT_OUT)


@functools.cache
def _path(module: str) -> Path | None:
    """The source file of a module of this project; None for everything else."""
    if module.partition(".")[0] not in PACKAGES:
        return None
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return None
    return Path(spec.origin) if spec is not None and spec.origin is not None else None


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@functools.cache
def _code_hash(path: Path) -> str:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.body:
            head = node.body[0]
            if isinstance(head, ast.Expr) and isinstance(head.value, ast.Constant):
                node.body = node.body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _definers(module: str, names: list[str]) -> list[str]:
    """The modules that define ``names`` of ``module``; the module itself where it defines one or none is asked for."""
    path = _path(module)
    if path is None or path.name != "__init__.py" or not names:
        return [module]
    passed_on = {name: source for source, bound in _imports(module) for name in bound}
    definers: list[str] = []
    for name in names:
        if _path(f"{module}.{name}") is not None:
            definers.append(f"{module}.{name}")
        elif name in passed_on:
            definers += _definers(passed_on[name], [name])
        else:
            definers.append(module)
    return definers


@functools.cache
def _imports(module: str) -> tuple[tuple[str, list[str]], ...]:
    """What a module imports from this project, at any depth: (module, names), no names for a plain import."""
    path = _path(module)
    assert path is not None
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: list[tuple[str, list[str]]] = []
    for node in _running_nodes(_tree(path)):
        if isinstance(node, ast.Import):
            found += [(alias.name, []) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            target = node.module or ""
            if node.level:
                base = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
                target = f"{base}.{target}" if target else base
            found.append((target, [alias.name for alias in node.names]))
    return tuple((target, names) for target, names in found if target.partition(".")[0] in PACKAGES)


def _running_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only a type checker sees."""
    for child in ast.iter_child_nodes(node):
        yield child
        is_for_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
        if not is_for_types:
            yield from _running_nodes(child)
