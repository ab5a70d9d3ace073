"""One run: train a game with a contender until the budget is spent, judge it on the cost grid, survive a stop."""

from __future__ import annotations

import base64
import functools
import math
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint, DiskSaver
from torch import nn

from adaptive_critic.training import GANTrainingStep
from experiments.contenders.contender import Contender, Context, Handler
from experiments.flops import count_flops
from experiments.png import png_of
from experiments.schema import CURVES, Config, Cost, Curve, Run, Samples, Summary
from experiments.tasks._task import Game, Task

EMA_DECAY = 0.99
"""Of the averaged generator that is judged beside the live one."""
CHECKPOINT_SECONDS = 15.0
"""Processor seconds of work between two checkpoints: what an interruption can cost."""
# More iterations than any budget pays for; the budget ends the run.
_ENDLESS = 10**9
_POINTS_SHOWN, _IMAGES_SHOWN = 400, 36


@dataclass(frozen=True)
class Costs:
    """Costs of the pieces of a training, in generator updates.

    Attributes:
        critic: one critic update.
        probe: a forward pass without training, of one real and one generated batch.
    """

    critic: float
    probe: float


@functools.cache
def measured_costs(task: Task) -> Costs:
    """Count the FLOPs of one critic update, one probe and one generator update of a task."""
    torch.manual_seed(0)
    game = task.build(0, 1)
    trainer = task.trainer(game)
    step: GANTrainingStep = trainer._process_function  # type: ignore[assignment]  # Ignite has no public way to it
    drawn = step.prepare_batch(next(step.batches))
    size = len(drawn.samples)

    def probe() -> None:
        with torch.no_grad():
            game.critic(drawn.samples)
            game.critic(game.generator(step.sample_latent(size)))

    generator = count_flops(lambda: step.generator_update([(size, ())]))
    every = task.penalty_every
    critic = sum(count_flops(lambda: step.critic_update([drawn])) for _ in range(every)) / every
    return Costs(critic / generator, count_flops(probe) / generator)


