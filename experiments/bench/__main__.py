"""Measure, print, and write experiments/results/overhead.json and the tables of docs/overhead.md."""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from typing import Any

import ignite
import torch

from experiments.bench import counts, memory, ranks, table, timing

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "experiments" / "results" / "overhead.json"
PAGE = ROOT / "docs" / "overhead.md"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.bench", description=(__doc__ or "").strip())
    parser.add_argument("--blocks", type=int, default=timing.BLOCKS, help="turns of each case, at least 9")
    parser.add_argument("--last", type=int, default=1_000_000, help="iterations of the memory measurement")
    parser.add_argument("--only-print", action="store_true", help="write no file")
    args = parser.parse_args()
    if args.blocks < 9:
        parser.error(f"--blocks {args.blocks}: expected at least 9, else the median says little")
    torch.set_num_threads(1)
    rows = timing.cases()
    costs = timing.measure(rows, args.blocks)
    result: dict[str, Any] = {
        "command": "make bench",
        "versions": {
            "Python": platform.python_version(),
            "torch": torch.__version__,
            "pytorch-ignite": ignite.__version__,
        },
        "machine": f"{platform.machine()}, CPU, one thread",
        "blocks": args.blocks,
        "iterations": timing.ITERATIONS,
        "timing": {
            row.name: {**costs[row.name]._asdict(), "against": row.against, "target": row.target} for row in rows[1:]
        },
        "counts": counts.measure(),
        "ranks": {str(count): ranks.measure(count) for count in (1, 2, 4)},
        "memory": memory.measure(min(100_000, args.last), args.last),
    }
    print(table.markdown(result))
    if not args.only_print:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        table.write(PAGE, json.loads(RESULT.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
