"""Checkpoint files: reads them as data, and finds the newest one that all ranks can go on from."""

from __future__ import annotations

import io
import logging
import os
import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from ignite.engine.deterministic import DeterministicEngine

from adaptive_critic import distributed

_NAME = re.compile(r"(?:rank(\d+)of(\d+)_)?checkpoint_(0|[1-9]\d*)\.pt")
_FOLDER = 0x10  # attribute of an entry of a zip archive

_logger = logging.getLogger("adaptive_critic")


class Found(NamedTuple):
    """A checkpoint to go on from."""

    iteration: int  # after which it was saved; 0 if there is none
    file: Path | None  # this rank's
    content: dict[str, Any]  # state by name
    older: tuple[tuple[int, str], ...]  # iteration and name of this file and of those before it, oldest first
    passed_over: tuple[Path, ...]  # newer files, which do not load or which other ranks do not have


def load(path: Path) -> dict[str, Any]:
    """Return the content of a checkpoint, on the CPU. Nothing in it is executed, and its checksums must be right."""
    if _has_checksums(path):
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            folders = [entry.filename for entry in archive.infolist() if entry.external_attr & _FOLDER]
        if damaged is not None:
            raise ValueError(f"{damaged} in it is not what was written: its checksum is another")
        if folders:  # torch.load does not read those, and returns memory as it finds it
            raise ValueError(f"{folders[0]} in it is marked as a folder: torch.save writes none")
    content = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(content, dict):
        raise TypeError(f"expected a dict of states, got {type(content).__name__}")
    return content


def _has_checksums(path: Path) -> bool:
    """Return whether it is a zip archive, as torch.save writes it, whose checksums were not switched off."""
    switch: Callable[[], bool] | None = getattr(torch.serialization, "get_crc32_options", None)  # torch 2.6 and later
    return zipfile.is_zipfile(path) and (switch is None or switch())


def why_it_does_not_load(error: Exception, to_save: Mapping[str, Any]) -> str:
    """Return in words which object of a checkpoint has a state that is not data, the error's own if none has."""
    for name, item in to_save.items():
        file = io.BytesIO()
        torch.save(item.state_dict(), file)
        file.seek(0)
        try:
            torch.load(file, weights_only=True)
        except pickle.UnpicklingError as refused:
            found = re.search(r"(?:GLOBAL|class) ([\w.]+)", str(refused))
            advice = "return tensors, numbers, strings, lists and dicts from its state_dict()"
            if isinstance(item, DeterministicEngine):
                advice = "take an Engine, whose random states are saved beside it"
            return (
                f"the state of {name!r}, a {type(item).__name__}, holds {found[1] if found else 'more than data'}: "
                f"{advice}. torch.load(weights_only=True) reads nothing else"
            )
    return str(error)


def find(folder: Path, trainer: str) -> Found:
    """Return the newest checkpoint that loads, of the same iteration on every rank.

    The iteration in the state of ``trainer`` must be that of the file's name. Every rank raises a RuntimeError if the
    folder, which need not exist, can't be read, or there are checkpoints, but none that all ranks can go on from.
    """
    rank, ranks = distributed.rank(), distributed.world_size()
    mine: dict[int, Path] = {}
    others: set[int] = set()
    error = ""
    try:
        # Path.glob returns nothing for a folder without read permission.
        names = os.listdir(folder) if folder.exists() else []
    except OSError as reason:
        names, error = [], f"{folder} can't be read: {reason}"
    for match in filter(None, map(_NAME.fullmatch, names)):
        owner, count = (int(match[1]), int(match[2])) if match[1] else (0, 1)
        if count != ranks:
            others.add(count)
        elif owner == rank:
            mine[int(match[3])] = folder / match[0]
    newest, content = _newest(mine, trainer)
    if others and not mine:
        error = (
            f"{folder} has checkpoints of {' and '.join(map(str, sorted(others)))} rank(s), this run has {ranks}: an "
            "exact resume needs as many. To go on otherwise, take another folder, and load what you need with "
            "Checkpoint.load_objects"
        )
    elif mine and not newest:
        error = (
            f"none of the {len(mine)} checkpoints in {folder} loads: move them away to begin anew, or put back a copy"
        )
    agreed = _oldest_of_all_ranks(newest)
    if agreed not in mine and (agreed or len(mine) > 1):
        # A kill within a write leaves one file more than on another rank; a larger difference is a loss.
        error = error or f"no checkpoint in {folder} that all ranks have: this one has those of {sorted(mine)}"
    error = error if ranks == 1 else distributed.first_message(error)
    if error:
        raise RuntimeError(error)
    passed_over = tuple(path for iteration, path in sorted(mine.items()) if iteration > agreed)
    for path in passed_over:
        _logger.warning("passed over %s: it does not load, or other ranks do not have it", path)
    if not agreed:
        return Found(0, None, {}, (), passed_over)
    older = tuple((iteration, path.name) for iteration, path in sorted(mine.items()) if iteration <= agreed)
    return Found(agreed, mine[agreed], content if agreed == newest else load(mine[agreed]), older, passed_over)


def _newest(files: dict[int, Path], trainer: str) -> tuple[int, dict[str, Any]]:
    """Return the iteration and the content of the newest file that loads, 0 if none does."""
    for iteration, path in sorted(files.items(), reverse=True):
        try:
            content = load(path)
            state = content.get(trainer)  # if it is missing, resume_exactly says so with all that is missing
            saved = state.get("iteration", iteration) if isinstance(state, dict) else iteration
            if saved != iteration:
                raise ValueError(f"it was saved after iteration {saved}")
            return iteration, content
        except Exception as error:  # the error of torch.load for a damaged file depends on where the damage is
            _logger.warning("%s does not load: %r", path, str(error).partition("\n")[0] or error)
    return 0, {}


def _oldest_of_all_ranks(newest: int) -> int:
    """Return the smallest of the ranks' numbers. Their newest checkpoints are at most one save apart."""
    ranks = distributed.world_size()
    if ranks == 1:
        return newest
    row = torch.zeros(ranks, dtype=torch.float64)
    row[distributed.rank()] = newest
    return int(distributed.sum_over_ranks(row).min())
