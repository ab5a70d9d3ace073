"""The ablation suite on the command line: ``python -m experiments run|list|targets|compact|report``."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from experiments import report
from experiments.contenders import CONTENDERS
from experiments.execution import DiskFullError, finished
from experiments.parallel import BACKENDS, run_all
from experiments.plan import Spec, blocks, estimated_seconds, select_blocks, specs, suite_record
from experiments.schema import (
    Suite,
    compact,
    load_results,
    suite_from_json,
    suite_to_json,
    write_json,
)
from experiments.statistics import best_pairs, calibrate
from experiments.tasks import all_tasks

OUT = Path("runs/experiments")
QUICK_OUT = Path("runs/experiments-quick")
# The edition that is being made; "n_alone" beside it is finished, and its seeds are spent.
COMMITTED = Path(__file__).parent / "results" / "rate_and_n"
DESCRIPTION = "tasks.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        status: int = given.command(given)
    except (ValueError, DiskFullError, FileNotFoundError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m experiments", description="The ablation suite.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="make the runs that are not finished")
    _add_choice(run)
    run.add_argument("--jobs", type=int, default=2, help="runs at once, one thread each (default 2)")
    run.add_argument("--backend", choices=BACKENDS, default="loky", help="processes here (default), or dask")
    run.add_argument("--scheduler", metavar="ADDRESS", help="of dask, such as tcp://host:8786")
    run.add_argument("--quick", action="store_true", help="every run for a few iterations; measures nothing")
    run.add_argument("--retry-failed", action="store_true", help="make failed runs again")
    run.set_defaults(command=_run)
    listing = commands.add_parser("list", help="show tasks, contenders, blocks, and what is finished")
    _add_choice(listing)
    listing.set_defaults(command=_list)
    small = commands.add_parser("compact", help="write finished blocks in their compact form, to be committed")
    _add_choice(small)
    small.add_argument("--partial", action="store_true", help="also a block that is not complete")
    small.add_argument("--results", type=Path, default=COMMITTED, metavar="DIR", help="%(default)s")
    small.set_defaults(command=_compact)
    targets = commands.add_parser(
        "targets", help="fix targets, best fixed n and best pairs from compact tuning results"
    )
    targets.add_argument("--results", type=Path, default=COMMITTED, metavar="DIR", help="%(default)s")
    targets.add_argument("--freeze-commit", metavar="COMMIT", help="commit at which all settings are frozen")
    targets.set_defaults(command=_targets)
    page = commands.add_parser("report", help="build the report from results")
    report.add_arguments(page)
    page.set_defaults(command=report.report)
    return parser


def _add_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--block", action="append", default=[], metavar="NAME", help="part of the suite")
    parser.add_argument("--tasks", nargs="+", metavar="NAME", help="only these tasks")
    parser.add_argument("--contenders", nargs="+", metavar="NAME", help="only these contenders")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="SEED", help="only these seeds")
    parser.add_argument("--out", type=Path, metavar="DIR", help=f"results folder (default {OUT})")


def _run(given: argparse.Namespace) -> int:
    out = (given.out or (QUICK_OUT if given.quick else OUT)).resolve()
    runs = _chosen(given, out, given.block, quick=given.quick)
    _describe(out)
    # A polite kill ends the workers too, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    done = run_all(
        runs,
        jobs=given.jobs,
        backend=given.backend,
        scheduler=given.scheduler,
        say=lambda line: print(line, flush=True),
        retry_failed=given.retry_failed,
    )
    return int(any(run.status == "failed" for run in done))


def _chosen(given: argparse.Namespace, out: Path, block_names: Sequence[str], *, quick: bool = False) -> list[Spec]:
    """The runs that the command line asks for."""
    return specs(
        out,
        block_names=block_names,
        task_names=given.tasks,
        contender_names=given.contenders,
        seeds=given.seeds,
        quick=quick,
        suite=_described(COMMITTED),
    )


def _described(folder: Path) -> Suite | None:
    path = folder / DESCRIPTION
    return suite_from_json(json.loads(path.read_bytes()), str(path)) if path.is_file() else None


def _describe(folder: Path) -> Suite:
    """Bring a folder's description of the suite up to date, with the targets that are known."""
    suite = suite_record(_described(COMMITTED) or _described(folder))
    write_json(folder / DESCRIPTION, suite_to_json(suite))
    return suite


def _list(given: argparse.Namespace) -> int:
    out = (given.out or OUT).resolve()
    print("tasks")
    for task in all_tasks().values():
        print(f"  {task.name:24} {task.suite:12} {task.objective:17} {task.seconds:5.0f} s a run  {task.title}")
    print("contenders")
    for contender in CONTENDERS:
        only = f"  (only on {', '.join(contender.tasks)})" if contender.tasks else ""
        print(f"  {contender.name:24} {contender.kind:12} {contender.title}{only}")
    print("blocks: finished runs, processor time on one thread of all, and of what is left")
    total = 0.0
    for block in select_blocks(given.block or blocks()):
        try:
            runs = _chosen(given, out, [block.name])
        except ValueError:  # the choice leaves nothing of this block
            continue
        left = [spec for spec in runs if finished(spec) is None]
        total += estimated_seconds(runs)
        print(
            f"  {block.name:14} {len(runs) - len(left):>5}/{len(runs):<5} {estimated_seconds(runs) / 60:6.0f} min"
            f" {estimated_seconds(left) / 60:6.0f} min  {block.title}"
        )
    print(f"estimated total: {total / 60:.0f} min on one thread, {total / 120:.0f} min on two")
    return 0


def _compact(given: argparse.Namespace) -> int:
    out = (given.out or OUT).resolve()
    for block in select_blocks(given.block or blocks()):
        runs = _chosen(given, out, [block.name])
        found = [run for run in map(finished, runs) if run is not None]
        if len(found) < len(runs) and not given.partial:
            print(f"{block.name}: {len(found)} of {len(runs)} runs are finished, left out (--partial takes it)")
            continue
        path = given.results / f"{block.name}.jsonl.gz"
        compact(found, path)
        print(f"{path}: {len(found)} runs")
    _describe(given.results)
    return 0


def _targets(given: argparse.Namespace) -> int:
    suite = _describe(given.results)
    results = load_results(given.results)
    tasks = []
    for task in suite.tasks:
        try:
            tasks.append(calibrate(results, task))
        except ValueError as error:
            print(f"no targets yet for {error}")
            tasks.append(task)
            continue
        print(f"{task.name}: targets {dict(tasks[-1].targets or {})}, {tasks[-1].best_fixed_n}, {tasks[-1].best_pair}")
    aimed = replace(suite, tasks=tuple(tasks), freeze_commit=given.freeze_commit or suite.freeze_commit)
    aimed = replace(aimed, pairs=best_pairs(replace(results, suite=aimed)))
    print(f"best pairs over all tasks: {', '.join(aimed.pairs) or 'none yet'}")
    write_json(given.results / DESCRIPTION, suite_to_json(aimed))
    return 0


__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
