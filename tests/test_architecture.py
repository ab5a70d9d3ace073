"""Least privilege decides where a thing goes: this reads the imports of the package and holds that.

Arithmetic on floats is a law. Needing a tensor makes it a signal. Needing an Engine puts it in the controller.
Needing a data set or a plot makes it an experiment.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "adaptive_critic"


class Row(NamedTuple):
    """What one module, or the modules of one folder, may import beside the standard library."""

    others: set[str]
    own: set[str]


# The longest name that fits a module decides. "controller" covers controller.py, "laws" covers laws/ and all in it.
# The rows are in the order of the floors, lowest first: a row may import its own folder and what stands before it.
TABLE = {
    # Plain arithmetic and checks: testable with floats, without torch.
    "checks": Row(set(), set()),
    "rounding": Row(set(), set()),
    "state": Row(set(), {"checks"}),
    "objective_names": Row(set(), set()),
    "laws": Row(set(), {"checks", "laws", "objective_names"}),
    # Tensors, without an engine.
    "step_output": Row({"torch"}, set()),
    "rows": Row({"torch"}, {"step_output"}),
    "exchange": Row({"torch"}, {"step_output"}),
    "signals": Row({"torch"}, {"signals", "step_output"}),
    "lengths": Row({"torch"}, set()),
    "output_warnings": Row({"torch"}, {"lengths", "signals", "step_output"}),
    # What ranks say to each other.
    "distributed": Row({"torch", "ignite"}, {"exchange"}),
    "random_state": Row({"torch", "numpy"}, {"distributed", "state"}),
    "loader_order": Row({"torch"}, {"checks", "random_state", "state"}),
    "data": Row({"torch"}, {"loader_order"}),
    "rate": Row({"torch"}, {"checks"}),
    # What is decided, without an engine.
    "decision": Row(
        set(), {"checks", "decision", "exchange", "laws", "output_warnings", "rounding", "signals", "state"}
    ),
    "decision.window": Row({"torch"}, {"decision.saved", "exchange", "rows", "signals", "step_output"}),
    # Engines.
    "events": Row({"ignite"}, set()),
    "handler": Row({"ignite"}, {"checks", "events"}),
    "budget": Row({"ignite"}, {"checks", "handler", "state"}),
    "metrics": Row({"torch", "ignite"}, {"checks", "output_warnings", "step_output"}),
    "history": Row({"ignite", "matplotlib"}, {"checks", "handler", "state"}),
    "guard.evidence": Row(set(), set()),
    "guard.limits": Row(set(), set()),
    "guard.rules": Row(set(), {"guard.evidence", "guard.limits"}),
    "guard.divergence": Row(set(), {"checks", "guard.evidence", "guard.limits", "guard.rules", "state"}),
    "guard": Row(
        {"torch", "ignite"},
        {"checks", "distributed", "events", "exchange", "guard", "handler", "rows", "state", "step_output"},
    ),
    "run_summary": Row(set(), {"state"}),
    "alternation": Row(set(), {"decision", "lengths", "run_summary", "state", "step_output"}),
    "published": Row({"ignite"}, {"alternation", "events", "handler"}),
    "controller": Row(
        {"ignite"},
        {
            *("alternation", "checks", "decision", "distributed", "events", "exchange", "guard", "handler"),
            *("published", "state", "step_output"),
        },
    ),
    "handlers": Row(
        {"ignite", "matplotlib", "torch.optim", "typing_extensions"},
        {"checks", "controller", "decision", "handlers", "laws", "objective_names", "rate", "signals"},
    ),
    "reports": Row({"torch"}, {"checks", "state", "step_output"}),
    "rounds": Row({"ignite"}, {"checks", "controller", "reports", "state", "step_output"}),
    "audit": Row({"torch"}, {"audit", "checks", "controller", "rounds"}),
    "adapters": Row({"ignite"}, {"adapters", "checks", "rounds"}),
    "training": Row(
        {"torch", "ignite"},
        {
            *("checks", "data", "distributed", "handler", "objective_names", "random_state", "state", "step_output"),
            "training",
        },
    ),
    "resume": Row({"torch", "ignite"}, {"checks", "distributed", "random_state", "resume", "state", "training"}),
    # Public names, nothing else.
    "__init__": Row(
        set(),
        {
            *("adapters", "audit", "budget", "data", "events", "guard", "handlers", "history"),
            *("metrics", "resume", "rounds", "state", "step_output", "training"),
        },
    ),
}

# Slow to import, or not installed with the package: allowed to those above that name them, and only inside functions.
LAZY = {"matplotlib"}
# Modules that talk to other ranks. adaptive_critic.distributed alone may, so that collectives can be counted there.
COLLECTIVES = ("torch.distributed", "ignite.distributed")
# Reads that wait for the device. A signal stays there; the controller reads once per decision.
HOST_READS = {"item", "tolist", "numpy", "cpu"}


class Import(NamedTuple):
    """One imported module, by its full name."""

    name: str
    line: int
    in_function: bool
    for_types_only: bool


def _module_names() -> dict[str, Path]:
    """Return name relative to the package -> file; a folder stands for its __init__.py."""
    names = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT / PACKAGE).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path
    return names


MODULES = _module_names()


def _is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def _imports(node: ast.AST, package: str, in_function: bool = False, for_types: bool = False) -> Iterator[Import]:
    """Yield all imports below a node. ``package`` is what a leading dot means there."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, in_function, for_types)
        elif isinstance(child, ast.ImportFrom):
            base = child.module or ""
            if child.level:
                parents = package.split(".")
                base = ".".join([*parents[: len(parents) - child.level + 1], *filter(None, [base])])
            for alias in child.names:
                yield Import(f"{base}.{alias.name}", child.lineno, in_function, for_types)
        elif isinstance(child, ast.If) and _is_type_checking(child.test):
            for statement in child.body:
                yield from _imports(ast.Module([statement], []), package, in_function, True)
            for statement in child.orelse:
                yield from _imports(ast.Module([statement], []), package, in_function, for_types)
        else:
            function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            yield from _imports(child, package, in_function or function, for_types)


