"""Frechet distance in the features of a small classifier: how images are judged, in a batch of replicas."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from experiments.law_search.problems import labelled_images

FEATURES = 32


@cache
def classifier(name: str) -> nn.Sequential:
    """Return the body of a classifier of these images, trained from a fixed seed: (images, pixels) to (images, 32)."""
    images, labels = (torch.from_numpy(array) for array in labelled_images(name))
    with torch.enable_grad(), torch.random.fork_rng():
        torch.manual_seed(31)
        body = nn.Sequential(
            nn.Linear(images.shape[1], 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, FEATURES), nn.ReLU()
        )
        head = nn.Linear(FEATURES, int(labels.max()) + 1)
        optimizer = torch.optim.Adam([*body.parameters(), *head.parameters()], 2e-3, weight_decay=1e-4)
        for _ in range(1500):
            chosen = torch.randint(len(images), (128,))
            noisy = images[chosen] + 0.1 * torch.randn(128, images.shape[1])
            loss = nn.functional.cross_entropy(head(body(noisy)), labels[chosen])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    body.eval().requires_grad_(False)
    return body


def _moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return means (k, f) and covariances (k, f, f) of features (k, images, f)."""
    mean = features.mean(1)
    centred = features - mean[:, None]
    return mean, centred.transpose(1, 2) @ centred / (features.shape[1] - 1)


@cache
def _reference(name: str) -> tuple[Tensor, Tensor, Tensor]:
    features = classifier(name)(torch.from_numpy(labelled_images(name)[0])).double()[None]
    mean, covariance = _moments(features)
    values, vectors = torch.linalg.eigh(covariance[0])
    root = vectors @ torch.diag(values.clamp(min=0.0).sqrt()) @ vectors.T
    return mean, covariance, root


def frechet(name: str, fake: Tensor) -> Tensor:
    """Return the Frechet distances, shape (k,), between the data set and samples (k, images, pixels)."""
    k, count, pixels = fake.shape
    features = classifier(name)(fake.reshape(k * count, pixels)).reshape(k, count, FEATURES).double()
    finite = features.isfinite().all(2).all(1)
    mean, covariance = _moments(features.nan_to_num(0.0, 0.0, 0.0))
    real_mean, real_covariance, root = _reference(name)
    product = root @ covariance @ root
    overlap = torch.linalg.eigvalsh(product).clamp(min=0.0).sqrt().sum(1)
    trace = covariance.diagonal(dim1=1, dim2=2).sum(1) + real_covariance.diagonal(dim1=1, dim2=2).sum(1)
    distance = (mean - real_mean).square().sum(1) + trace - 2.0 * overlap
    return torch.where(finite, distance, torch.inf)