class Ledger:
    """Costs and curves of a run so far, as a checkpoint can hold them."""

    def __init__(self) -> None:
        self.critic_updates = 0
        self.generator_updates = 0
        self.cpu_seconds = 0.0
        self.diverged = False
        self.log_rates = 0.0
        self.curves: dict[str, list[float]] = {name: [] for name in CURVES}
        # Updates of both kinds and the sum of logarithms of rates, at the evaluation before.
        self.before = (0, 0, 0.0)

    @property
    def mean_rate(self) -> float:
        """Geometric mean of the critic's learning rate over the iterations, as a multiple of the task's."""
        return math.exp(self.log_rates / max(self.generator_updates, 1))

    def record(self, cost: float, quality: float, ema_quality: float, signal: float) -> None:
        """Add one point of the cost grid."""
        critic, generator = self.critic_updates, self.generator_updates
        iterations = generator - self.before[1]
        # One iteration may pass several points of the grid; all of them then have its n.
        n = (critic - self.before[0]) / iterations if iterations else self.curves["n"][-1]
        rate = math.exp((self.log_rates - self.before[2]) / iterations) if iterations else self.curves["rate"][-1]
        self.before = (critic, generator, self.log_rates)
        values = (cost, quality, n, signal, critic, generator, self.cpu_seconds, rate, ema_quality)
        for name, value in zip(CURVES, values, strict=True):
            self.curves[name].append(float(value))

    def state_dict(self) -> dict[str, Any]:
        """Return everything, as plain values."""
        return {**vars(self), "before": list(self.before)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore everything."""
        vars(self).update(state)
        critic, generator, log_rates = state["before"]
        self.before = (critic, generator, log_rates)


class Training:
    """A run in memory: the engine with its contender and what watches them.

    Args:
        task: What to train.
        contender: Who sets n.
        seed: Of networks, batches and latents.
        steps: Mean n of the matched run; NaN without one.
        folder: For checkpoints; None keeps none.
        checkpoint_seconds: Processor seconds between checkpoints.
        on_evaluation: Called after each point of the grid, for tests.
        rate: Mean of the critic's learning rate in the matched run, as a multiple of the task's.
    """

    def __init__(
        self,
        task: Task,
        contender: Contender,
        seed: int,
        steps: float = math.nan,
        folder: Path | None = None,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
        on_evaluation: Callable[[int], None] | None = None,
        *,
        rate: float = 1.0,
    ) -> None:
        self._unscaled_rate = task.rates[1]
        task = task.with_critic_rate(contender.rate if contender.matches is None else rate)
        task = task.with_penalty_every(contender.penalty_every)
        self.task = task
        self.costs = measured_costs(task)
        self.game: Game = task.build(seed)
        self.trainer = task.trainer(self.game, EMA_DECAY)
        context = Context.of(task, self.game, seed, steps, self.costs.critic)
        self.handler: Handler = contender.make(context)
        self.handler.attach(self.trainer)
        self.ledger = Ledger()
        self.checkpoint_seconds = checkpoint_seconds
        self.on_evaluation = on_evaluation
        self.resumed_at = 0
        self._unsaved_seconds = 0.0
        self.trainer.add_event_handler(Events.ITERATION_STARTED, self._note_rate)
        # After the handler's own: a checkpoint then holds what the handler decided for the next iteration.
        self.trainer.add_event_handler(Events.ITERATION_COMPLETED, self._after_iteration)
        self.checkpoint: Checkpoint | None = None
        if folder is not None:
            self._resume(folder)

    def _resume(self, folder: Path) -> None:
        saved = {
            **self.trainer.state.to_save,  # type: ignore[attr-defined]  # create_gan_trainer sets it
            "handler": self.handler,
            "ledger": self.ledger,
        }
        for path in sorted(folder.glob("checkpoint_*.pt"), key=_iteration_of, reverse=True):
            try:
                content = torch.load(path, weights_only=True)
            except (RuntimeError, EOFError, ValueError, OSError):
                # Half-written by a machine that lost power; the one before it is whole.
                continue
            Checkpoint.load_objects(saved, content)
            self.resumed_at = self.trainer.state.iteration
            break
        self.checkpoint = Checkpoint(
            saved,
            DiskSaver(str(folder), create_dir=True, require_empty=False),
            n_saved=2,
            global_step_transform=lambda *_: self.trainer.state.iteration,
        )

    @property
    def cost(self) -> float:
        """Cost spent so far, in generator updates."""
        probes = getattr(self.handler, "probes", 0)
        ledger = self.ledger
        return ledger.critic_updates * self.costs.critic + ledger.generator_updates + probes * self.costs.probe

    def run(self) -> Ledger:
        """Train until the budget is spent or the generator is lost."""
        if len(self.ledger.curves["cost"]) < self.task.evaluations:
            self._clock = time.process_time()
            self.trainer.run(max_iters=_ENDLESS, epoch_length=_ENDLESS)
        return self.ledger

    def _note_rate(self, engine: Engine) -> None:
        """Note the critic's learning rate of the iteration that begins."""
        multiple = self.game.optimizer_d.param_groups[0]["lr"] / self._unscaled_rate
        self.ledger.log_rates += math.log(multiple * getattr(engine.state, "critic_rate", 1.0))

    def _after_iteration(self, engine: Engine) -> None:
        output: Any = engine.state.output
        self.ledger.critic_updates += len(output["d_loss"])
        self.ledger.generator_updates += 1
        reached = len(self.ledger.curves["cost"])
        if self.cost < (reached + 1) * self.task.grid:
            return
        now = time.process_time()
        self.ledger.cpu_seconds += now - self._clock
        self._unsaved_seconds += now - self._clock
        self._evaluate(reached)
        if len(self.ledger.curves["cost"]) >= self.task.evaluations:
            engine.terminate()
        elif self.checkpoint is not None and self._unsaved_seconds >= self.checkpoint_seconds:
            self.checkpoint(engine)
            self._unsaved_seconds = 0.0
        if self.on_evaluation is not None:
            self.on_evaluation(reached)
        self._clock = time.process_time()

    def _evaluate(self, reached: int) -> None:
        task, ledger = self.task, self.ledger
        quality = self.quality(self.game.generator)
        averaged = self.quality(self.trainer.state.ema_generator.module)  # type: ignore[attr-defined]  # the trainer's
        signal = float(getattr(self.trainer.state, "critic_signal", math.nan))
        ledger.diverged = not math.isfinite(quality)
        # A generator that is not finite stays so: the rest of the grid is recorded as not finite and the run ends.
        last = task.evaluations if ledger.diverged else min(int(self.cost / task.grid), task.evaluations)
        for point in range(reached, max(last, reached + 1)):
            ledger.record((point + 1) * task.grid, quality, averaged, signal)

    def quality(self, generator: nn.Module) -> float:
        """Quality of a generator as it is; NaN where its weights or samples are not finite."""
        if not all(torch.isfinite(weight).all() for weight in generator.parameters()):
            return math.nan
        was_training = generator.training
        generator.eval()
        try:
            return self.game.evaluate(generator)
        finally:
            generator.train(was_training)

    def samples(self) -> Samples | None:
        """What the generator makes, for people; None where there is nothing to look at."""
        self.game.generator.eval()
        made = self.game.sample(self.game.generator)
        self.game.generator.train()
        if made is None or not torch.isfinite(made).all():
            return None
        if made.ndim == 2:
            points = made[:_POINTS_SHOWN].tolist()
            return Samples("points", tuple((round(x, 3), round(y, 3)) for x, y in points))
        return Samples("image-grid", base64.b64encode(png_of(made[:_IMAGES_SHOWN])).decode())


def _iteration_of(path: Path) -> int:
    return int(path.stem.rpartition("_")[2])


def versions() -> dict[str, str]:
    """Versions of what computes."""
    names = ("torch", "pytorch-ignite", "numpy", "scipy")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def result_of(training: Training, identity: str, config: Config, samples: bool, error: str | None) -> Run:
    """Put what a training left behind into the form of ``result.json``."""
    task, ledger = training.task, training.ledger
    probes = getattr(training.handler, "probes", 0)
    iterations = max(ledger.generator_updates, 1)
    return Run(
        identity=identity,
        config=config,
        status="completed" if error is None else "failed",
        error=error,
        diverged=ledger.diverged,
        interventions=None,
        versions=versions(),
        cost=Cost(
            critic=training.costs.critic,
            generator=1.0,
            extra=probes * training.costs.probe / iterations,
            budget=task.budget,
            grid=task.grid,
        ),
        curve=Curve(**{name: tuple(values) for name, values in ledger.curves.items()}),
        summary=Summary(
            mean_n=ledger.critic_updates / iterations,
            critic_updates=ledger.critic_updates,
            generator_updates=ledger.generator_updates,
            cpu_seconds=ledger.cpu_seconds,
            mean_rate=ledger.mean_rate,
        ),
        samples=training.samples() if samples else None,
    )
