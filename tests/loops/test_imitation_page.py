"""docs/clients.md shows the code that drives imitation; tests/clients/test_imitation_gail.py runs it."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_shows_the_code_that_runs_in_fewer_than_fifteen_lines() -> None:
    source = (ROOT / "experiments" / "clients" / "imitation_gail.py").read_text(encoding="utf-8")
    code = source[source.index("def train(") : source.index("def demonstrations(")].rstrip()
    assert f"```python\n{code}\n```" in (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
    # The user's own lines are those in the function but its first, its docstring and the return, and an import.
    body = [line for line in code.splitlines()[2:-1] if line.strip()]
    assert len(body) + 1 == 14
