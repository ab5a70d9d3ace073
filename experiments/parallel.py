"""Many runs at once: finished ones are skipped, interrupted ones go on, no failure or dead worker stops the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

import joblib
from joblib.externals.loky.process_executor import BrokenProcessPool

from experiments.execution import RESULT, STARTED, execute, failure, finished
from experiments.plan import Spec, estimated_seconds
from experiments.runner import CHECKPOINT_SECONDS
from experiments.schema import Run, run_to_json, write_json

BACKENDS = ("loky", "dask")
Work = Callable[[Spec, float], Run]
_DEATHS_IN_VAIN = 3


class Progress:
    """A line per finished run, with the time that is left.

    Args:
        pending: Runs to be made.
        jobs: How many at once.
        say: Where the lines go.
    """

    def __init__(self, pending: Sequence[Spec], jobs: int, say: Callable[[str], None]) -> None:
        self.total = len(pending)
        self.jobs = jobs
        self.say = say
        self.done = self.failed = 0
        self.expected_left = estimated_seconds(pending)
        self.expected_done = 0.0
        self.began = time.monotonic()

    def tell(self, spec: Spec, run: Run) -> None:
        """Report one run."""
        expected = estimated_seconds([spec])
        self.done += 1
        self.expected_left -= expected
        self.expected_done += expected
        # Once something has been measured, the estimates count only relative to each other.
        pace = (time.monotonic() - self.began) / self.expected_done
        left = max(self.expected_left, 0.0) * pace
        if run.status == "failed":
            self.failed += 1
            last = (run.error or "").strip().splitlines()[-1:]
            outcome = f"FAILED: {' '.join(last)}"
        else:
            outcome = (
                f"{run.curve.quality[-1]:.4g}, mean n {run.summary.mean_n:.2f}, "
                f"{run.summary.cpu_seconds:.1f} s{', diverged' if run.diverged else ''}"
            )
        self.say(f"[{self.done:>{len(str(self.total))}}/{self.total}] {spec}: {outcome}; {_span(left)} left")


def _span(seconds: float) -> str:
    if seconds < 90.0:
        return f"{seconds:.0f} s"
    return f"{seconds / 60.0:.0f} min" if seconds < 5400.0 else f"{seconds / 3600.0:.1f} h"


def run_all(
    runs: Sequence[Spec],
    *,
    jobs: int = 2,
    backend: str = "loky",
    scheduler: str | None = None,
    say: Callable[[str], None] = print,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    retry_failed: bool = False,
    work: Work = execute,
) -> list[Run]:
    """Make all runs that are not finished.

    A run that matches another one waits for it. When a worker dies, the runs that it may have been at are taken up
    again, one at a time, so that one which kills its worker for good is found out and recorded as failed.

    Args:
        runs: The runs, in the order in which they shall begin.
        jobs: How many at once; with dask, as many as there are workers is a good number.
        backend: "loky", processes on this machine, or "dask".
        scheduler: Address of a dask scheduler, whose workers have one thread each and see the same results folder.
        say: Where progress goes.
        checkpoint_seconds: Processor seconds of work between two checkpoints of a run.
        retry_failed: Make failed runs again.
        work: What a worker does with a run.

    Returns:
        The results, in the order of ``runs``.

    Raises:
        ValueError: Unknown backend, or dask without a scheduler.
        DiskFullError: There is no room for results.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend={backend!r}: must be one of {', '.join(BACKENDS)}")
    if (backend == "dask") != (scheduler is not None):
        raise ValueError("--backend dask and --scheduler ADDRESS go together (dask scheduler prints its address)")
    results: dict[str, Run] = {}
    for spec in runs:
        found = finished(spec)
        if found is not None and not (retry_failed and found.status == "failed"):
            results[spec.identity] = found
        elif found is not None:
            (spec.folder / RESULT).unlink()
    pending = [spec for spec in runs if spec.identity not in results]
    if results:
        say(f"{len(results)} of {len(runs)} runs are finished already")
    progress = Progress(pending, jobs, say)
    suspects: list[Spec] = []
    deaths_in_vain = 0
    while pending or suspects:
        # A suspect runs alone: if its worker dies now, there is no doubt about who did it.
        is_trial = next(_ready(pending), None) is None
        group = suspects[:1] if is_trial else pending
        died, finished_before = False, len(results)
        try:
            for spec, run in _results(group, jobs, backend, scheduler, checkpoint_seconds, work):
                results[spec.identity] = run
                if not (spec.folder / RESULT).is_file():
                    write_json(spec.folder / RESULT, run_to_json(run))
                progress.tell(spec, run)
        except BrokenProcessPool as error:
            died = True
            say(f"a worker died ({type(error).__name__}); its run is taken up again")
        except Exception as error:
            if type(error).__name__ != "KilledWorker":  # dask's; it may not be installed
                raise
            died = True
            say("a dask worker died; its run is taken up again")
        for spec in group:
            # What a worker finished just before the death of another one is on disk, if nowhere else.
            found = finished(spec) if died and spec.identity not in results else None
            if found is not None:
                results[spec.identity] = found
                progress.tell(spec, found)
        if died and is_trial:
            (guilty,) = group
            if guilty.identity not in results:
                run = failure(guilty, "its worker process died, also when it ran alone (out of memory, or killed)")
                write_json(guilty.folder / RESULT, run_to_json(run))
                results[guilty.identity] = run
                progress.tell(guilty, run)
        elif died:
            suspects += [s for s in pending if s.identity not in results and (s.folder / STARTED).exists()]
            deaths_in_vain = 0 if suspects or len(results) > finished_before else deaths_in_vain + 1
            if deaths_in_vain == _DEATHS_IN_VAIN:
                raise RuntimeError(f"workers died {deaths_in_vain} times before they could begin a run")
        waiting = {spec.identity for spec in suspects}
        suspects = [spec for spec in suspects if spec.identity not in results]
        pending = [s for s in pending if s.identity not in results and s.identity not in waiting]
    if progress.failed:
        say(f"{progress.failed} of {progress.total} runs failed; their result.json has the traceback")
    return [results[spec.identity] for spec in runs]