def _within(name: str, prefixes: set[str] | tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def _row(module: str) -> Row | None:
    fitting = [name for name in TABLE if _within(module, {name})]
    return TABLE[max(fitting, key=len)] if fitting else None


def _own_module(name: str) -> str:
    """Return which module of the package a full name refers to: ``a.b.Name`` is a thing in ``a.b``."""
    inner = name.removeprefix(f"{PACKAGE}.").removeprefix(PACKAGE)
    while inner and inner not in MODULES:
        inner = inner.rpartition(".")[0]
    return inner or "__init__"


def violations(module: str, source: str, is_folder: bool = False) -> list[str]:
    """Return what a module of the package imports or uses against the table, a line each."""
    row = _row(module)
    if row is None:
        return [f"{module}: not in the table of tests/test_architecture.py; say there what it may import"]
    tree = ast.parse(source)
    inner = "" if module == "__init__" else module if is_folder else module.rpartition(".")[0]
    found = []
    for item in _imports(tree, f"{PACKAGE}.{inner}".rstrip(".")):
        where, root = f"{module}, line {item.line}", item.name.partition(".")[0]
        if root == PACKAGE:
            target = _own_module(item.name)
            if not item.for_types_only and not _within(target, row.own):
                found.append(f"{where}: {PACKAGE}.{target} is not for it, only {sorted(row.own) or 'no other module'}")
        elif root not in sys.stdlib_module_names:
            if not _within(item.name, row.others) and not (item.for_types_only and root == "typing_extensions"):
                found.append(f"{where}: {item.name} is not for it, only the standard library and {sorted(row.others)}")
            if root in LAZY and not item.in_function and not item.for_types_only:
                found.append(f"{where}: {root} is imported inside the function that needs it")
        if _within(item.name, COLLECTIVES) and module != "distributed":
            found.append(f"{where}: {item.name} belongs to {PACKAGE}.distributed alone")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            where = f"{module}, line {node.lineno}"
            if ast.unparse(node) in COLLECTIVES and module != "distributed":
                found.append(f"{where}: {ast.unparse(node)} belongs to {PACKAGE}.distributed alone")
            if node.attr in HOST_READS and _within(module, {"signals"}):
                found.append(f"{where}: .{node.attr} waits for the device; a signal returns tensors")
        elif isinstance(node, ast.Name) and node.id in {"__import__", "import_module"}:
            found.append(f"{module}, line {node.lineno}: {node.id} hides what is imported")
    return found


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_only_what_its_layer_may(module: str) -> None:
    path = MODULES[module]
    found = violations(module, path.read_text(encoding="utf-8"), path.name == "__init__.py")
    assert not found, "\n".join(found)


@pytest.mark.parametrize("row", TABLE)
def test_every_row_of_the_table_is_a_module(row: str) -> None:
    assert row in MODULES, f"{row} is in the table but not in the package: remove the row, or mend its name"


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("laws.new", "import torch", "torch is not for it"),
        ("laws.new", "from torch import Tensor", "torch.Tensor is not for it"),
        ("laws.new", "import numpy as np", "numpy is not for it"),
        ("laws.new", "def f():\n    import torch", "torch is not for it"),
        ("laws.new", "from adaptive_critic.signals import Signal", "adaptive_critic.signals is not for it"),
        ("laws.new", "from ..controller import Controller", "adaptive_critic.controller is not for it"),
        ("laws.new", "from adaptive_critic import FixedController", "adaptive_critic.__init__ is not for it"),
        ("laws.new", "import adaptive_critic", "adaptive_critic.__init__ is not for it"),
        ("rounding", "from adaptive_critic.laws import Schedule", "adaptive_critic.laws is not for it"),
        ("guard.rules", "import torch", "torch is not for it"),
        ("signals.new", "from ignite.engine import Engine", "ignite.engine.Engine is not for it"),
        ("signals.new", "def f(x):\n    return x.item()", ".item waits for the device"),
        ("data", "from ignite.engine import Engine", "ignite.engine.Engine is not for it"),
        ("training.step", "from torch import distributed", "torch.distributed belongs to"),
        ("training.step", "import torch\nx = torch.distributed.get_rank()", "torch.distributed belongs to"),
        ("training.step", "from torch.distributed import all_reduce", "torch.distributed.all_reduce belongs to"),
        ("guard.handler", "import ignite.distributed as idist", "ignite.distributed belongs to"),
        ("handlers.base", "import matplotlib.pyplot as plt", "inside the function"),
        ("handlers.base", "if True:\n    import matplotlib", "inside the function"),
        ("decision.feedback", "from ignite.engine import Engine", "ignite.engine.Engine is not for it"),
        ("metrics", "from scipy.stats import energy_distance", "scipy.stats.energy_distance is not for it"),
        ("handlers.new", "from experiments.tasks import ring", "experiments.tasks.ring is not for it"),
        ("handlers.new", "def f():\n    import tests.conftest", "tests.conftest is not for it"),
        ("controller", "x = __import__('torch')", "__import__ hides"),
        ("nowhere", "", "not in the table"),
    ],
)
def test_a_wrong_import_is_found(module: str, source: str, complaint: str) -> None:
    found = violations(module, source)
    assert len(found) >= 1
    assert complaint in "\n".join(found)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("laws.new", "import math\nfrom adaptive_critic.laws.base import Observation"),
        ("laws", "from .base import Observation"),
        ("signals.new", "from torch.utils.data.distributed import DistributedSampler"),
        ("handlers.base", "def plot():\n    import matplotlib.pyplot as plt"),
        ("events", "if TYPE_CHECKING:\n    from adaptive_critic.controller import Controller"),
        ("distributed", "import ignite.distributed as idist"),
    ],
)
def test_a_right_import_is_not(module: str, source: str) -> None:
    assert violations(module, source, is_folder=module == "laws") == []


