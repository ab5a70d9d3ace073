"""Markdown tables in README and docs, generated from results between markers.

A file holds ``<!-- table:NAME -->`` and, further down, ``<!-- /table -->``; what stands between them is written by
:func:`update` and compared by :func:`check`. NAME is one of :data:`TABLES`. ``<!-- table:evidence fixed-1 gap -->`` is
the table of evidence with these contenders alone, in the suite's order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from experiments.report import formatting
from experiments.report.outcomes import outcomes, tally
from experiments.schema import Results, load_results
from experiments.statistics import BEST_FIXED, SHARES, Table, compare, verdict

_BLOCK = re.compile(r"(<!-- table:(?P<name>[^\n]*?) -->\n)(?P<body>.*?)(<!-- /table -->)", re.DOTALL)
_OPEN = re.compile(r"<!-- table:")
_NOTHING = "No results yet.\n"


def update(path: Path, results_dir: Path) -> bool:
    """Rewrite the tables of a file; return whether anything changed.

    Raises:
        ValueError: a marker names no table, or is not closed.
    """
    before = Path(path).read_text(encoding="utf-8")
    after = _rewritten(before, str(path), load_results(results_dir))
    if after != before:
        Path(path).write_text(after, encoding="utf-8")
    return after != before


def check(path: Path, results_dir: Path) -> list[str]:
    """Return the names of the tables in a file that differ from what the results give; empty if all is well.

    Raises:
        ValueError: as :func:`update`.
    """
    before = Path(path).read_text(encoding="utf-8")
    after = _rewritten(before, str(path), load_results(results_dir))
    pairs = zip(_BLOCK.finditer(before), _BLOCK.finditer(after), strict=True)
    return [old["name"] for old, new in pairs if old["body"] != new["body"]]


def _rewritten(text: str, where: str, results: Results) -> str:
    if len(_OPEN.findall(text)) != len(list(_BLOCK.finditer(text))):
        raise ValueError(f"{where}: a '<!-- table:NAME -->' line without a '<!-- /table -->' of its own after it")

    def body(match: re.Match[str]) -> str:
        if _OPEN.search(match["body"]):
            raise ValueError(f"{where}: table {match['name']!r} is not closed before the next one opens")
        name, _, contenders = match["name"].partition(" ")
        if name not in TABLES:
            raise ValueError(f"{where}: unknown table {name!r}; there are: {', '.join(TABLES)}")
        if not contenders:
            return match[1] + TABLES[name](results) + match[4]
        if name != "evidence":
            raise ValueError(f"{where}: table {match['name']!r}: only 'evidence' takes names of contenders")
        try:
            return match[1] + evidence(results, contenders.split()) + match[4]
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None

    return _BLOCK.sub(body, text)


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    if len(lines) == 2:
        return _NOTHING
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _cell(text: str) -> str:
    """Escape what would end a cell or start a tag."""
    return re.sub(r"([\\`|*_\[\]])", r"\\\1", " ".join(text.split())).replace("<", "&lt;").replace(">", "&gt;")


def evidence(results: Results, contenders: Collection[str] | None = None) -> str:
    """One row per contender: cost against the best fixed n and against n = 5, wins and losses, runs that failed.

    Args:
        results: those of the suite.
        contenders: names of those that get a row; None: all.

    Raises:
        ValueError: the suite has no contender of one of these names.
    """
    table, suite = Table.of(results), results.suite
    known = [contender.name for contender in suite.contenders]
    if unknown := set(contenders or ()) - set(known):
        raise ValueError(f"unknown contender {', '.join(map(repr, sorted(unknown)))}; there are: {', '.join(known)}")
    tasks = table.tasks("evaluation")
    bad = {a.contender: a for a in outcomes(results, table, tasks)}
    rows = []
    for contender in suite.contenders:
        if contenders is not None and contender.name not in contenders:
            continue
        best = compare(table, contender.name, BEST_FIXED, tasks)
        if not best.tasks:
            continue
        five = [c.name for c in suite.contenders if c.steps == 5]
        to_five = compare(table, contender.name, five[0], tasks) if five else None
        counts, outcome = tally(best), bad[contender.name]
        rows.append(
            [
                _cell(contender.title),
                formatting.figure(best.cost()),
                formatting.figure(to_five.cost()) if to_five is not None and to_five.tasks else "–",
                f"{formatting.number(best.worst().cost.value)} ({_cell(suite.task(best.worst().task).title)})",
                f"{len(counts.won)} / {len(counts.undecided)} / {len(counts.lost)}",
                f"{outcome.bad} of {outcome.runs}",
            ]
        )
    return _markdown(
        [
            "contender",
            "cost to best fixed n",
            "cost to n = 5",
            "worst task",
            "tasks won / undecided / lost",
            "runs off the late target",
        ],
        rows,
    )


def verdict_table(results: Results) -> str:
    """One row per target that the project set itself: figure, interval, met or not, on which tasks not."""
    titles = {t.name: t.title for t in results.suite.tasks}
    rows = [
        [
            _cell(row.what),
            _cell(row.target),
            formatting.figure(row.figure),
            formatting.met(row.met) if row.met is not False else "**not met**",
            _cell("; ".join(titles[name] for name in row.fell_short)) or "–",
            _cell(row.note),
        ]
        for row in verdict(Table.of(results))
    ]
    return _markdown(["figure", "target", "measured (95 % interval)", "outcome", "falls short on", "note"], rows)


def tasks_table(results: Results) -> str:
    """One row per task: what it is, its best fixed n, and how the two laws of this library did against it."""
    table, suite = Table.of(results), results.suite
    rows = []
    for task in suite.tasks:
        cells = []
        for name in (suite.gap, suite.loss_ratio):
            known = any(c.name == name for c in suite.contenders)
            found = compare(table, name, BEST_FIXED, [task]).tasks if known else ()
            cells.append(formatting.figure(found[0].cost) if found else "–")
            if name == suite.gap:
                cells.append(formatting.figure(found[0].quality[SHARES.index(1.0)]) if found else "–")
        best = task.best_fixed_n
        rows.append(
            [
                _cell(task.title),
                task.suite,
                f"{task.objective}, {task.learning_rate_ratio:g}",
                "–" if best is None else f"{best.early} / {best.late} / {best.budget}",
                *cells,
            ]
        )
    return _markdown(
        [
            "task",
            "suite",
            "objective, learning-rate ratio",
            "best fixed n (early / late / quality)",
            "gap law: cost to best fixed n",
            "gap law: quality to best fixed n",
            "loss-ratio law: cost to best fixed n",
        ],
        rows,
    )


def failures_table(results: Results) -> str:
    """One row per contender on evaluation tasks: every way in which a run fell short."""
    table = Table.of(results)
    titles = {c.name: c.title for c in results.suite.contenders}
    rows = [
        [_cell(titles[a.contender]), *(str(n) for n in (a.runs, a.failed, a.diverged, a.missed_early, a.missed_late))]
        for a in outcomes(results, table, table.tasks("evaluation"))
    ]
    return _markdown(["contender", "runs", "failed", "diverged", "missed early target", "missed late target"], rows)


TABLES: dict[str, Callable[[Results], str]] = {
    "evidence": evidence,
    "verdict": verdict_table,
    "tasks": tasks_table,
    "failures": failures_table,
}
