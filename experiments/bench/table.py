"""The results as tables in Markdown, for the terminal and for docs/overhead.md."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

START, END = "<!-- overhead: start -->", "<!-- overhead: end -->"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _timing(rows: Mapping[str, Any]) -> str:
    shown = [
        [
            name,
            f"{row['microseconds']:.1f}",
            "1"
            if row["against"] == name
            else f"{row['ratio']:.2f} ({row['quartiles'][0]:.2f} to {row['quartiles'][1]:.2f})",
            "" if row["target"] is None else f"≤ {row['target']}",
            "" if row["against"] == name else row["against"],
        ]
        for name, row in rows.items()
    ]
    return _table(("attached", "µs", "ratio (quartiles)", "target", "to"), shown)


def _counts(rows: Mapping[str, Any]) -> str:
    names = list(next(iter(rows.values())))
    return _table(("", *names), [[name, *(str(row[key]) for key in names)] for name, row in rows.items()])


def _ranks(rows: Mapping[str, Any]) -> str:
    shown = [
        [
            ranks,
            f"{row['processor microseconds']:.0f}",
            f"{row['elapsed microseconds']:.0f}",
            f"{row['elapsed ratio']:.2f}",
        ]
        for ranks, row in rows.items()
    ]
    alone, two = (rows[count]["elapsed microseconds"] for count in ("1", "2"))
    hop = (two - alone) / 2.0
    for count in (8, 64, 512):
        tree, ring = (alone + hops * hop for hops in (2.0 * math.log2(count), 2.0 * (count - 1)))
        shown.append([f"{count}, modelled", "", f"{tree:.0f} (tree) to {ring:.0f} (ring)", ""])
    return _table(("ranks", "processor µs of a decision", "elapsed µs", "elapsed, to two RunningAverages"), shown)


def _memory(row: Mapping[str, Any]) -> str:
    if row["grown"] is None:
        return "Resident size: this system does not say."
    return (
        f"Resident size after {row['first']:,} iterations {row['megabytes']:.1f} MB, after {row['last']:,} "
        f"{row['grown']:+.2f} MB (target: within 1 MB)."
    )


def markdown(result: Mapping[str, Any]) -> str:
    """Return all tables."""
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return "\n\n".join(
        [
            f"Measured by `{result['command']}` with {versions}; {result['blocks']} blocks of {result['iterations']} "
            "iterations, in turns within one process.",
            "Time added to an iteration:",
            _timing(result["timing"]),
            "Counts in one process, update_every=10:",
            _counts(result["counts"]),
            "Several ranks, gloo on one machine:",
            _ranks(result["ranks"]),
            _memory(result["memory"]),
        ]
    )


def insert(page: str, text: str) -> str:
    """Return the page with the text between its markers.

    Raises:
        ValueError: if the page has no markers.
    """
    before, start, rest = page.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise ValueError(f"expected the markers {START} and {END} in the page")
    return f"{before}{START}\n\n{text}\n\n{END}{after}"


def write(page: Path, result: Mapping[str, Any]) -> None:
    page.write_text(insert(page.read_text(encoding="utf-8"), markdown(result)), encoding="utf-8")
