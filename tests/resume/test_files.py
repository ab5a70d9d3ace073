"""Which checkpoint to go on from, as each rank of two decides; tests/crash has the processes."""

from __future__ import annotations

import os
import shutil
import struct
import zipfile
from pathlib import Path

import pytest
import torch

from adaptive_critic import distributed
from adaptive_critic.resume import files


class Ranks:
    """This process as one rank of two, of which the other has its newest checkpoint at some iteration."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, rank: int, others_newest: int) -> None:
        self.told: list[str] = []
        monkeypatch.setattr(distributed, "rank", lambda: rank)
        monkeypatch.setattr(distributed, "world_size", lambda: 2)

        def summed(row: torch.Tensor) -> torch.Tensor:
            assert row[1 - rank] == 0
            other = torch.zeros(2, dtype=torch.float64)
            other[1 - rank] = others_newest
            return row + other

        def first_message(message: str) -> str:
            self.told.append(message)
            return message and f"rank {rank}: {message}"

        monkeypatch.setattr(distributed, "sum_over_ranks", summed)
        monkeypatch.setattr(distributed, "first_message", first_message)


def write(folder: Path, rank: int, *iterations: int) -> None:
    for iteration in iterations:
        torch.save({"iteration": iteration}, folder / f"rank{rank}of2_checkpoint_{iteration}.pt")


@pytest.mark.parametrize("rank", [0, 1])
def test_ranks_go_on_from_the_newest_that_both_have(rank: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, rank, 7, 14, 21)
    write(tmp_path, 1 - rank, 7, 14)
    Ranks(monkeypatch, rank, others_newest=14)
    found = files.find(tmp_path, "trainer")
    assert (found.iteration, found.content) == (14, {"iteration": 14})
    assert [path.name for path in found.passed_over] == [f"rank{rank}of2_checkpoint_21.pt"]
    assert [name for _, name in found.older] == [f"rank{rank}of2_checkpoint_{iteration}.pt" for iteration in (7, 14)]


def test_both_begin_anew_if_one_was_killed_before_its_first_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, 0, 7)
    Ranks(monkeypatch, 0, others_newest=0)
    found = files.find(tmp_path, "trainer")
    assert (found.iteration, found.file, len(found.passed_over)) == (0, None, 1)


@pytest.mark.parametrize("others_newest", [0, 9], ids=["none", "others"])
def test_ranks_that_have_no_checkpoint_in_common_say_so(
    others_newest: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, 0, 7, 14)
    Ranks(monkeypatch, 0, others_newest)
    with pytest.raises(
        RuntimeError, match=r"rank 0: no checkpoint in .* that all ranks have: this one has .* \[7, 14\]"
    ):
        files.find(tmp_path, "trainer")


def test_a_rank_with_nothing_wrong_hears_of_the_others_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, 0, 7)
    ranks = Ranks(monkeypatch, 0, others_newest=7)
    monkeypatch.setattr(distributed, "first_message", lambda message: "rank 1: its disk is gone")
    with pytest.raises(RuntimeError, match="rank 1: its disk is gone"):
        files.find(tmp_path, "trainer")
    assert ranks.told == []


def test_a_newest_file_with_any_byte_overwritten_is_passed_over_or_loads(tmp_path: Path) -> None:
    """Whatever torch.load raises: UnicodeDecodeError, KeyError and IndexError are among it."""
    torch.save({"iteration": 1}, tmp_path / "checkpoint_1.pt")
    newest = tmp_path / "checkpoint_2.pt"
    torch.save({"iteration": 2}, newest)
    whole = newest.read_bytes()
    spoilt = [b"", b"hello world\n", whole[100:], *(whole[:at] + b"\xff" + whole[at + 1 :] for at in range(0, 400, 3))]
    iterations = []
    for content in spoilt:
        newest.write_bytes(content)
        iterations.append(files.find(tmp_path, "trainer").iteration)
    assert set(iterations) == {1, 2}
    assert iterations[:3] == [1, 1, 1]


def test_a_newest_file_with_one_bit_of_a_weight_flipped_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """torch.load takes it."""
    torch.save({"iteration": 1}, tmp_path / "checkpoint_1.pt")
    newest = tmp_path / "checkpoint_2.pt"
    torch.save({"weight": torch.full((1000,), 7.0)}, newest)
    whole = bytearray(newest.read_bytes())
    whole[whole.index(struct.pack("<f", 7.0) * 9)] ^= 1
    newest.write_bytes(whole)
    assert not torch.equal(torch.load(newest, weights_only=True)["weight"], torch.full((1000,), 7.0))
    assert files.find(tmp_path, "trainer").iteration == 1
    assert "checkpoint_2/data/0 in it is not what was written: its checksum is another" in caplog.text


def test_a_newest_file_with_an_entry_marked_as_a_folder_is_passed_over(tmp_path: Path) -> None:
    """torch.load returns memory as it finds it, and no checksum is of those marks."""
    torch.save({"iteration": 1}, tmp_path / "checkpoint_1.pt")
    newest = tmp_path / "checkpoint_2.pt"
    torch.save({"weight": torch.full((1000,), 7.0)}, newest)
    whole = bytearray(newest.read_bytes())
    with zipfile.ZipFile(newest) as archive:
        whole[whole.index(b"checkpoint_2/data/0", archive.start_dir) - 46 + 38] ^= 0x10
    newest.write_bytes(whole)
    with zipfile.ZipFile(newest) as archive:
        assert archive.testzip() is None
    found = files.find(tmp_path, "trainer")
    assert (found.iteration, [path.name for path in found.passed_over]) == (1, ["checkpoint_2.pt"])


def test_a_file_with_the_name_of_another_iteration_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for iteration in (10, 20):
        torch.save({"trainer": {"iteration": iteration}}, tmp_path / f"checkpoint_{iteration}.pt")
    (tmp_path / "checkpoint_20.pt").rename(tmp_path / "checkpoint_500.pt")
    shutil.copy(tmp_path / "checkpoint_10.pt", tmp_path / "checkpoint_0010.pt")  # no name of Ignite's
    found = files.find(tmp_path, "trainer")
    assert (found.iteration, found.file) == (10, tmp_path / "checkpoint_10.pt")
    assert "checkpoint_500.pt does not load: 'it was saved after iteration 20'" in caplog.text


def test_a_folder_that_cannot_be_read_is_not_an_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert files.find(tmp_path / "not there", "trainer").iteration == 0
    (tmp_path / "file").write_text("")
    with pytest.raises(RuntimeError, match="file can't be read: .*Not a directory"):
        files.find(tmp_path / "file", "trainer")

    def refused(path: Path) -> list[str]:  # root may read everything
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "listdir", refused)
    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(RuntimeError, match="can't be read: .*Permission denied"):
        files.find(tmp_path, "trainer")


@pytest.mark.skipif(not hasattr(torch.serialization, "set_crc32_options"), reason="torch 2.6 has that switch")
def test_files_without_checksums_load(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"weight": torch.arange(1000)}, tmp_path / "checkpoint_1.pt")
        assert files.find(tmp_path, "trainer").iteration == 1
    finally:
        torch.serialization.set_crc32_options(True)


def test_files_of_the_old_format_load(tmp_path: Path) -> None:
    torch.save({"iteration": 1}, tmp_path / "checkpoint_1.pt", _use_new_zipfile_serialization=False)
    assert files.find(tmp_path, "trainer").iteration == 1


@pytest.mark.parametrize("content", [[1, 2], torch.ones(2)])
def test_a_newest_file_without_states_is_passed_over(content: object, tmp_path: Path) -> None:
    torch.save({"iteration": 1}, tmp_path / "checkpoint_1.pt")
    torch.save(content, tmp_path / "checkpoint_2.pt")
    found = files.find(tmp_path, "trainer")
    assert (found.iteration, [path.name for path in found.passed_over]) == (1, ["checkpoint_2.pt"])