def _results(
    group: Sequence[Spec],
    jobs: int,
    backend: str,
    scheduler: str | None,
    checkpoint_seconds: float,
    work: Work,
) -> Iterator[tuple[Spec, Run]]:
    """Run a group in parallel and yield what is done, as it is done."""
    with _backend(backend, scheduler):
        # joblib runs a single job in this very process, which a worker's death must not take along.
        parallel = joblib.Parallel(
            n_jobs=max(jobs, 2) if len(group) == 1 else jobs,
            return_as="generator_unordered",
            batch_size=1,
            pre_dispatch="n_jobs",
        )
        yield from parallel(joblib.delayed(_with_spec)(work, spec, checkpoint_seconds) for spec in _ready(group))


def _with_spec(work: Work, spec: Spec, checkpoint_seconds: float) -> tuple[Spec, Run]:
    return spec, work(spec, checkpoint_seconds)


def _ready(group: Sequence[Spec]) -> Iterator[Spec]:
    """The runs of a group as they become possible; those whose matched run is still under way are left for later."""
    waiting = list(group)
    while True:
        ready = next((s for s in waiting if s.matches is None or (s.matches / RESULT).is_file()), None)
        if ready is None:
            return
        waiting.remove(ready)
        yield ready


def _backend(backend: str, scheduler: str | None) -> AbstractContextManager[object]:
    config: AbstractContextManager[object]
    if backend == "loky":
        config = joblib.parallel_config("loky", inner_max_num_threads=1)
    else:
        config = joblib.parallel_config("dask", scheduler_host=scheduler, pure=False)
    return config
