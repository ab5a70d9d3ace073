"""Train a GAN on real images under several controllers at equal compute, and write a report.

Example: python -m experiments.demo --contenders fixed:1 fixed:3 fixed:10 gap --seed 1
"""

from __future__ import annotations

import argparse
import math
import shlex
import sys
import textwrap
import time
from collections.abc import Sequence
from concurrent.futures import Future, as_completed
from datetime import datetime, timezone
from pathlib import Path

import torch

import adaptive_critic
from experiments.data import IMAGE_SETS, DataNotFoundError, image_set_name
from experiments.demo.contenders import DEFAULT, VALID, parse
from experiments.demo.duration import expected_seconds, in_words, measured_pace
from experiments.demo.report import Made, write
from experiments.demo.summary import text_table, verdict
from experiments.demo.training import SHOWN, Run, Settings, as_bytes, critic_cost, real_images, train
from experiments.demo.workers import worker_pool
from experiments.runner import versions

BUDGET = 15_000.0
QUICK_BUDGET = 60.0
WORKERS = 2
COLUMNS = 80
SMALLEST_BUDGET = 30.0


def _budget(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not SMALLEST_BUDGET <= value < math.inf:
        raise argparse.ArgumentTypeError(
            f"{text!r}: must be a number of generator updates, at least {SMALLEST_BUDGET:g}"
        )
    return value


def _contender(text: str) -> str:
    try:
        return parse(text).name
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number, at least 0")
    return int(text)


def _workers(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number of processes, at least 1")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m experiments.demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument(
        "--contenders", nargs="+", type=_contender, default=list(DEFAULT), metavar="NAME",
        help=f"who takes part: {VALID} (default: {' '.join(DEFAULT)})",
    )  # fmt: skip
    made.add_argument(
        "--budget", type=_budget, metavar="COST",
        help=f"compute of each contender, in generator updates (default: {BUDGET:,.0f})",
    )  # fmt: skip
    made.add_argument("--seed", type=_whole, default=0, help="initial weights, order of images, latents (default: 0)")
    made.add_argument(
        "--data", choices=("auto", *IMAGE_SETS), default="auto",
        help="real images; auto takes the first that is on this machine, in this order (default: auto)",
    )  # fmt: skip
    made.add_argument(
        "--out", type=Path, default=Path("runs/demo"), metavar="FOLDER",
        help="where report.html and report.png go (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--workers", type=_workers, metavar="N",
        help=f"processes, of one thread each, that train contenders side by side (default: {WORKERS}; 1 with --quick)",
    )  # fmt: skip
    made.add_argument("--quick", action="store_true", help="a run of seconds that only shows that everything works")
    return made


def settings_of(options: argparse.Namespace) -> Settings:
    """Settings of the comparison from parsed options."""
    data = image_set_name(options.data)
    if options.quick:
        return Settings(data, options.budget or QUICK_BUDGET, options.seed, 16, evaluations=3, evaluated=200)
    return Settings(data, options.budget or BUDGET, options.seed)


def run_all(names: Sequence[str], settings: Settings, cost_of_critic: float, workers: int) -> list[Run]:
    """Train all contenders, in this process or in ``workers`` others; runs come in the order of ``names``."""
    if workers == 1 or len(names) == 1:
        return [train(name, settings, cost_of_critic) for name in names]
    with worker_pool(min(workers, len(names))) as pool:
        futures: list[Future[Run]] = [
            pool.submit(train, name, settings, cost_of_critic, position) for position, name in enumerate(names)
        ]
        try:
            for future in as_completed(futures):
                future.result()  # the first failure ends the wait
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        return [future.result() for future in futures]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the demonstration."""
    started = time.perf_counter()
    given = list(sys.argv[1:] if arguments is None else arguments)
    command_line = parser()
    options = command_line.parse_args(given)
    names = list(dict.fromkeys(options.contenders))
    workers = options.workers or (1 if options.quick else WORKERS)
    torch.set_num_threads(1)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        settings = settings_of(options)
        real = real_images(settings.data)
    except (DataNotFoundError, OSError) as error:
        command_line.error(str(error))
    cost_of_critic = critic_cost(real, settings)
    shown = as_bytes(real[:: len(real) // SHOWN][:SHOWN])  # over the whole set: MNIST-5k is sorted by class
    seconds = expected_seconds(settings, measured_pace(real, settings, cost_of_critic), len(names), workers)
    print(
        _wrapped(
            f"{settings.data}: {', '.join(parse(name).title for name in names)}; {settings.budget:,.0f} generator "
            f"updates' worth of compute each, of which a critic update takes {cost_of_critic:.2f}. This will take "
            f"about {in_words(seconds)}: {workers} {'process' if workers == 1 else 'processes'}, at the speed measured "
            "just now."
        ),
        flush=True,
    )
    runs = run_all(names, settings, cost_of_critic, workers)
    made = Made(
        shlex.join(["python", "-m", "experiments.demo", *given]),
        datetime.now(timezone.utc).strftime("%Y-%m-%d, %H:%M UTC"),
        {"adaptive_critic": adaptive_critic.__version__, **versions()},
    )
    html, png = write(runs, shown, settings, made, options.out)
    print(f"\n{text_table(runs)}\n\n" + "\n".join(map(_wrapped, verdict(runs, settings))))
    print(f"\nReport, {time.perf_counter() - started:.0f} s after the start: {html}, {png}")
    print("Next: docs/start.md puts a controller into your own loop, in five minutes.")


def _wrapped(text: str) -> str:
    return textwrap.fill(text, COLUMNS)


if __name__ == "__main__":
    main()
