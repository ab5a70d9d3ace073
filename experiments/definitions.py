"""The top-level statements of this project's modules, and what their names refer to."""

from __future__ import annotations

import ast
import copy
import functools
import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

PACKAGES: tuple[str, ...] = ("adaptive_critic", "experiments")
# How a result is written down does not change what it says.
LEFT_OUT = "experiments.schema"


class Definition(NamedTuple):
    """A top-level statement by its place in a module; the whole module where ``place`` is None."""

    module: str
    place: int | None


@dataclass(frozen=True)
class Source:
    """A module of this project as it is written.

    Attributes:
        statements: at top level.
        binders: places of the statements that bind a name.
        imports: what a name is imported as, at any depth: (module, name), or (module, None) for the module itself.
        always: places of the statements that act when the module is imported, whatever is used of it.
    """

    statements: tuple[ast.stmt, ...]
    binders: Mapping[str, tuple[int, ...]]
    imports: Mapping[str, tuple[tuple[str, str | None], ...]]
    always: tuple[int, ...]


@functools.cache
def read(module: str) -> Source | None:
    """Read a module of this project; None for everything else, and for what is left out."""
    if not _is_ours(module):
        return None
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return None
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin)
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    statements = tuple(node for node in tree.body if not _is_left_aside(node))
    binders: dict[str, tuple[int, ...]] = {}
    imports: dict[str, tuple[tuple[str, str | None], ...]] = {}
    for node in _running_nodes(tree):
        for name, imported in _imports(node, package):
            imports[name] = (*imports.get(name, ()), imported)
    for place, statement in enumerate(statements):
        for name in set(_bound(statement)):
            binders[name] = (*binders.get(name, ()), place)
    own = {*binders, *(name for name, found in imports.items() if any(_is_ours(source) for source, _ in found))}
    always = tuple(
        place
        for place, statement in enumerate(statements)
        if not isinstance(statement, (ast.Assign, ast.AnnAssign, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        or not any(_bound(statement))
        or _is_registered(statement, own)
    )
    return Source(statements, binders, imports, always)


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in PACKAGES and not f"{module}.".startswith(f"{LEFT_OUT}.")


def _is_left_aside(statement: ast.stmt) -> bool:
    """Whether a top-level statement is text, an import, for a type checker or for the command line alone."""
    is_command = isinstance(statement, ast.If) and "__main__" in ast.unparse(statement.test)
    is_import = isinstance(statement, (ast.Import, ast.ImportFrom))
    return is_import or is_command or _is_text(statement) or _is_for_types(statement)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def _is_registered(statement: ast.stmt, own: set[str]) -> bool:
    """Whether a definition is handed to something of this project by its decorator."""
    decorators = getattr(statement, "decorator_list", [])
    return any(isinstance(node, ast.Name) and node.id in own for d in decorators for node in ast.walk(d))


def _bound(statement: ast.AST) -> Iterator[str]:
    """Names that a statement binds in the scope that it is in."""
    if isinstance(statement, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        yield statement.name
        return
    if isinstance(statement, ast.comprehension):
        return
    if isinstance(statement, ast.Name) and isinstance(statement.ctx, ast.Store):
        yield statement.id
    for child in ast.iter_child_nodes(statement):
        yield from _bound(child)


def _running_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only a type checker sees."""
    for child in ast.iter_child_nodes(node):
        if not _is_for_types(child):
            yield child
            yield from _running_nodes(child)


def _imports(node: ast.AST, package: str) -> Iterator[tuple[str, tuple[str, str | None]]]:
    """Names that a node imports, with the module and the name there."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            top = alias.name.partition(".")[0]
            yield (alias.asname, (alias.name, None)) if alias.asname else (top, (top, None))
    elif isinstance(node, ast.ImportFrom):
        target = node.module or ""
        if node.level:
            base = package.rsplit(".", node.level - 1)[0]
            target = f"{base}.{target}" if target else base
        for alias in node.names:
            yield alias.asname or alias.name, (target, alias.name)


def find(module: str, name: str) -> set[Definition]:
    """Return what a name of a module refers to, followed through imports; empty for what is not of this project."""
    source = read(module)
    if source is None:
        return set()
    found = {Definition(module, place) for place in source.binders.get(name, ())}
    for imported, attribute in source.imports.get(name, ()):
        if attribute is None:
            found |= {Definition(imported, None)} if read(imported) else set()
        elif (imported, attribute) != (module, name):  # a package imports its own module
            found |= find(imported, attribute)
    if not found and read(f"{module}.{name}"):
        found = {Definition(f"{module}.{name}", None)}
    return found


class _Normalised(ast.NodeTransformer):
    """Strips a statement of what does not count, and collects the definitions that its names refer to.

    ``module.name`` becomes ``name``: it does not matter which of the two was imported.
    """

    def __init__(self, module: str) -> None:
        self.module = module
        self.uses: set[tuple[str, Definition]] = set()

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, (ast.Import, ast.ImportFrom)) or _is_for_types(node):
            return None
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and _is_text(node.body[0]):
            node.body = node.body[1:]
        return super().visit(node)

    def visit_Name(self, node: ast.Name) -> ast.Name:
        found = find(self.module, node.id)
        if any(used.place is None for used in found):
            node.id = "module"
        self.uses |= {(node.id, used) for used in found}
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        owner = self._module_of(node.value)
        if owner is None:
            return self.generic_visit(node)
        name = ast.Name(node.attr, node.ctx)
        self.uses |= {(node.attr, used) for used in find(owner, node.attr)}
        return name

    def _module_of(self, node: ast.expr) -> str | None:
        """The module of this project that an expression names."""
        owner: str | None = self.module
        if isinstance(node, ast.Attribute):
            owner, name = self._module_of(node.value), node.attr
        elif isinstance(node, ast.Name):
            name = node.id
        else:
            return None
        found = find(owner, name) if owner is not None else set()
        return next((used.module for used in found if used.place is None), None)


@functools.cache
def parse(definition: Definition) -> tuple[str, frozenset[tuple[str, Definition]]]:
    """Return the text of a statement without what does not count, and the definitions that its names refer to."""
    source = read(definition.module)
    assert source is not None
    assert definition.place is not None
    normalised = _Normalised(definition.module)
    statement = normalised.visit(copy.deepcopy(source.statements[definition.place]))
    return ast.unparse(statement), frozenset(normalised.uses)
