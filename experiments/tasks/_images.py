"""Tasks on images: perceptrons or small convolutional networks, judged in the features of an own classifier."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from experiments.data import ImageSet, average_pooled, images
from experiments.image_quality import ImageScorer, image_scorer
from experiments.networks import dcgan_critic, dcgan_generator, image_mlp_critic, image_mlp_generator
from experiments.tasks._loaders import ShuffledRows
from experiments.tasks._planar import fixed_latents
from experiments.tasks._task import Game, Task

LATENT_DIM = 32
ADAM = functools.partial(torch.optim.Adam, betas=(0.5, 0.9), fused=True)


@functools.cache
def training_images(data: str, side: int) -> ImageSet:
    """Real images to train on, loaded once per process."""
    loaded = images(data, "train" if data == "fashion-mnist" else "all")
    return loaded if side == loaded.images.shape[-1] else average_pooled(loaded, side)


@functools.cache
def scorer(data: str) -> ImageScorer:
    """The scorer of a data set, made once per process."""
    return image_scorer(data)


def image_task(
    *,
    data: str,
    network: str,
    side: int = 28,
    objective: str = "wasserstein-gp",
    penalties: Mapping[str, float],
    batch_size: int = 64,
    rates: tuple[float, float],
    optimizer: Callable[..., torch.optim.Optimizer] = ADAM,
    norm: str | None = None,
    width: int = 256,
    **described: Any,
) -> Task:
    """Describe a task on images.

    Args:
        data: "fashion-mnist" or "mnist-5k".
        network: "mlp" (two hidden layers) or "dcgan".
        side: 28, or 14 for images shrunk by averaging.
        objective: See :class:`Task`.
        penalties: See :class:`Task`.
        batch_size: Images in a batch.
        rates: Learning rates of generator and critic.
        optimizer: Makes both optimizers from parameters and ``lr``.
        norm: Of a DCGAN's critic, see :func:`experiments.networks.dcgan_critic`.
        width: Hidden width of a perceptron, channels of the last hidden layer of a DCGAN.
        described: Further fields of :class:`Task`.
    """
    if network not in ("mlp", "dcgan"):
        raise ValueError(f"network={network!r}: must be 'mlp' or 'dcgan'")

    def networks() -> tuple[nn.Module, nn.Module]:
        if network == "dcgan":
            return dcgan_generator(LATENT_DIM, side, width), dcgan_critic(side, width, norm)
        return image_mlp_generator(LATENT_DIM, side, width, 2), image_mlp_critic(side, width, 2)

    def make(seed: int, evaluation_samples: int, rates: tuple[float, float]) -> Game:
        torch.manual_seed(seed)
        generator, critic = networks()
        latents = fixed_latents(seed, evaluation_samples, LATENT_DIM)

        def sample(trained: nn.Module) -> Tensor:
            with torch.no_grad():
                return torch.cat([trained(part) for part in torch.split(latents, 250)])

        def evaluate(trained: nn.Module) -> float:
            return scorer(data).score(sample(trained)).frechet

        return Game(
            generator=generator,
            critic=critic,
            optimizer_g=optimizer(generator.parameters(), lr=rates[0]),
            optimizer_d=optimizer(critic.parameters(), lr=rates[1]),
            loader=ShuffledRows(training_images(data, side).images, batch_size, 10 * seed + 1),
            latent_dim=LATENT_DIM,
            evaluate=evaluate,
            sample=sample,
        )

    return Task(
        objective=objective,
        penalties=penalties,
        metric="Frechet distance in own features",
        make=make,
        rates=rates,
        evaluation_samples=500,
        cheap=False,
        **described,
    )
