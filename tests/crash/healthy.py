"""``python -m tests.crash.healthy``: small GANs of many kinds that nothing was done to, and how often updates alarm."""

from __future__ import annotations

import argparse
import itertools
import logging
import math
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from ignite.engine import Events
from torch import nn
from torch.optim import SGD, Adam, RMSprop
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, TensorDataset

from adaptive_critic import DivergenceGuard, FixedController, create_gan_trainer
from adaptive_critic.guard.evidence import update_of
from tests.crash.spoilt import circle

OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "Adam(1e-3)": lambda weights: Adam(weights, 1e-3),
    "Adam(2e-4, betas=(0.5, 0.999))": lambda weights: Adam(weights, 2e-4, betas=(0.5, 0.999)),
    "Adam(5e-3, betas=(0, 0.9))": lambda weights: Adam(weights, 5e-3, betas=(0.0, 0.9)),
    "RMSprop(5e-4)": lambda weights: RMSprop(weights, 5e-4),
    "SGD(0.1)": lambda weights: SGD(weights, 0.1),
    "SGD(0.01)": lambda weights: SGD(weights, 0.01),
    "SGD(0.02, momentum=0.9)": lambda weights: SGD(weights, 0.02, momentum=0.9),
}
WEIGHTS = {"torch's": None, "N(0, 0.02)": 0.02, "N(0, 0.003)": 0.003}
SCHEDULES: dict[str, Callable[[int], float]] = {
    "constant": lambda step: 1.0,
    "warm-up": lambda step: min(1.0, (step + 1) / 300),
    "0 at first": lambda step: 0.0 if step < 60 else 1.0,
    "restarts": lambda step: 0.5 * (1.0 + math.cos(math.pi * (step % 200) / 200)),
    "steps down": lambda step: 0.1 ** (step // 200),
}
LOSSES = ("hinge", "non-saturating", "wasserstein-gp")
ITERATIONS = 800


class Kind(NamedTuple):
    """What a GAN is made of."""

    optimizer: str
    weights: str
    schedule: str
    loss: str


KINDS = tuple(itertools.starmap(Kind, itertools.product(OPTIMIZERS, WEIGHTS, SCHEDULES, LOSSES)))


def network(inputs: int, outputs: int, deviation: float | None) -> nn.Module:
    """Return two hidden layers of 48."""
    made = nn.Sequential(
        nn.Linear(inputs, 48), nn.LeakyReLU(0.2), nn.Linear(48, 48), nn.LeakyReLU(0.2), nn.Linear(48, outputs)
    )
    if deviation is not None:
        for weights in made.parameters():
            nn.init.normal_(weights, 0.0, deviation if weights.ndim > 1 else 0.0)
    return made


def train(kind: Kind, seed: int, iterations: int = ITERATIONS) -> tuple[int, bool]:
    """Return how often an update was judged an explosion, and whether all losses and scores were finite."""
    torch.manual_seed(seed)
    data = DataLoader(TensorDataset(circle()), batch_size=64, shuffle=True)
    deviation = WEIGHTS[kind.weights]
    generator, critic = network(4, 2, deviation), network(2, 1, deviation)
    made = OPTIMIZERS[kind.optimizer]
    optimizer_g, optimizer_d = made(generator.parameters()), made(critic.parameters())
    trainer = create_gan_trainer(
        generator,
        critic,
        optimizer_g,
        optimizer_d,
        data=data,
        latent_dim=4,
        objective=kind.loss,
        prepare_batch=lambda batch: batch[0],
    )
    schedules = [LambdaLR(optimizer, SCHEDULES[kind.schedule]) for optimizer in (optimizer_g, optimizer_d)]

    def follow() -> None:
        for schedule in schedules:
            schedule.step()

    trainer.add_event_handler(Events.ITERATION_COMPLETED, follow)
    restored: dict[str, Any] = {"generator": generator, "critic": critic, "g": optimizer_g, "d": optimizer_d}
    guard = DivergenceGuard("rollback", to_restore=restored)
    FixedController(1, on_divergence=guard).attach(trainer)
    trainer.run(max_epochs=1, epoch_length=iterations)
    updates = [record for record in guard.history if any(name.startswith(update_of("")) for name in record["values"])]
    return len(updates), all(record["rule"] != "non_finite" for record in guard.history)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.healthy", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the first run; the next ones count on")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("adaptive_critic").setLevel(logging.CRITICAL)
    begun = time.perf_counter()
    counted: dict[tuple[str, str], list[tuple[int, bool]]] = {}
    for number, kind in enumerate(KINDS):
        counted.setdefault((kind.optimizer, kind.weights), []).append(train(kind, arguments.seed + number))
    sys.stdout.write("| optimizer | weights | runs | of these with alarms of an update | alarms | not finite |\n")
    sys.stdout.write("|---|---|---|---|---|---|\n")
    for (optimizer, weights), runs in counted.items():
        alarms = [count for count, _ in runs]
        cells = (len(runs), sum(map(bool, alarms)), sum(alarms), sum(not finite for _, finite in runs))
        sys.stdout.write(f"| {optimizer} | {weights} | {' | '.join(map(str, cells))} |\n")
    sys.stdout.write(f"({len(KINDS)} runs; {time.perf_counter() - begun:.0f} s)\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
