from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from experiments import image_quality
from experiments.data import IMAGE_SETS, average_pooled, mnist_5k


def test_classifier_is_small_and_takes_other_sizes() -> None:
    classifier = image_quality.Classifier()
    assert 50_000 < sum(parameter.numel() for parameter in classifier.parameters()) < 65_000
    assert classifier(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert classifier.features(torch.zeros(2, 1, 14, 14)).shape == (2, 64)


@pytest.mark.parametrize("name", IMAGE_SETS)
def test_committed_weights_are_small_intact_and_name_their_command(name: str) -> None:
    record = json.loads((image_quality.WEIGHTS / f"{name}.json").read_text())
    assert (image_quality.WEIGHTS / f"{name}.pt").stat().st_size < 300_000
    assert record["test_accuracy"] > 0.9
    assert record["command"].startswith("python -m experiments.image_quality train")
    image_quality.load(name)


def test_recorded_accuracy_is_the_measured_one() -> None:
    record = json.loads((image_quality.WEIGHTS / "mnist-5k.json").read_text())
    assert image_quality.accuracy(image_quality.load("mnist-5k"), mnist_5k("test")) == pytest.approx(
        record["test_accuracy"], abs=0.002
    )


def test_changed_weights_are_refused(tmp_path: Path) -> None:
    for suffix in (".json", ".pt"):
        shutil.copy(image_quality.WEIGHTS / f"mnist-5k{suffix}", tmp_path)
    path = tmp_path / "mnist-5k.pt"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"mnist-5k\.pt: SHA-256 is .*, but mnist-5k\.json records"):
        image_quality.load("mnist-5k", tmp_path)


def test_missing_weights_list_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no weights for data='cifar': there are fashion-mnist, mnist-5k"):
        image_quality.load("cifar")
    with pytest.raises(ValueError, match="there are none"):
        image_quality.load("mnist-5k", tmp_path)


def test_score_orders_images_by_how_real_they_are() -> None:
    held_out, whole = mnist_5k("test"), mnist_5k("train")
    quality = image_quality.ImageScorer(image_quality.load("mnist-5k"), held_out.images)
    real = quality.score(whole.images[::4])
    pooled = average_pooled(mnist_5k("train")).images[::4]
    blurred = quality.score(torch.nn.functional.interpolate(pooled, size=28))
    without_nine = quality.score(whole.images[whole.labels != 9][::4])
    noise = quality.score(torch.rand(1000, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1)
    assert real.frechet < min(blurred.frechet, without_nine.frechet)
    assert max(blurred.frechet, without_nine.frechet) < noise.frechet / 5
    assert real.class_distance < 0.03
    assert without_nine.class_distance == pytest.approx(0.1, abs=0.03)


def test_training_twice_gives_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = mnist_5k("test")
    monkeypatch.setattr(image_quality, "images", lambda data, split: few)
    records = [image_quality.train("mnist-5k", epochs=2, folder=tmp_path / str(run)) for run in range(2)]
    assert records[0] == records[1]
    assert image_quality.accuracy(image_quality.load("mnist-5k", tmp_path / "0"), few) == pytest.approx(
        records[0]["test_accuracy"], abs=1e-4
    )


def test_command_line_refuses_an_unknown_data_set(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        image_quality.main(["train", "--data", "cifar"])
    assert "fashion-mnist" in capsys.readouterr().err
