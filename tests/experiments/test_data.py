from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments import data


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", data.PROBLEMS_2D)
def test_problem_is_float32_of_unit_scale_and_set_by_the_seed(name: str) -> None:
    sampler = data.PROBLEMS_2D[name]
    points = sampler(20_000, _generator())
    assert points.shape == (20_000, 2)
    assert points.dtype == torch.float32
    assert points.std(dim=0).tolist() == pytest.approx([1.0, 1.0], abs=0.05)
    assert torch.equal(points, sampler(20_000, _generator()))
    assert not torch.equal(points, sampler(20_000, _generator(1)))


@pytest.mark.parametrize(("name", "modes", "count"), [("ring", data.ring_modes(), 8), ("grid", data.grid_modes(), 25)])
def test_every_mode_gets_its_share(name: str, modes: torch.Tensor, count: int) -> None:
    assert modes.shape == (count, 2)
    nearest = torch.cdist(data.PROBLEMS_2D[name](20_000, _generator()), modes).min(dim=1)
    assert float(nearest.values.max()) < 0.1
    shares = torch.bincount(nearest.indices, minlength=len(modes)) / 20_000
    assert torch.allclose(shares, torch.full_like(shares, 1 / len(modes)), atol=0.01)


def test_samplers_leave_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    for sampler in data.PROBLEMS_2D.values():
        sampler(10, _generator())
    assert torch.equal(before, torch.get_rng_state())


def test_digits_are_flat_and_scaled() -> None:
    digits = data.digits()
    assert digits.shape == (1797, 64)
    assert digits.dtype == torch.float32
    assert (float(digits.min()), float(digits.max())) == (-1.0, 1.0)


def test_mnist_splits_are_disjoint_balanced_and_complete() -> None:
    whole, train, test = (data.mnist_5k(split) for split in ("all", "train", "test"))
    assert train.labels.bincount().tolist() == [400] * 10
    assert test.labels.bincount().tolist() == [100] * 10
    assert whole.images.shape == (5000, 1, 28, 28)
    assert (float(whole.images.min()), float(whole.images.max())) == (-1.0, 1.0)
    parts = torch.cat([train.images, test.images]).flatten(1)
    assert torch.equal(parts.double().sum(dim=0), whole.images.flatten(1).double().sum(dim=0))


def _write_idx(path: Path, values: np.ndarray) -> None:
    header = b"\x00\x00\x08" + bytes([values.ndim]) + struct.pack(f">{values.ndim}i", *values.shape)
    path.write_bytes(gzip.compress(header + values.astype(np.uint8).tobytes()))


@pytest.fixture
def tiny_fashion(tmp_path: Path) -> Path:
    pixels = np.arange(2 * 28 * 28).reshape(2, 28, 28) % 256
    for stem in ("train", "t10k"):
        _write_idx(tmp_path / f"{stem}-images-idx3-ubyte.gz", pixels)
        _write_idx(tmp_path / f"{stem}-labels-idx1-ubyte.gz", np.array([3, 9]))
    return tmp_path


def test_fashion_mnist_is_read_from_a_named_folder(tiny_fashion: Path) -> None:
    loaded = data.fashion_mnist("test", tiny_fashion)
    assert loaded.labels.tolist() == [3, 9]
    assert loaded.images.shape == (2, 1, 28, 28)
    assert loaded.images[0, 0, 0, :2].tolist() == pytest.approx([-1.0, 1 / 127.5 - 1.0])
    assert float(loaded.images[0, 0].flatten()[255]) == 1.0


def test_fashion_mnist_is_found_through_the_environment(tiny_fashion: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(data.FASHION_MNIST_VARIABLE, str(tiny_fashion))
    assert data.fashion_mnist_folder() == tiny_fashion
    assert data.images("auto").name == "fashion-mnist"


def test_absent_fashion_mnist_names_the_command_and_auto_falls_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(data.FASHION_MNIST_VARIABLE, str(tmp_path))
    assert data.fashion_mnist_folder() is None
    with pytest.raises(data.DataNotFoundError, match="apt-get install dataset-fashion-mnist"):
        data.fashion_mnist()
    assert data.images("auto").name == "mnist-5k"


def test_machine_without_dpkg_has_no_fashion_mnist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(data.FASHION_MNIST_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert data.fashion_mnist_folder() is None


def test_file_that_is_no_idx_file_is_refused(tiny_fashion: Path) -> None:
    (tiny_fashion / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"hello world"))
    with pytest.raises(ValueError, match="not an IDX file"):
        data.fashion_mnist("train", tiny_fashion)


@pytest.mark.parametrize("load", [data.fashion_mnist, data.mnist_5k])
def test_unknown_split_lists_the_valid_ones(load: object) -> None:
    assert callable(load)
    with pytest.raises(ValueError, match=r"split='validation': must be one of .*train, test"):
        load("validation")


def test_unknown_image_set_lists_the_valid_ones() -> None:
    with pytest.raises(ValueError, match="'cifar': must be one of auto, fashion-mnist, mnist-5k"):
        data.images("cifar")


def test_average_pooling_keeps_the_mean_of_each_block() -> None:
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    pooled = data.average_pooled(data.ImageSet("toy", image, torch.zeros(1, dtype=torch.int64)), side=2)
    assert pooled.images.flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert pooled.name == "toy-2x2"
    with pytest.raises(ValueError, match="side=3: must divide 4"):
        data.average_pooled(data.ImageSet("toy", image, torch.zeros(1)), side=3)


@pytest.mark.parametrize(("name", "count"), [("fair", 6366), ("randhie", 20190)])
def test_table_is_standardised_one_hot_and_comes_back(name: str, count: int) -> None:
    import statsmodels.api as statsmodels

    table = data.table(name)
    continuous = len(table.continuous)
    assert table.rows.shape == (count, continuous + sum(table.block_sizes))
    assert torch.allclose(table.rows[:, :continuous].mean(dim=0), torch.zeros(continuous), atol=1e-3)
    assert torch.allclose(table.rows[:, :continuous].std(dim=0), torch.ones(continuous), atol=1e-3)
    assert torch.equal(table.rows[:, continuous:].sum(dim=1), torch.full((count,), float(len(table.levels))))
    frame = getattr(statsmodels.datasets, name).load_pandas().data
    for column, values in table.decode(table.rows).items():
        np.testing.assert_allclose(values, frame[column], rtol=1e-4, atol=1e-4)


def test_table_distance_orders_samples_by_how_real_they_are() -> None:
    table = data.table("fair")
    width = len(table.continuous)
    order = torch.randperm(len(table.rows), generator=_generator())
    shifted = table.rows.clone()
    shifted[:, 0] += 0.5
    independent = table.rows.clone()
    independent[:, 0] = independent[order, 0]
    one_category = table.rows.clone()
    one_category[:, width : width + table.block_sizes[0]] = torch.eye(table.block_sizes[0])[0]
    assert table.distance(table.rows) == 0.0
    assert table.distance(table.rows[order[:3000]]) < 0.03
    assert table.distance(shifted) == pytest.approx(0.5 / 9, rel=1e-3)  # one of nine columns moved
    assert table.distance(independent) > 0.005  # equal marginals: only the correlations tell
    assert table.distance(one_category) > 0.08


def test_wrong_table_or_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="table='adult': must be one of fair, randhie"):
        data.table("adult")
    with pytest.raises(ValueError, match=r"rows of shape \(3, 2\): must be \(n, 26\)"):
        data.table("fair").decode(torch.zeros(3, 2))
