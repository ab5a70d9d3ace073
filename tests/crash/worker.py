"""One life of a training: it starts, or goes on from the newest checkpoint that loads, until it ends or is killed.

Every line that it writes to its standard output starts with a word that says what it is: ``resumed``, ``trace``,
``writing``.
"""

from __future__ import annotations

import argparse
import io
import os
import pickle
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.handlers import Checkpoint, DiskSaver

from tests.crash.training import ITERATIONS, MODES, Training

MOMENTS = ("in the file", "before the rename", "after the rename")


def say(word: str, text: object) -> None:
    os.write(1, f"{word} {text}\n".encode())


def wait_for_the_end() -> None:
    while True:
        signal.pause()


class SuspendedSaver(DiskSaver):
    """A DiskSaver that stops in the middle of one of its writes, says so, and waits to be killed.

    Args:
        folder: where the files go.
        suspend: (which write, from 0; at which of MOMENTS; share of the bytes written until then), or None.
        options: as in DiskSaver.
    """

    def __init__(self, folder: Path, suspend: tuple[int, str, float] | None, **options: Any) -> None:
        super().__init__(str(folder), require_empty=False, **options)
        self._suspend = suspend
        self._writes = 0

    def _save_func(self, checkpoint: Mapping[Any, Any], path: Path, func: Callable[..., Any]) -> None:
        mine = self._suspend is not None and self._writes == self._suspend[0]
        self._writes += 1
        if self._suspend is None or not mine:
            super()._save_func(checkpoint, path, func)
            return
        _, moment, share = self._suspend

        def save(content: Any, file: Any) -> None:
            buffer = io.BytesIO()
            torch.save(content, buffer)
            written = buffer.getvalue()
            if moment == "in the file":
                written = written[: int(len(written) * share)]
            if isinstance(file, Path):
                file.write_bytes(written)
            else:
                file.write(written)
                file.flush()
            if moment != "after the rename":
                say("writing", f"{path.name} {len(written)}")
                wait_for_the_end()

        super()._save_func(checkpoint, path, save)
        say("writing", f"{path.name} whole")
        wait_for_the_end()


def newest(folder: Path) -> tuple[Path, dict[str, Any], int] | None:
    """Return the newest checkpoint that loads, what it holds, and how many newer ones did not load."""
    files = sorted(folder.glob("checkpoint_*.pt"), key=lambda path: int(path.stem.rpartition("_")[2]), reverse=True)
    for damaged, path in enumerate(files):
        try:
            return path, torch.load(path, weights_only=True), damaged
        except (RuntimeError, EOFError, OSError, pickle.UnpicklingError):  # cut short: which one depends on where
            continue
    return None


def main(options: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mode", choices=MODES, required=True)
    parser.add_argument("--iterations", type=int, default=ITERATIONS)
    parser.add_argument("--save-first", action="store_true")
    parser.add_argument("--not-atomic", action="store_true")
    parser.add_argument("--suspend", nargs=3, metavar=("WRITE", "MOMENT", "SHARE"))
    arguments = parser.parse_args(options)
    torch.set_num_threads(1)
    training = Training(arguments.mode, save_first=arguments.save_first)
    suspend = arguments.suspend and (int(arguments.suspend[0]), arguments.suspend[1], float(arguments.suspend[2]))
    saver = SuspendedSaver(arguments.folder, suspend, atomic=not arguments.not_atomic)
    found = newest(arguments.folder)
    if found is None:
        say("resumed", "0 0")
    else:
        path, checkpoint, damaged = found
        Checkpoint.load_objects(training.to_save, checkpoint)
        say("resumed", f"{path.stem.rpartition('_')[2]} {damaged}")
    training.run(Checkpoint(training.to_save, saver, n_saved=2), lambda line: say("trace", line), arguments.iterations)