def _row_name(module: str) -> str:
    return max((name for name in TABLE if _within(module, {name})), key=len)


def test_imports_run_down_the_house() -> None:
    """The table is in the order of the floors: a row may import its own folder, and what stands before it."""
    floors = {name: floor for floor, name in enumerate(TABLE)}
    upward = [
        f"{name} may import {other}, which stands above it"
        for name, row in TABLE.items()
        for other in row.own
        if other.partition(".")[0] != name.partition(".")[0] and floors[other] > floors[name]
    ]
    assert not upward, "\n".join(upward)


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {
        module: {
            _own_module(item.name)
            for item in _imports(ast.parse(path.read_text(encoding="utf-8")), _package_of(module, path))
            if item.name.partition(".")[0] == PACKAGE
        }
        - {module}
        for module, path in MODULES.items()
    }
    while leaves := {module for module, wanted in graph.items() if not wanted & set(graph)}:
        graph = {module: wanted for module, wanted in graph.items() if module not in leaves}
    # A folder's __init__ passes on what its files define; the files never import it.
    assert not graph, f"in a circle, or above one: {sorted(graph)}"


def _package_of(module: str, path: Path) -> str:
    inner = "" if module == "__init__" else module if path.name == "__init__.py" else module.rpartition(".")[0]
    return f"{PACKAGE}.{inner}".rstrip(".")


