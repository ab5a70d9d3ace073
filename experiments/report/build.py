"""The command behind ``python -m experiments report``."""

from __future__ import annotations

import argparse
from pathlib import Path

from experiments.report import figures, page, tables
from experiments.schema import load_results

# The edition of rate and number together; "n_alone" beside it is the finished one of laws that act on n alone.
RESULTS = Path(__file__).resolve().parents[1] / "results" / "rate_and_n"
OUT = Path("runs") / "report"


def build(results_dir: Path, out_dir: Path) -> list[Path]:
    """Write the report: one HTML page that needs nothing else, and PNGs for README and docs.

    Args:
        results_dir: a results folder (see :mod:`experiments.schema`); it may hold no runs yet.
        out_dir: made if it is not there.

    Returns:
        The files written: ``index.html``, ``evidence.png``, ``heat_map.png``, ``over_cost.png``, ``profiles.png``.

    Raises:
        FileNotFoundError: ``results_dir`` is no results folder.
        experiments.schema.ResultError: ``tasks.json`` is wrong, or a file has another format version.
    """
    results = load_results(results_dir)
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    html = out_dir / "index.html"
    html.write_text(page.render(results), encoding="utf-8")
    return [html, *figures.draw(results, out_dir)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the report command; :func:`report` takes what they are parsed to."""
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="results folder (%(default)s)")
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR", help="where the report goes (%(default)s)")
    parser.add_argument(
        "--tables", type=Path, nargs="+", default=[], metavar="FILE", help="rewrite the tables in these files instead"
    )
    parser.add_argument("--check", action="store_true", help="with --tables: only say which tables differ")


def report(arguments: argparse.Namespace) -> int:
    """Build the report, or rewrite or check tables; return the exit status.

    Returns:
        0, or 1 where ``--check`` found a table that differs.
    """
    if arguments.check and not arguments.tables:
        raise ValueError("--check needs --tables FILE: it compares the tables in these files with the results")
    if not arguments.tables:
        for path in build(arguments.results, arguments.out):
            print(path)
        return 0
    differ = False
    for path in arguments.tables:
        if arguments.check:
            stale = tables.check(path, arguments.results)
            differ = differ or bool(stale)
            print(f"{path}: {'differs: ' + ', '.join(stale) if stale else 'up to date'}")
        else:
            changed = tables.update(path, arguments.results)
            print(f"{path}: {'rewritten' if changed else 'up to date'}")
    return int(differ)
