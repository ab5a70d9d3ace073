"""The tasks of the ablation suite. A module here that defines ``TASK`` joins the suite; nothing lists it.

Modules whose name begins with an underscore are what tasks are made of.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterable

from experiments.tasks._task import Task


@functools.cache
def all_tasks() -> dict[str, Task]:
    """Import every task module and return the tasks by name, development tasks first, then by name.

    Raises:
        TypeError: A module without underscore defines no ``TASK``.
        ValueError: Two modules define tasks of one name.
    """
    found: dict[str, Task] = {}
    for module_info in pkgutil.iter_modules(__path__):
        if module_info.name.startswith("_"):
            continue
        module = importlib.import_module(f"{__name__}.{module_info.name}")
        task = getattr(module, "TASK", None)
        if not isinstance(task, Task):
            raise TypeError(f"{module.__name__}: defines no TASK; a helper's name begins with an underscore")
        if task.name in found:
            raise ValueError(f"{module.__name__}: a task named {task.name!r} is there already")
        found[task.name] = task
    return dict(sorted(found.items(), key=lambda item: (item[1].suite, item[0])))


def module_of(task: Task) -> str:
    """Return the dotted name of the module that defines a task of the suite."""
    for module_info in pkgutil.iter_modules(__path__):
        name = f"{__name__}.{module_info.name}"
        if not module_info.name.startswith("_") and importlib.import_module(name).TASK.name == task.name:
            return name
    raise ValueError(f"task {task.name!r} is not defined by a module of {__name__}")


def select_tasks(names: Iterable[str] | None = None) -> list[Task]:
    """Return the tasks of these names, in the suite's order; all of them when ``names`` is None.

    Raises:
        ValueError: A name is unknown; the message lists the tasks.
    """
    tasks = all_tasks()
    if names is None:
        return list(tasks.values())
    wanted = set(names)
    if unknown := sorted(wanted - set(tasks)):
        raise ValueError(f"unknown task {', '.join(map(repr, unknown))}; there are: {', '.join(tasks)}")
    return [task for name, task in tasks.items() if name in wanted]
