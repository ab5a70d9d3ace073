"""resume_exactly: go on from the newest checkpoint, and write new ones, in one call."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint, DiskSaver

from adaptive_critic import distributed
from adaptive_critic.checks import integer, keywords
from adaptive_critic.resume import files
from adaptive_critic.resume.recipe import complete_recipe
from adaptive_critic.state import StateError


class Resumed(NamedTuple):
    """Result of :func:`resume_exactly`."""

    iteration: int
    """iterations that are done; 0: a new run"""
    file: Path | None
    """loaded file"""
    passed_over: tuple[Path, ...]
    """newer files that do not load, or that other ranks lack"""
    to_save: dict[str, Any]
    """all saved objects, by name"""
    checkpoint: Checkpoint
    """Ignite's handler, which writes the files"""

    def __repr__(self) -> str:
        file = None if self.file is None else str(self.file)
        skipped = [path.name for path in self.passed_over]
        return f"Resumed(iteration={self.iteration}, {file=}, passed_over={skipped}, to_save={list(self.to_save)})"


class LastSaver:
    """Calls ``save`` after due iterations, when all handlers of that moment have run.

    A resume loses what handlers do after the save. So at each STARTED the handlers of this object go to the end of
    their events' lists. The last iteration of an epoch is saved after the handlers of EPOCH_COMPLETED, or of
    TERMINATE_SINGLE_EPOCH if ``skip_epoch_completed=True`` leaves out the others. If the run is terminated in an
    epoch's last iteration, Ignite leaves out both, and that iteration is not saved. In an epoch of unknown length any
    iteration may be the last, and Ignite can't go on from within it. So a due save is made at its end.
    """

    def __init__(self, due: Callable[[int], bool], save: Callable[[Engine], None]) -> None:
        self._due = due
        self._save = save

    def attach(self, engine: Engine) -> None:
        """Save from the next run on."""
        engine.add_event_handler(Events.STARTED, self._on_started)

    def detach(self, engine: Engine) -> None:
        """Save no more."""
        for event, handler in ((Events.STARTED, self._on_started), *self._last()):
            _remove(engine, event, handler)

    def _last(self) -> tuple[tuple[Events, Callable[..., None]], ...]:
        """Events whose last handler this is, with the handler."""
        return (
            (Events.ITERATION_COMPLETED, self._on_iteration_completed),
            (Events.TERMINATE_SINGLE_EPOCH, self._on_epoch_terminated),
            (Events.EPOCH_COMPLETED, self._on_epoch_completed),
        )

    def _on_started(self, engine: Engine) -> None:
        iteration, length = engine.state.iteration, engine.state.epoch_length
        self._waiting = False
        self._epoch_began = iteration - (iteration % length if length else 0)
        for event, handler in self._last():
            _remove(engine, event, handler)
            engine.add_event_handler(event, handler)

    def _on_iteration_completed(self, engine: Engine) -> None:
        iteration, length = engine.state.iteration, engine.state.epoch_length
        self._waiting |= self._due(iteration)
        may_be_last = length is None or iteration - self._epoch_began >= length
        if not may_be_last and not engine.should_terminate_single_epoch:
            self._save_if_waiting(engine)

    def _on_epoch_terminated(self, engine: Engine, iter_counter: int) -> None:
        if engine.should_terminate_single_epoch == "skip_epoch_completed":
            self._on_epoch_completed(engine)

    def _on_epoch_completed(self, engine: Engine) -> None:
        self._epoch_began = engine.state.iteration
        self._save_if_waiting(engine)

    def _save_if_waiting(self, engine: Engine) -> None:
        if self._waiting:
            self._waiting = False
            self._save(engine)


def _remove(engine: Engine, event: Events, handler: Callable[..., None]) -> None:
    if engine.has_event_handler(handler, event):
        engine.remove_event_handler(handler, event)


_savers: WeakKeyDictionary[Engine, LastSaver] = WeakKeyDictionary()


class _WholeState:
    """Optimizer whose state is spread over the ranks, saved whole on each of them, where Ignite saves on one."""

    def __init__(self, optimizer: Any) -> None:
        self.load_state_dict = optimizer.load_state_dict
        self._optimizer = optimizer

    def state_dict(self) -> Any:
        return distributed.full_state(self._optimizer)


