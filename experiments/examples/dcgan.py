"""Train a DCGAN on images with a controller and a guard, on CUDA where there is one.

    python -m experiments.examples.dcgan

Images: Fashion-MNIST where Debian's package dataset-fashion-mnist is installed, else 5,000 digits of MNIST. A run of
20 epochs takes a GPU or patience; ``--iterations 300`` shows that it works. ``samples.png`` and ``critic.png`` (n, the
critic's rate and the signal; needs matplotlib) are written to ``--out``, and the run goes on from there when it is
started again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from adaptive_critic import (
    ControllerHistory,
    CriticEffortController,
    create_gan_trainer,
    infinite_batches,
    plot_history,
    resume_exactly,
)
from experiments.data import images
from experiments.png import png_of

LATENTS = 64


def generator_of(width: int) -> nn.Module:
    """Latents (n, 64) to images (n, 1, 28, 28) in [-1, 1]."""
    return nn.Sequential(
        nn.Linear(LATENTS, 4 * width * 49, bias=False),
        nn.Unflatten(1, (4 * width, 7, 7)),
        nn.BatchNorm2d(4 * width),
        nn.ReLU(),
        nn.ConvTranspose2d(4 * width, 2 * width, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),
        nn.ConvTranspose2d(2 * width, 1, 4, stride=2, padding=1),
        nn.Tanh(),
    )


def critic_of(width: int) -> nn.Module:
    """Images (n, 1, 28, 28) to scores (n, 1), without batch normalisation: the penalty is one of each image."""
    return nn.Sequential(
        nn.Conv2d(1, 2 * width, 4, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(2 * width, 4 * width, 4, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(4 * width * 49, 1),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--iterations", type=int, default=20_000, help="generator updates (default: %(default)s)")
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--width", type=int, default=32, help="channels are multiples of it (default: %(default)s)")
    parser.add_argument("--data", default="auto", help="fashion-mnist or mnist-5k (default: the first that is there)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/dcgan"))
    args = parser.parse_args(arguments)
    args.out.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(args.seed)
    real = images(args.data).images
    loader: DataLoader[Any] = DataLoader(TensorDataset(real), batch_size=args.batch_size, shuffle=True, drop_last=True)
    generator, critic = (make(args.width).to(args.device) for make in (generator_of, critic_of))
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.9))
    optimizer_d = torch.optim.Adam(critic.parameters(), lr=2e-4, betas=(0.5, 0.9))
    batches = infinite_batches(loader)
    trainer = create_gan_trainer(
        generator, critic, optimizer_g, optimizer_d,
        data=batches, latent_dim=LATENTS, objective="wasserstein-gp", device=args.device,
    )  # fmt: skip
    controller = CriticEffortController(optimizer_d, on_divergence="terminate")
    controller.attach(trainer)
    history = ControllerHistory()
    history.attach(trainer)

    @trainer.on(Events.ITERATION_COMPLETED(every=max(1, args.iterations // 10)))
    def report(engine: Engine) -> None:
        state: Any = engine.state
        print(
            f"iteration {state.iteration}: {state.critic_updates} critic updates so far, critic's rate x "
            f"{state.critic_rate:.3g}, signal {state.critic_signal:.3g}",
            flush=True,
        )

    state: Any = trainer.state
    objects = {**state.to_save, "controller": controller, "history": history}
    resume_exactly(trainer, args.out / "checkpoints", objects, every=max(1, args.iterations // 10))
    trainer.run(max_iters=args.iterations, epoch_length=len(loader))

    generator.eval()
    with torch.no_grad():
        samples = generator(torch.randn(64, LATENTS, device=args.device)).cpu()
    (args.out / "samples.png").write_bytes(png_of(samples))
    plot_history(history).savefig(args.out / "critic.png")
    print(f"{args.out / 'samples.png'}, {args.out / 'critic.png'}")


if __name__ == "__main__":
    main()
