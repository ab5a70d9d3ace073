"""Write the tables of docs/clients.md from the results that are committed beside this file.

python -m experiments.clients.table
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from statistics import fmean
from typing import Any

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results"
PAGE = ROOT / "docs" / "clients.md"


def rows_by(runs: Iterable[Mapping[str, Any]], key: str) -> dict[str, list[Mapping[str, Any]]]:
    """Return the runs by one of their entries, in the order in which it was first seen, each list by seed."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for run in runs:
        found.setdefault(run[key], []).append(run)
    return {name: sorted(rows, key=lambda row: row["seed"]) for name, rows in found.items()}


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows))


def spread(values: Sequence[float], digits: int = 3) -> str:
    """Return the mean, and the least and the most."""
    return f"{fmean(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def against(values: Sequence[float], base: Sequence[float], better: Callable[[float], bool]) -> str:
    """Return the mean paired difference, and on how many seeds it is for the better."""
    differences = [value - other for value, other in zip(values, base, strict=True)]
    return f"{fmean(differences):+.3f}, better on {sum(map(better, differences))} of {len(differences)}"


def versions(result: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {number}" for name, number in result["versions"].items())


def tabular(result: Mapping[str, Any]) -> str:
    """Return the table of CTGAN."""
    runs = rows_by(result["runs"], "contender")
    seeds = [row["seed"] for row in next(iter(runs.values()))]
    if any([row["seed"] for row in rows] != seeds for rows in runs.values()):
        raise ValueError("tabular.json: all contenders need the same seeds; run the experiment to its end")
    quality = {name: [[at["quality"] for at in row["scores"]] for row in rows] for name, rows in runs.items()}
    base = [fmean(row) for row in quality["FixedController(1)"]]
    shares = [f"at {Fraction(share)}" for share in result["checkpoints"]]
    lines = []
    for name, rows in runs.items():
        at = [fmean(row[i] for row in quality[name]) for i in range(len(shares) - 1)]
        end = [row[-1] for row in quality[name]]
        whole = [fmean(row) for row in quality[name]]
        n = fmean(row["critic_updates"] / row["generator_updates"] for row in rows)
        lines.append(
            [
                f"`{name}`",
                f"{n:.1f}",
                *(f"{value:.3f}" for value in at),
                spread(end),
                "" if name == "FixedController(1)" else against(whole, base, lambda difference: difference > 0.0),
            ]
        )
    ceiling = [result["ceiling"][str(seed)]["quality"] for seed in seeds]
    lines.append(["real half against real half", "", *[""] * (len(shares) - 1), spread(ceiling), ""])
    text = (
        f"`{result['command']}`: {result['table']}, batches of {result['batch_size']}, budget {result['budget']:g} "
        f"generator updates (a critic update counts {result['critic_cost']:.2f}), seeds {seeds[0]} to {seeds[-1]}; "
        f"{versions(result)}."
    )
    head = ["contender", "mean n", *shares[:-1], "at the end (least to most)", "mean of all to n = 1, paired"]
    return f"{text}\n\n{markdown(head, lines)}"


def distillation(result: Mapping[str, Any]) -> str:
    """Return the tables of the distillation toy."""
    quarter = result["points"] // 4
    parts = [
        f"`{result['command']}`: mean distance over each quarter of a budget of {result['budget']:g} generator updates "
        f"(a fake-score update counts 0.8, watching D 0.2 per iteration); two samples of the teacher differ by "
        f"{result['floor']:.3f}; {versions(result)}."
    ]
    for setting, of_setting in rows_by(result["runs"], "setting").items():
        runs = rows_by(of_setting, "contender")
        seeds = [row["seed"] for row in next(iter(runs.values()))]
        if any([row["seed"] for row in rows] != seeds for rows in runs.values()):
            raise ValueError("distillation.json: all contenders need the same seeds; run the experiment to its end")
        quarters = {
            name: [[fmean(row["distances"][i * quarter : (i + 1) * quarter]) for row in rows] for i in range(4)]
            for name, rows in runs.items()
        }
        lines = []
        for name, rows in runs.items():
            whole, base = (
                [fmean(values) for values in zip(*quarters[k], strict=True)] for k in (name, "FixedController(5)")
            )
            n = fmean(row["critic_updates"] / row["generator_updates"] for row in rows)
            last = spread(quarters[name][-1])
            paired = "" if name == "FixedController(5)" else against(whole, base, lambda difference: difference < 0.0)
            lines.append([f"`{name}`", f"{n:.1f}", *(f"{fmean(q):.3f}" for q in quarters[name][:-1]), last, paired])
        head = ["contender", "mean n", "quarter 1", "2", "3", "4 (least to most)", "whole run to n = 5, paired"]
        parts += [f"{setting[0].upper()}{setting[1:]}, {len(seeds)} seeds:", markdown(head, lines)]
    return "\n\n".join(parts)


TABLES: dict[str, Callable[[Mapping[str, Any]], str]] = {"tabular": tabular, "distillation": distillation}


def insert(page: str, results: Path = RESULTS) -> str:
    """Return the page with its tables as the results give them.

    Raises:
        ValueError: if the page lacks the markers of a table.
    """
    for name, table in TABLES.items():
        start, end = f"<!-- clients:{name} -->", f"<!-- /clients:{name} -->"
        before, found, rest = page.partition(start)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"expected the markers {start} and {end} in the page")
        result = json.loads((results / f"{name}.json").read_text(encoding="utf-8"))
        page = f"{before}{start}\n\n{table(result)}\n\n{end}{after}"
    return page


if __name__ == "__main__":
    PAGE.write_text(insert(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