@keywords()
def resume_exactly(
    trainer: Engine,
    folder: str | os.PathLike[str],
    objects: Mapping[str, Any],
    *,
    every: int,
    keep: int = 2,
    device: str | torch.device | None = None,
) -> Resumed:
    """Go on from the newest checkpoint in ``folder``, if there is one, and write one every ``every`` iterations.

    Call it last before ``trainer.run``, when everything is built and attached. The same script, run again, goes on from
    its last checkpoint: bit for bit if the recipe is complete (see :func:`check_resume`) and the computation itself is
    deterministic. It is Ignite's ``Checkpoint`` of the :func:`complete_recipe`, which saves after all other handlers,
    one file for each rank, and passes over files that do not load or whose checksums are wrong. Everything loads under
    ``weights_only=True``; the first file is read back at once. The page on exact resume has the details.

    Ignite begins a complete run anew if it is run again: compare ``iteration`` with the planned number. A further call
    for the same trainer replaces the first one's saver. After an exception, build everything afresh and call this
    again, since memory may hold half an iteration.

    Args:
        trainer: the engine.
        folder: folder of the files, one for each run. It is created if it does not exist.
        objects: see :func:`complete_recipe`.
        every: iterations from checkpoint to checkpoint, at least 1.
        keep: number of files to keep, at least 2: Ignite removes the oldest before it writes the next.
        device: see :func:`complete_recipe`.

    Returns:
        what it goes on from, see :class:`~adaptive_critic.resume.Resumed`.

    Raises:
        StateError: if the checkpoint holds other objects.
        RuntimeError: if the folder can't be read, or there are checkpoints, but none that can be gone on from.
        ValueError: while running, if the first file can't be read back under ``weights_only=True``.

    Example:
        >>> import tempfile
        >>> from adaptive_critic import FixedController
        >>> def run(folder, iterations):
        ...     trainer, controller = Engine(lambda engine, batch: None), FixedController(3)
        ...     controller.attach(trainer)
        ...     resumed = resume_exactly(trainer, folder, {"controller": controller}, every=10)
        ...     if resumed.iteration < iterations:
        ...         trainer.run(range(50), max_epochs=iterations // 50)
        ...     return resumed.iteration, controller.critic_updates
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run(folder, 50), run(folder, 100), run(folder, 100)
        ((0, 150), (50, 300), (100, 300))
    """
    if not isinstance(folder, (str, os.PathLike)):
        raise TypeError(f"folder={folder!r}: expected a path, got {type(folder).__name__}")
    if not os.fspath(folder):
        raise ValueError(f"folder={folder!r}: expected a path, '.' for the current folder")
    integer("every", every, at_least=1)
    if integer("keep", keep, at_least=0) < 2:
        raise ValueError(
            f"keep={keep}: expected at least 2, as Ignite removes the old checkpoint before it writes the new one"
        )
    to_save = complete_recipe(trainer, objects, device=device)
    where = Path(folder).expanduser()
    found = files.find(where, next(name for name, item in to_save.items() if item is trainer))
    if found.file is not None:
        _check_names(found, to_save)
        Checkpoint.load_objects(to_save, found.content)
    rank, ranks = distributed.rank(), distributed.world_size()
    where.mkdir(parents=True, exist_ok=True)  # Ignite's own method fails if another rank is faster
    whole = {
        name: _WholeState(item) if hasattr(item, "consolidate_state_dict") else item for name, item in to_save.items()
    }
    checkpoint = Checkpoint(
        whole,
        DiskSaver(str(where), require_empty=False, save_on_rank=rank),
        filename_prefix="" if ranks == 1 else f"rank{rank}of{ranks}",
        n_saved=keep,
        save_on_rank=rank,
    )
    checkpoint.load_state_dict({"_saved": list(found.older)})
    unread = True

    def save(engine: Engine) -> None:
        nonlocal unread
        checkpoint(engine)
        if unread:  # otherwise only a resume would find that it does not load
            path = Path(str(checkpoint.last_checkpoint))
            try:
                files.load(path)
            except Exception as error:
                reason = files.why_it_does_not_load(error, whole)
                raise ValueError(f"{path} was written, but can't be read back: {reason}") from error
            unread = False

    if trainer in _savers:  # called before: two savers would write and remove the same files
        _savers[trainer].detach(trainer)
    _savers[trainer] = LastSaver(lambda iteration: iteration % every == 0, save)
    _savers[trainer].attach(trainer)
    return Resumed(found.iteration, found.file, found.passed_over, to_save, checkpoint)


def _check_names(found: files.Found, to_save: Mapping[str, Any]) -> None:
    """Refuse a checkpoint of other objects before anything is loaded."""
    missing, unknown = sorted(set(to_save) - set(found.content)), sorted(set(found.content) - set(to_save))
    if missing:
        raise StateError(
            f"{found.file} has no {missing[0]!r}; it has {sorted(found.content)}. To go on without it, take another "
            "folder, and load what you need with Checkpoint.load_objects"
        )
    if unknown:
        raise StateError(
            f"{found.file} also has {unknown[0]!r}, which is not among the objects to save: add it to them"
        )
