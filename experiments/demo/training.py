"""Train one contender until its compute is spent, and measure quality on a fixed grid of costs."""

from __future__ import annotations

import functools
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from ignite.handlers import ProgressBar
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

from adaptive_critic import FixedController, StopAtBudget, create_gan_trainer
from experiments.contenders import Context
from experiments.data import images
from experiments.demo.contenders import parse
from experiments.flops import count_flops
from experiments.image_quality import Quality, image_scorer
from experiments.networks import image_mlp_critic, image_mlp_generator

LATENT_DIM = 64
LEARNING_RATE = 2e-4
BETAS = (0.5, 0.9)
SHOWN = 36


@dataclass(frozen=True)
class Settings:
    """What all contenders of one comparison share.

    Attributes:
        data: "fashion-mnist" or "mnist-5k".
        budget: Compute of each contender, in units of one generator update.
        seed: Sets initial weights, order of the images and training latents.
        batch_size: Images per update.
        evaluations: How often quality is measured after the start, at equal distances of cost.
        evaluated: Generated images per measurement.
    """

    data: str
    budget: float
    seed: int
    batch_size: int = 64
    evaluations: int = 20
    evaluated: int = 2500


@dataclass(frozen=True)
class Run:
    """What one contender did. Costs are in generator updates.

    Attributes:
        name: The contender.
        critic_cost: FLOPs of a critic update over those of a generator update.
        cost: (iterations,), cost spent after each iteration.
        steps: (iterations,), critic updates made in each iteration.
        rate: (iterations,), multiplier of the critic's learning rate after each iteration; 1 where nothing sets it.
        signal: (iterations,), the controller's signal after each iteration; NaN where there is none.
        gap: (iterations,), mean score of real minus generated images at the first critic update of each iteration.
        critic_loss: (iterations,), of the last critic update, without the penalty.
        generator_loss: (iterations,).
        quality_cost: (evaluations + 1,), where quality was measured.
        frechet: (evaluations + 1,), Fréchet distance in the scorer's features.
        class_distance: (evaluations + 1,), total variation between classes of real and generated images.
        samples: (evaluations + 1, 36, side, side), bytes, from the same latents at each measurement of all contenders.
        critic_updates: How many there were.
        generator_updates: How many there were.
        cpu_seconds: Processor time of training alone, without set-up and measurements.
    """

    name: str
    critic_cost: float
    cost: NDArray[Any]
    steps: NDArray[Any]
    rate: NDArray[Any]
    signal: NDArray[Any]
    gap: NDArray[Any]
    critic_loss: NDArray[Any]
    generator_loss: NDArray[Any]
    quality_cost: NDArray[Any]
    frechet: NDArray[Any]
    class_distance: NDArray[Any]
    samples: NDArray[Any]
    critic_updates: int
    generator_updates: int
    cpu_seconds: float


def make_trainer(real: Tensor, settings: Settings) -> tuple[nn.Module, Engine]:
    """Make generator and trainer: WGAN-GP with multilayer perceptrons, the same start for the same seed.

    Args:
        real: Training images, (n, 1, side, side) in [-1, 1].
        settings: Seed and batch size are used.
    """
    torch.manual_seed(settings.seed)
    side = real.shape[-1]
    generator, critic = image_mlp_generator(LATENT_DIM, side), image_mlp_critic(side)
    optimizer_g, optimizer_d = (
        torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, betas=BETAS, fused=True)
        for network in (generator, critic)
    )
    order = torch.Generator().manual_seed(settings.seed)
    sampler = RandomSampler(range(len(real)), generator=order)
    batches = BatchSampler(sampler, settings.batch_size, drop_last=True)
    # The sampler hands whole lists of indices to the data set: collating single images would cost more than training.
    loader: DataLoader[Any] = DataLoader(TensorDataset(real), batch_size=None, sampler=batches)
    trainer = create_gan_trainer(
        generator, critic, optimizer_g, optimizer_d, data=loader, latent_dim=LATENT_DIM, objective="wasserstein-gp"
    )
    return generator, trainer


@functools.lru_cache(maxsize=1)
def real_images(data: str) -> Tensor:
    """Training images, (n, 1, side, side) in [-1, 1], read once in each process."""
    return images(data).images