# One decision, from an output to a number: to be read in one sitting, without opening Ignite.
ONE_DECISION = ("decision.feedback", "decision.window", "signals.gap", "laws.gap", "rounding")


def _needed(module: str) -> set[str]:
    """Return the module and all modules of the package that it imports, directly or not."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
            own = (i.name for i in _imports(tree, _package_of(name, MODULES[name])) if i.name.startswith(PACKAGE))
            waiting += map(_own_module, own)
    return found


@pytest.mark.parametrize("module", ONE_DECISION)
def test_a_decision_knows_no_engine(module: str) -> None:
    """Nor does anything that it imports, through however many modules."""
    knowing = {
        name
        for name in _needed(module)
        for item in _imports(ast.parse(MODULES[name].read_text(encoding="utf-8")), PACKAGE)
        if _within(item.name, {"ignite"})
    }
    assert not knowing


def test_what_a_module_needs_is_found_through_others() -> None:
    assert {"decision.window", "exchange", "step_output", "state", "checks"} <= _needed("decision.feedback")
    assert "distributed" in _needed("controller")


def test_a_decision_is_read_in_one_sitting() -> None:
    lines = sum(len(MODULES[name].read_text(encoding="utf-8").splitlines()) for name in ONE_DECISION)
    assert lines <= 600


def test_no_room_is_crowded() -> None:
    crowded = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in MODULES.items()}
    assert {name: lines for name, lines in crowded.items() if lines > 300} == {}


def test_init_holds_public_names_and_nothing_else() -> None:
    body = ast.parse(MODULES["__init__"].read_text(encoding="utf-8")).body
    docstring, *statements = body
    assert isinstance(docstring, ast.Expr)
    names = {"__all__", "__version__"}
    other = [
        ast.unparse(statement)
        for statement in statements
        if not isinstance(statement, ast.ImportFrom)
        and not (isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) in names)
    ]
    assert not other, f"{PACKAGE}/__init__.py is for public names, this is more: {other}"


def test_experiments_do_not_import_tests() -> None:
    found = [
        f"{path.relative_to(ROOT)}, line {item.line}: {item.name}"
        for path in sorted((ROOT / "experiments").rglob("*.py"))
        for item in _imports(ast.parse(path.read_text(encoding="utf-8")), "experiments")
        if _within(item.name, {"tests"})
    ]
    assert not found, "\n".join(found)


def test_importing_the_package_loads_nothing_beyond_torch_and_ignite() -> None:
    program = f"""
import sys
import torch, ignite.engine, ignite.handlers, ignite.metrics, ignite.distributed
before = set(sys.modules)
import {PACKAGE}
new = {{name.partition(".")[0] for name in set(sys.modules) - before}}
print(*sorted(new - set(sys.stdlib_module_names) - {{"{PACKAGE}"}}))
"""
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == [], f"import {PACKAGE} also loads {run.stdout}"
