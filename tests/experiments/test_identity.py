"""An identity follows the code that a run depends on, and not the files that hold it."""

from __future__ import annotations

import importlib
import itertools
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from experiments import definitions
from experiments.identity import dependencies, identity

Identify = Callable[[Mapping[str, str]], str]

BEFORE = {
    "__init__.py": "",
    "start.py": """
        from {package}.numbers import FACTOR, double
        from {package}.shapes import Square

        def run():
            return double(FACTOR) + Square().area()
    """,
    "numbers.py": """
        FACTOR = 3

        def double(value):
            return _times(value, 2)

        def _times(value, factor):
            return value * factor

        def unused(value):
            return value
    """,
    "shapes.py": """
        class Shape:
            def area(self):
                return self.side**2

        class Square(Shape):
            side = 2
    """,
}


@pytest.fixture
def identify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Identify:
    """Write the files of a package that has a new name each time, and return the identity of its `start:run`."""
    numbers = itertools.count()
    monkeypatch.syspath_prepend(tmp_path)

    def write(files: Mapping[str, str]) -> str:
        package = f"identified_{tmp_path.name}_{next(numbers)}".replace("-", "_")
        for name, text in files.items():
            path = tmp_path / package / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text.replace("{package}", package)))
        importlib.invalidate_caches()
        monkeypatch.setattr(definitions, "PACKAGES", (package,))
        return identity({}, (f"{package}.start:run",))

    return write


def _changed(file: str, old: str, new: str) -> dict[str, str]:
    assert old in BEFORE[file]
    return {**BEFORE, file: BEFORE[file].replace(old, new)}


SAME: dict[str, dict[str, str]] = {
    "a package renamed": dict(BEFORE),
    "a module renamed": {
        **{name: text for name, text in BEFORE.items() if name != "numbers.py"},
        "start.py": BEFORE["start.py"].replace("package}.numbers", "package}.arithmetic"),
        "arithmetic.py": BEFORE["numbers.py"],
    },
    "a module moved into a room that passes its names on": {
        **{name: text for name, text in BEFORE.items() if name != "numbers.py"},
        "start.py": BEFORE["start.py"].replace("package}.numbers", "package}.room"),
        "room/__init__.py": "from {package}.room.numbers import FACTOR, double",
        "room/numbers.py": BEFORE["numbers.py"],
    },
    "a module split in two": {
        **BEFORE,
        "numbers.py": """
            from {package}.products import _times

            FACTOR = 3

            def double(value):
                return _times(value, 2)
        """,
        "products.py": """
            def _times(value, factor):
                return value * factor
        """,
    },
    "two modules joined": {
        "__init__.py": "",
        "start.py": BEFORE["numbers.py"]
        + BEFORE["shapes.py"]
        + BEFORE["start.py"].replace("from {package}.numbers", "#").replace("from {package}.shapes", "#"),
    },
    "a relative import": _changed("start.py", "{package}.numbers", ".numbers"),
    "an import inside the function": {
        **BEFORE,
        "start.py": """
            from {package}.shapes import Square

            def run():
                from {package}.numbers import FACTOR, double

                return double(FACTOR) + Square().area()
        """,
    },
    "another order": {
        **BEFORE,
        "shapes.py": """
            class Shape:
                def area(self):
                    return self.side**2


            class Square(Shape):
                side = 2
        """,
        "numbers.py": """
            def _times(value, factor):
                return value * factor

            def double(value):
                return _times(value, 2)

            FACTOR = 3
        """,
    },
    "comments, docstrings, layout": _changed(
        "numbers.py",
        "def double(value):\n",
        'def double(\n            value):  # twice\n            """Return twice a value."""\n',
    ),
    "what no one uses": _changed("numbers.py", "return value\n", "return -value\n"),
    "what only a type checker sees": _changed(
        "numbers.py",
        "FACTOR = 3",
        "from typing import TYPE_CHECKING\n        if TYPE_CHECKING:\n            import math\n\n        FACTOR = 3",
    ),
    "what only a command runs": _changed(
        "numbers.py", "FACTOR = 3", "FACTOR = 3\n\n        if __name__ == '__main__':\n            print(FACTOR)"
    ),
}