def as_bytes(made: Tensor) -> NDArray[Any]:
    """Turn images (n, 1, side, side) in [-1, 1] into bytes (n, side, side); what is not finite becomes grey."""
    return ((made[:, 0].nan_to_num() + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy()


def critic_cost(real: Tensor, settings: Settings) -> float:
    """FLOPs of one critic update over those of one generator update, counted, not timed."""

    def flops(steps: int) -> int:
        _, trainer = make_trainer(real, settings)
        FixedController(steps).attach(trainer)
        return count_flops(lambda: trainer.run(max_iters=1, epoch_length=1))

    one, two = flops(1), flops(2)
    critic = two - one
    return critic / (one - critic)


def progress_bar(label: str, position: int) -> ProgressBar:
    """Make the bar of one contender."""
    return ProgressBar(
        persist=True,
        bar_format="{desc} {percentage:3.0f}%|{bar}| {n_fmt} generator updates{postfix} [{elapsed}<{remaining}]",
        desc=f"{label:16}",
        position=position if sys.stderr.isatty() else 0,
        dynamic_ncols=True,
    )


class Recorder:
    """Watches a trainer: notes every iteration, measures quality on a grid of costs, keeps the bar's end in sight.

    Args:
        trainer: With a StopAtBudget attached before, which counts the cost.
        settings: The grid.
        measure: Called at every point of the grid.
        bar: Its total is set to the number of iterations expected at the present rate.
    """

    def __init__(
        self,
        trainer: Engine,
        settings: Settings,
        measure: Callable[[float], None],
        bar: ProgressBar,
    ) -> None:
        self.settings = settings
        self.measure = measure
        self.bar = bar
        self.costs: list[float] = []
        self.steps: list[int] = []
        self.rates: list[float] = []
        self.signals: list[float] = []
        self.losses: list[Tensor] = []
        self._critic = [torch.tensor(math.nan), torch.tensor(math.nan)]  # gap and loss of the latest critic update
        self.seconds_measuring = 0.0
        self._measured = 0
        trainer.add_event_handler(Events.STARTED, lambda: self._measure(0.0))
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._note)

    def _note(self, engine: Engine) -> None:
        state: Any = engine.state  # StopAtBudget adds an attribute that Ignite's type does not know
        output, cost = state.output, state.cost_spent
        self.costs.append(cost)
        self.steps.append(len(output["d_real"]))
        self.rates.append(getattr(state, "critic_rate", 1.0))
        self.signals.append(state.critic_signal)
        if len(output["d_real"]) > 0:  # else the critic has rested, and is as it was
            self._critic = [output["d_real"][0] - output["d_fake"][0], output["d_loss"][-1]]
        self.losses.append(torch.stack([*self._critic, output["g_loss"]]))
        if self.bar.pbar is not None:
            self.bar.pbar.total = max(1, round(state.iteration * max(1.0, self.settings.budget / cost)))
        # The last point comes with the iteration that ends the run, which may lie a few updates past the budget.
        while cost >= self._measured * self.settings.budget / self.settings.evaluations:
            self._measure(cost)

    def _measure(self, cost: float) -> None:
        started = time.process_time()
        self.measure(cost)
        self._measured += 1
        self.seconds_measuring += time.process_time() - started


def train(name: str, settings: Settings, cost_of_critic: float, position: int = 0) -> Run:
    """Train one contender until its budget is spent.

    Args:
        name: See :func:`experiments.demo.contenders.parse`.
        settings: Shared by all contenders.
        cost_of_critic: From :func:`critic_cost`.
        position: Line of the progress bar.
    """
    torch.set_num_threads(1)
    contender = parse(name)
    scorer = image_scorer(settings.data)
    generator, trainer = make_trainer(real_images(settings.data), settings)
    latents = torch.randn(
        settings.evaluated, LATENT_DIM, generator=torch.Generator().manual_seed(settings.seed + 1_000_003)
    )
    where: list[float] = []
    scores: list[Quality] = []
    samples: list[NDArray[Any]] = []

    def measure(cost: float) -> None:
        generator.eval()
        with torch.no_grad():
            made: Tensor = generator(latents)
        where.append(cost)
        # A diverged generator is a result as well, not an error.
        scores.append(scorer.score(made) if made.isfinite().all() else Quality(math.nan, math.nan))
        samples.append(as_bytes(made[:SHOWN]))

    saved: Any = trainer.state
    budget = int(settings.budget)
    optimizer_d = saved.to_save["optimizer_d"]
    context = Context("demo", "wasserstein-gp", settings.seed, math.nan, optimizer_d, LEARNING_RATE, budget)
    contender.make(context).attach(trainer)
    bar = progress_bar(contender.title, position)
    bar.attach(
        trainer,
        # Ignite's bar redraws at every event that it is attached to; a file needs a line now and then only.
        event_name=Events.ITERATION_COMPLETED(every=10 if sys.stderr.isatty() else 500),
        closing_event_name=Events.COMPLETED,
        state_attributes=["num_discriminator_steps"],
    )
    StopAtBudget(cost=settings.budget, critic_cost=cost_of_critic, generator_cost=1.0).attach(trainer)
    recorder = Recorder(trainer, settings, measure, bar)
    longest = math.ceil(settings.budget)  # every iteration costs at least one generator update
    started = time.process_time()
    trainer.run(max_iters=longest, epoch_length=longest)
    seconds = time.process_time() - started - recorder.seconds_measuring
    state: Any = trainer.state
    gap, critic_loss, generator_loss = torch.stack(recorder.losses).numpy().T
    return Run(
        name=contender.name,
        critic_cost=cost_of_critic,
        cost=np.asarray(recorder.costs),
        steps=np.asarray(recorder.steps),
        rate=np.asarray(recorder.rates),
        signal=np.asarray(recorder.signals),
        gap=gap,
        critic_loss=critic_loss,
        generator_loss=generator_loss,
        quality_cost=np.asarray(where),
        frechet=np.asarray([score.frechet for score in scores]),
        class_distance=np.asarray([score.class_distance for score in scores]),
        samples=np.stack(samples),
        critic_updates=state.critic_updates,
        generator_updates=state.generator_updates,
        cpu_seconds=seconds,
    )
