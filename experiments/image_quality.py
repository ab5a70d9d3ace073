"""The small classifier in whose features image quality is measured, its weights, and how to remake them.

    python -m experiments.image_quality train --data fashion-mnist
    python -m experiments.image_quality check --data mnist-5k

Frechet distances in its features are comparable with each other for one file of weights, and with nothing
else: not with published FID values, which use Inception's features. So the weights carry a SHA-256 that is
checked at every load.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import io
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from experiments.data import IMAGE_SETS, ImageSet, images
from experiments.metrics import class_histogram, frechet_distance, moments, total_variation

WEIGHTS = Path(__file__).parent / "weights"
SIDE = 28
FEATURES = 64
CLASSES = 10
CHUNK = 50  # images at a time: more would cost memory and gain no speed


class Classifier(nn.Module):
    """Three convolutions with batch normalisation, their mean over positions as 64 features, linear head."""

    def __init__(self) -> None:
        super().__init__()

        def block(before: int, after: int) -> list[nn.Module]:
            return [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]

        self.body = nn.Sequential(*block(1, 32), nn.MaxPool2d(2), *block(32, 64), nn.MaxPool2d(2), *block(64, FEATURES))
        self.head = nn.Linear(FEATURES, CLASSES)

    def features(self, batch: Tensor) -> Tensor:
        """Map images (n, 1, side, side) in [-1, 1], resized bilinearly to side 28, to features (n, 64)."""
        if batch.shape[-1] != SIDE:
            batch = nn.functional.interpolate(batch, size=SIDE, mode="bilinear", align_corners=False)
        pooled: Tensor = self.body(batch).mean(dim=(2, 3))
        return pooled

    def forward(self, batch: Tensor) -> Tensor:
        """Map images (n, 1, side, side) to class logits (n, 10)."""
        logits: Tensor = self.head(self.features(batch))
        return logits


class Quality(NamedTuple):
    """What :meth:`ImageScorer.score` measures.

    Attributes:
        frechet: Squared Frechet distance to the real images in the classifier's features; smaller is better.
        class_distance: Total variation between the classes of generated and real images, 0 to 1.
    """

    frechet: float
    class_distance: float


class ImageScorer:
    """Score generated images against real ones in the features of a classifier.

    Args:
        classifier: A trained classifier.
        real: Real images that stand for the truth, (n, 1, side, side) in [-1, 1].

    Example:
        >>> real = torch.rand(64, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1
        >>> scorer = ImageScorer(Classifier(), real)
        >>> round(scorer.score(real).frechet, 6), scorer.score(real).class_distance
        (0.0, 0.0)
    """

    def __init__(self, classifier: Classifier, real: Tensor) -> None:
        self.classifier = classifier.eval().requires_grad_(False)
        features, labels = self.features(real)
        self._real = moments(features)
        self._real_classes = class_histogram(labels, CLASSES)

    def features(self, batch: Tensor) -> tuple[NDArray[Any], NDArray[Any]]:
        """Features (n, 64) and decided classes (n,) of images (n, 1, side, side)."""
        with torch.no_grad():
            parts = [self.classifier.features(batch[start : start + CHUNK]) for start in range(0, len(batch), CHUNK)]
            features = torch.cat(parts)
            return features.numpy(), self.classifier.head(features).argmax(dim=1).numpy()

    def score(self, generated: Tensor) -> Quality:
        """Compare generated images (m, 1, side, side) with the real ones. Compare values for equal m only."""
        features, labels = self.features(generated)
        distance = frechet_distance(*self._real, *moments(features))
        return Quality(distance, total_variation(self._real_classes, class_histogram(labels, CLASSES)))


@functools.cache
def image_scorer(data: str, folder: Path = WEIGHTS) -> ImageScorer:
    """Make the scorer of a data set: against its test images, or all 5,000 images of MNIST-5k."""
    reference = images(data, "test" if data == "fashion-mnist" else "all")
    return ImageScorer(load(data, folder), reference.images)


def load(data: str, folder: Path = WEIGHTS) -> Classifier:
    """Load the classifier of a data set.

    Raises:
        ValueError: There are no weights for ``data``, or their SHA-256 is not the recorded one.
    """
    record, weights = folder / f"{data}.json", folder / f"{data}.pt"
    if not record.is_file() or not weights.is_file():
        known = sorted(path.stem for path in folder.glob("*.json"))
        raise ValueError(f"no weights for data={data!r}: there are {', '.join(known) or 'none'}")
    content = weights.read_bytes()
    expected, found = json.loads(record.read_text())["sha256"], hashlib.sha256(content).hexdigest()
    if found != expected:
        raise ValueError(f"{weights.name}: SHA-256 is {found}, but {record.name} records {expected}")
    classifier = Classifier()
    classifier.load_state_dict(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))
    return classifier.eval()


def accuracy(classifier: Classifier, image_set: ImageSet) -> float:
    """Share of the images whose class the classifier gets right."""
    _, labels = ImageScorer(classifier, image_set.images[:2]).features(image_set.images)
    return float(np.mean(labels == image_set.labels.numpy()))


def train(data: str, epochs: int, seed: int = 0, folder: Path = WEIGHTS) -> dict[str, Any]:
    """Train the classifier of a data set on its training images, and write weights and record.

    Returns:
        The record: data, accuracy on the test images, SHA-256 of the weights, and how they were made.
    """
    torch.manual_seed(seed)
    trainset = images(data, "train")
    classifier, batch_size = Classifier(), 128
    steps = epochs * (len(trainset.images) // batch_size)
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=steps)
    started = time.perf_counter()
    for epoch in range(epochs):
        order = torch.randperm(len(trainset.images))[: steps // epochs * batch_size]
        for chosen in order.reshape(-1, batch_size):
            loss = nn.functional.cross_entropy(classifier(trainset.images[chosen]), trainset.labels[chosen])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1}/{epochs}: last loss {loss.item():.3f}, {time.perf_counter() - started:.0f} s")
    buffer = io.BytesIO()
    torch.save(classifier.state_dict(), buffer)
    record = {
        "data": data,
        "test_accuracy": round(accuracy(classifier, images(data, "test")), 4),
        "sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
        "command": f"python -m experiments.image_quality train --data {data} --epochs {epochs} --seed {seed}",
        "torch": torch.__version__,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{data}.pt").write_bytes(buffer.getvalue())
    (folder / f"{data}.json").write_text(json.dumps(record, indent=2) + "\n")
    return record


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, ``python -m experiments.image_quality train|check``."""
    parser = argparse.ArgumentParser(prog="python -m experiments.image_quality", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train", help="train a classifier and write its weights")
    checking = commands.add_parser("check", help="load the weights and measure their accuracy again")
    for command in (training, checking):
        command.add_argument("--data", choices=IMAGE_SETS, required=True, help="the images")
        command.add_argument("--folder", type=Path, default=WEIGHTS, help="where the weights are")
    training.add_argument("--epochs", type=int, default=5, help="passes over the images (default: %(default)s)")
    training.add_argument("--seed", type=int, default=0, help="seed of everything (default: %(default)s)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if options.command == "train":
        print(json.dumps(train(options.data, options.epochs, options.seed, options.folder), indent=2))
    else:
        measured = accuracy(load(options.data, options.folder), images(options.data, "test"))
        print(f"{options.data}: {measured:.4f} of the test images right")


if __name__ == "__main__":
    main()