OTHER = {
    "the root": _changed("start.py", "+", "-"),
    "a function that it calls": _changed("numbers.py", "(value, 2)", "(value, 4)"),
    "a function behind that": _changed("numbers.py", "value * factor", "value**factor"),
    "a constant": _changed("numbers.py", "FACTOR = 3", "FACTOR = 4"),
    "a constant changed later": _changed("numbers.py", "FACTOR = 3", "FACTOR = 3\n        FACTOR += 1"),
    "a base class": _changed("shapes.py", "**2", "**3"),
    "a name of another module": _changed("start.py", "import FACTOR, double", "import FACTOR, unused as double"),
    "what happens when a module is imported": _changed(
        "shapes.py", "side = 2\n", "side = 2\n\n        Square.side = 5\n"
    ),
}


@pytest.mark.parametrize("files", SAME.values(), ids=SAME.keys())
def test_names_and_places_of_files_do_not_count(identify: Identify, files: Mapping[str, str]) -> None:
    assert identify(files) == identify(BEFORE)


@pytest.mark.parametrize("files", OTHER.values(), ids=OTHER.keys())
def test_code_that_the_answer_depends_on_counts(identify: Identify, files: Mapping[str, str]) -> None:
    assert identify(files) != identify(BEFORE)


def test_which_of_two_functions_of_one_name_is_called_counts(identify: Identify) -> None:
    files = {
        "__init__.py": "",
        "one.py": "def f():\n    return 1\n",
        "two.py": "def f():\n    return 2\n",
        "here.py": "from {package}.one import f\n\ndef here():\n    return f()\n",
        "there.py": "from {package}.two import f\n\ndef there():\n    return f()\n",
        "start.py": "from {package} import here, there\n\ndef run():\n    return here.here(), there.there()\n",
    }
    swapped = {
        **files,
        "here.py": files["here.py"].replace("one", "two"),
        "there.py": files["there.py"].replace("two", "one"),
    }
    assert identify(files) != identify(swapped)
    renamed = {name.replace("here.py", "h.py"): text for name, text in files.items()}
    renamed["start.py"] = "from {package} import h, th\n\ndef run():\n    return h.here(), th.there()\n"
    assert identify(files) == identify(renamed)


def test_where_a_run_starts_counts(identify: Identify) -> None:
    either = "def run():\n    return other\n\ndef other():\n    return run\n"
    swapped = "def other():\n    return run\n\ndef run():\n    return other\n"
    assert identify({"__init__.py": "", "start.py": either}) == identify({"__init__.py": "", "start.py": swapped})
    (package,) = definitions.PACKAGES
    assert identity({}, (f"{package}.start:run",)) != identity({}, (f"{package}.start:other",))


def test_what_a_decorator_of_the_project_registers_counts(identify: Identify) -> None:
    files = {
        "__init__.py": "",
        "start.py": """
            import functools

            @functools.singledispatch
            def run(value):
                return 1

            @run.register
            def _(value: int):
                return 2
        """,
    }
    assert identify(files) != identify({**files, "start.py": files["start.py"].replace("2", "3")})


def test_a_module_that_is_handed_on_counts_as_a_whole(identify: Identify) -> None:
    files = {
        "__init__.py": "",
        "table.py": "def f():\n    return 1\n",
        "start.py": "from {package} import table\n\ndef run():\n    return vars(table)\n",
    }
    assert identify(files) != identify({**files, "table.py": files["table.py"].replace("1", "2")})


def test_an_identity_depends_on_what_a_run_depends_on() -> None:
    roots = ("experiments.tasks.ring:TASK", "adaptive_critic:FixedController", "experiments.runner:Training")
    found = {name.rpartition(".")[2] for name in dependencies(roots)}
    assert {"planar_task", "sliced_w1", "GANTrainingStep", "FixedController"} <= found
    # Other controllers, other tasks and how results are written are none of its business.
    assert not {"WassersteinGapController", "GapShareLaw", "dcgan_critic", "write_json"} & found
    gap = dependencies((roots[0], "adaptive_critic:WassersteinGapController", roots[2]))
    assert {"WassersteinGapController", "GapShareLaw"} <= {name.rpartition(".")[2] for name in gap}
    base = identity({"seed": 0, "n": 1}, roots)
    assert identity({"n": 1, "seed": 0}, roots) == base
    assert identity({"seed": 1, "n": 1}, roots) != base
    assert identity({"seed": 0, "n": 1}, roots[:1]) != base


@pytest.mark.parametrize(
    "root",
    ["experiments.nothing:run", "experiments.runner:nothing", "experiments:runner", "experiments.runner", "math:sqrt"],
)
def test_a_root_that_is_not_there_is_refused(root: str) -> None:
    with pytest.raises(ValueError, match=f"'{root}': no definition of adaptive_critic or experiments"):
        identity({}, (root,))
