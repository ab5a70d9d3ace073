"""``python -m tests.states 0.1.0``: write down the states of a release, once, so that later ones are held to them."""

from __future__ import annotations

import argparse
import copy
import sys
from pathlib import Path
from typing import Any

import torch

from tests.states.made import subjects

FOLDER = Path(__file__).parent


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.states", description=__doc__)
    parser.add_argument("release", help="the version that is about to be released")
    path = FOLDER / f"{parser.parse_args().release}.pt"
    if path.exists():
        sys.stderr.write(f"{path} is there already: what a release wrote does not change afterwards\n")
        return 1
    found: dict[str, Any] = {}
    for name, make in subjects().items():
        subject = make()
        subject.begin()
        state = copy.deepcopy(subject.item.state_dict())
        found[name] = {"state": state, "goes on": subject.go_on()}
    torch.save(found, path)
    sys.stdout.write(f"{path}: {len(found)} states, {path.stat().st_size} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
