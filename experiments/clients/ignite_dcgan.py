"""Apply the patch to pytorch-ignite's DCGAN example, and train on generated images for a moment.

    python -m experiments.clients.ignite_dcgan PATH/examples/gan/dcgan.py

PATH is a checkout of pytorch/ignite; ``ignite_dcgan.patch`` names the commit. The example itself is not part of this
project. It needs torchvision for its data sets; where that is not installed, the few of its names that the example
uses for generated images are stood in for here.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch.utils.data import Dataset

PATCH = Path(__file__).with_suffix(".patch")
# Networks and batches small enough for a processor; everything else as the example has it.
OPTIONS = {
    "dataset": "fake",
    "dataroot": "",
    "z_dim": 16,
    "g_filters": 8,
    "d_filters": 8,
    "batch_size": 16,
    "learning_rate": 0.0002,
    "beta_1": 0.5,
    "alpha": 0.98,
    "saved_G": "",
    "saved_D": "",
    "seed": 1,
    "n_workers": 0,
    "device": "cpu",
}


class GeneratedImages(Dataset[Any]):
    """What torchvision's FakeData is: noise, always the same for an index, with a label."""

    def __init__(self, size: int, image_size: tuple[int, int, int], transform: Callable[[Any], Any]) -> None:
        self.size, self.image_size = size, image_size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.rand(self.image_size, generator=torch.Generator().manual_seed(index)), index % 10


def stand_ins() -> dict[str, ModuleType]:
    """Return modules with the few names of torchvision that the example needs for generated images."""

    def nothing(*arguments: Any, **options: Any) -> None:
        return None

    package = ModuleType("torchvision")
    contents: dict[str, dict[str, Any]] = {
        "datasets": {"FakeData": GeneratedImages},
        "transforms": dict.fromkeys(("Resize", "CenterCrop", "ToTensor", "Normalize", "Compose"), nothing),
        "utils": {"save_image": nothing},
    }
    for part, content in contents.items():
        module = ModuleType(f"torchvision.{part}")
        vars(module).update(content)
        setattr(package, part, module)
    return {module.__name__: module for module in (package, *(getattr(package, part) for part in contents))}


def patched(source: Path, folder: Path) -> Path:
    """Copy the example into the folder, apply the patch there, return the copy.

    Raises:
        FileNotFoundError: if ``source`` is no file.
        ValueError: if the patch does not fit.
    """
    if not source.is_file():
        raise FileNotFoundError(f"{source}: expected dcgan.py of pytorch-ignite's examples/gan")
    copy = folder / "examples" / "gan" / "dcgan.py"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(source.read_bytes())
    applied = subprocess.run(["git", "apply", str(PATCH)], cwd=folder, capture_output=True, text=True, check=False)
    if applied.returncode != 0 or copy.read_bytes() == source.read_bytes():  # git is silent about paths that it skips
        raise ValueError(f"{PATCH.name} does not fit {source}: {applied.stderr.strip() or 'git apply changed nothing'}")
    return copy


def load(path: Path) -> Any:
    """Import the example from a file; stand in for torchvision if that is not installed."""
    spec = importlib.util.spec_from_file_location("dcgan_example", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path}: expected a Python file")
    module = importlib.util.module_from_spec(spec)
    added = {} if importlib.util.find_spec("torchvision") else stand_ins()
    sys.modules.update(added)
    try:
        spec.loader.exec_module(module)
    finally:
        for name in added:
            del sys.modules[name]
    return module


def train(example: Any, output: Path, epochs: int) -> SimpleNamespace:
    """Run the example's ``main``; return its trainer, and the metrics it logged at each iteration, as lines of text."""
    trainers = []

    class Kept(example.Engine):  # type: ignore[misc]  # the example's own, of a module without types
        def __init__(self, step: Any) -> None:
            super().__init__(step)
            trainers.append(self)

    engine, example.Engine, example.PRINT_FREQ = example.Engine, Kept, 1
    output.mkdir()
    python, noise = random.getstate(), torch.get_rng_state()  # the example seeds both
    try:
        example.main(**OPTIONS, epochs=epochs, output_dir=output)
    finally:
        example.Engine = engine
        random.setstate(python)
        torch.set_rng_state(noise)
    return SimpleNamespace(trainer=trainers[0], log=(output / example.LOGS_FNAME).read_text().splitlines())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", type=Path, help="examples/gan/dcgan.py of a checkout of pytorch/ignite")
    parser.add_argument("--epochs", type=int, default=3, help="of 16 iterations")
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        run = train(load(patched(args.source, Path(folder))), Path(folder) / "output", args.epochs)
    state = run.trainer.state
    print(f"{state.generator_updates} generator and {state.critic_updates} discriminator updates")
    print(f"the next iteration would make {state.num_discriminator_steps}")


if __name__ == "__main__":
    main()
