"""That `make test-long` could begin: it runs for hours, and not in CI."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_property_can_be_given_its_share() -> None:
    command = [sys.executable, "-m", "pytest", "--setup-only", "-q", "-p", "no:cacheprovider"]
    # Of all others, only the time to import them would be seen.
    files = [
        path for path in (ROOT / "tests").rglob("test_*.py") if "from hypothesis import" in path.read_text("utf-8")
    ]
    selected = ["-m", "hypothesis and not stateful", *map(str, files)]
    environment = {name: value for name, value in os.environ.items() if name != "HYPOTHESIS_MAX_EXAMPLES"}
    environment["HYPOTHESIS_PROFILE"] = "long"
    run = subprocess.run([*command, *selected], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert "error" not in run.stdout.lower(), run.stdout[-3000:]
    assert "TestSchedulerAdapter::test_rounds_half_up" in run.stdout  # a method, which takes no attributes itself
    assert len(re.findall(r"tests/\S+::test_\w+\[", run.stdout)) > 100  # rows of the laws' and handlers' tables
