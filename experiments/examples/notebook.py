"""Turn the first tutorial into a notebook that any notebook service opens.

    python -m experiments.examples.notebook

writes ``five_minutes.ipynb`` beside this file from ``docs/tutorials/five_minutes.md``. Edit the page, not the notebook.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
PAGE = FOLDER.parents[1] / "docs" / "tutorials" / "five_minutes.md"
NOTEBOOK = FOLDER / "five_minutes.ipynb"

_FENCE = re.compile(r"^```\{code-cell\} python\n(?:(?::[^\n]*\n)+\n)?(.*?)^```$", re.M | re.S)
_BEGIN = (
    "**Before you start:** this notebook needs the folder `adaptive_critic` of the project beside it, or the package "
    "installed. The next cell installs what that needs."
)
_INSTALL = "%pip install --quiet pytorch-ignite matplotlib"


def notebook(page: str) -> dict[str, Any]:
    """Return the notebook, in its format 4.5, of a page with code cells."""
    text = re.sub(r"\A---\n.*?^---\n", "", page, flags=re.M | re.S)
    parts = _FENCE.split(text)  # prose, code, prose, ...
    cells = [_cell("code" if at % 2 else "markdown", part) for at, part in enumerate(parts) if part.strip()]
    cells[1:1] = [_cell("markdown", _BEGIN), _cell("code", _INSTALL)]
    for at, cell in enumerate(cells):
        cell["id"] = f"cell-{at}"
    return {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _cell(kind: str, text: str) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "metadata": {}}
    if kind == "code":
        cell |= {"execution_count": None, "outputs": []}
    else:
        # Roles and links to other pages mean something on the site alone.
        text = re.sub(r"\{py:\w+\}`~?(?:\w+\.)*(\w+)`", r"`\1`", text)
        text = re.sub(r"\[([^\]]*)\]\((?:\.\./)*([\w/]+\.md)[^)]*\)", _named, text)
    return cell | {"source": text.strip().splitlines(keepends=True)}


def _named(link: re.Match[str]) -> str:
    name = link[2].rpartition("/")[2]
    return f"{link[1]} (`{name}` of the documentation)" if link[1] else f"`{name}` of the documentation"


def main() -> None:
    made = notebook(PAGE.read_text(encoding="utf-8"))
    NOTEBOOK.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(NOTEBOOK)


if __name__ == "__main__":
    main()
