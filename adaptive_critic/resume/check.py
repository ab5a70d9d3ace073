"""check_resume: compares an interrupted training with an uninterrupted one, entry by entry."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeAlias

import torch
from ignite.engine import Engine
from ignite.engine.deterministic import keep_random_state
from ignite.handlers import Checkpoint
from ignite.utils import manual_seed

from adaptive_critic import distributed
from adaptive_critic.checks import integer
from adaptive_critic.resume import files
from adaptive_critic.resume.saving import LastSaver
from adaptive_critic.resume.trace import (
    OUTPUT,
    STATE,
    Difference,
    Moment,
    Recorder,
    Trace,
    first_difference,
    random_states_used,
)

Build: TypeAlias = "Callable[[], tuple[Engine, Mapping[str, Any]]]"

_NAMES_SHOWN = 6


class ResumeDifference(AssertionError):
    """A resumed run differs from the uninterrupted one.

    Attributes:
        saved_at: iteration after which it was saved.
        iteration: first iteration in which they differ.
        step: ``"before"`` or ``"after"`` that iteration's step.
        name: the first difference: a name of the recipe or of the training step, ``"engine.state"``, ``"output"`` or
            ``"the global random state"``.
        entry: its entry, such as ``"0.weight"`` or ``"num_discriminator_steps"``.
        also: names of the other differences at that moment.
    """

    def __init__(self, saved_at: int, moment: Moment, differing: list[Difference], restored: Collection[str]) -> None:
        (self.name, self.entry), resumed, expected = differing[0]
        self.saved_at, self.iteration, self.step = saved_at, moment.iteration, moment.step
        self.also = tuple(dict.fromkeys(name for (name, _), *_ in differing if name != self.name))
        text = (
            f"saved after iteration {saved_at} and resumed, {self.step} the step of iteration {self.iteration}: "
            f"{self.name}, {self.entry} is {resumed}, uninterrupted {expected}"
        )
        if self.name not in restored:
            text += f". The recipe does not restore {self.name}"
        if self.also:
            more = len(self.also) - _NAMES_SHOWN
            text += f". Different there as well: {', '.join(self.also[:_NAMES_SHOWN])}"
            text += f" and {more} more" if more > 0 else ""
        super().__init__(text)


@keep_random_state
def check_resume(
    build: Build,
    run: Callable[[Engine], Any],
    *,
    iterations: int = 20,
    saved_at: Collection[int] | None = None,
    ignore: Collection[str] = (),
) -> None:
    """Check that a run which is interrupted, built afresh and resumed equals the uninterrupted one, bit for bit.

    It runs the training uninterrupted, then again with saves at some iterations. From each save it resumes a fresh
    build with other random states, as in a new process. Before and after each step it compares the numbers on
    ``engine.state``, the step's output, the global random states, if the run uses them, and the states of everything in
    the recipe and of everything that the step and the handlers refer to. So it finds forgotten networks and optimizers.
    All states go through ``torch.save`` and a load under ``weights_only=True``.

    It does not see states outside of ``build``, such as files, or without ``state_dict``, such as attributes of your
    own. Nor does it compare the epoch, which Ignite computes from the iteration, running metrics that decide nothing,
    or objects that only later iterations use. For one process.

    Args:
        build: builds everything afresh, attached and ready to run, and returns the trainer and the recipe: what
            ``Checkpoint`` saves and loads, by name. It must not load a checkpoint itself.
        run: runs the trainer for more than ``iterations`` iterations. The check ends it.
        iterations: number of iterations to compare, at least 2.
        saved_at: iterations after which to save, each at least 1 and below ``iterations``. One of them should end an
            epoch. None: half of ``iterations``.
        ignore: names of objects or entries that may differ, such as a log.

    Raises:
        ResumeDifference: an AssertionError that names the first thing that differs.
        ValueError: if the run is too short, two runs that were not interrupted differ, or a state is not data.
        RuntimeError: in a distributed run.

    Example:
        >>> from torch import nn
        >>> from adaptive_critic.random_state import RandomState
        >>> def build():
        ...     model = nn.Linear(1, 1)
        ...     optimizer = torch.optim.Adam(model.parameters())
        ...     def step(engine, batch):
        ...         optimizer.zero_grad()
        ...         loss = model(torch.randn(4, 1)).square().mean()
        ...         loss.backward()
        ...         optimizer.step()
        ...         return loss.detach()
        ...     trainer = Engine(step)
        ...     return trainer, {"trainer": trainer, "model": model, "random": RandomState(torch.device("cpu"))}
        >>> try:
        ...     check_resume(build, lambda trainer: trainer.run(range(10), max_epochs=3))
        ... except ResumeDifference as difference:
        ...     print(difference.name, difference.step, difference.iteration)
        optimizer before 11
    """
    for name, function in (("build", build), ("run", run)):
        if not callable(function):
            raise TypeError(f"{name}={function!r}: expected a function, got {type(function).__name__}")
    integer("iterations", iterations, at_least=2)
    ignore = _listed("ignore", ignore, "names")
    for name in ignore:
        if not isinstance(name, str):
            raise TypeError(f"ignore has {name!r}: expected names, got {type(name).__name__}")
    moments = (iterations // 2,) if saved_at is None else _listed("saved_at", saved_at, "iterations")
    if not moments:
        raise ValueError(f"saved_at={saved_at!r}: expected at least one iteration, or nothing would be compared")
    for moment in moments:
        if integer("saved_at", moment, at_least=1) >= iterations:
            raise ValueError(f"saved_at={moment}: expected less than iterations={iterations}")
    if distributed.world_size() > 1:
        raise RuntimeError(f"check_resume is for one process, this run has {distributed.world_size()}")
    expected, *_ = _trace(build, run, iterations, ignore)
    if len(expected) < 2 * iterations:
        raise ValueError(f"run() ended after {len(expected) // 2} iterations, expected at least {iterations}")
    used = random_states_used(expected)
    again, saved, _ = _trace(build, run, iterations, ignore, saved_at=moments)
    found = first_difference(again, expected, used)
    if found is not None:
        where, [((name, entry), other, one), *_] = found
        raise ValueError(
            f"two runs that were not interrupted differ, {where.step} the step of iteration {where.iteration}: {name}, "
            f"{entry} is {one} and {other}. Is there something that build() does not make afresh, or an operation that "
            "is not deterministic?"
        )
    for moment in moments:
        if moment not in saved:
            raise ValueError(
                f"saved_at={moment}: Ignite can't go on from within the first epoch of data without a length; give run "
                "the number of its batches, epoch_length=..."
            )
    for iteration, content in saved.items():
        # Use another seed: a new process starts with other random states, and build() draws anew.
        trace, _, to_save = _trace(build, run, iterations, ignore, seed=iteration, resume_from=content)
        rest = {moment: then for moment, then in expected.items() if moment.iteration > iteration}
        found = first_difference(trace, rest, used)
        if found is not None:
            raise ResumeDifference(iteration, *found, restored={*to_save, STATE, OUTPUT})


def _listed(name: str, value: Any, items: str) -> tuple[Any, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise TypeError(f"{name}={value!r}: expected a list of {items}, got {type(value).__name__}")
    return tuple(value)


def _trace(
    build: Build,
    run: Callable[[Engine], Any],
    iterations: int,
    ignore: Collection[str],
    *,
    seed: int = 0,
    saved_at: Collection[int] = (),
    resume_from: bytes | None = None,
) -> tuple[Trace, dict[int, bytes], Mapping[str, Any]]:
    """Return the trace of a run from a fresh build, its saved states, and its recipe."""
    manual_seed(seed)
    built = build()
    try:
        trainer, to_save = built
    except (TypeError, ValueError) as error:
        raise TypeError(f"build() returned {built!r}: expected the trainer and the recipe, two of them") from error
    if not isinstance(trainer, Engine):
        raise TypeError(f"build() returned a {type(trainer).__name__} first: expected the trainer, an ignite Engine")
    saved: dict[int, bytes] = {}

    def keep(checkpoint: Mapping[str, Any], filename: str, metadata: Mapping[str, Any] | None = None) -> None:
        file = io.BytesIO()
        torch.save(checkpoint, file)
        saved[trainer.state.iteration] = file.getvalue()
        try:
            _load(file.getvalue())
        except pickle.UnpicklingError as error:
            raise ValueError(files.why_it_does_not_load(error, to_save)) from error

    LastSaver(saved_at.__contains__, Checkpoint(to_save, keep, n_saved=None)).attach(trainer)
    if resume_from is not None:
        Checkpoint.load_objects(to_save, _load(resume_from))
    recorder = Recorder(trainer, to_save, iterations, ignore)
    run(trainer)
    return recorder.trace, saved, to_save


def _load(content: bytes) -> dict[str, Any]:
    loaded: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return loaded
