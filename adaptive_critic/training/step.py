"""Training iteration of a GAN: n critic updates, one generator update, and the whole StepOutput."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import KW_ONLY, dataclass
from typing import Any, NamedTuple

import torch
from ignite.engine import Engine
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from adaptive_critic.checks import integer
from adaptive_critic.data import InfiniteBatches
from adaptive_critic.handler import DEFAULT_NAME
from adaptive_critic.step_output import StepOutput
from adaptive_critic.training.ema import unwrapped
from adaptive_critic.training.lazy_penalty import LazyPenalty
from adaptive_critic.training.objectives import Objective
from adaptive_critic.training.output import Measured, flat_scores, merged, step_output


class MicroBatch(NamedTuple):
    """Real samples (batch, ...) and, in a conditional GAN, their labels."""

    samples: Tensor
    labels: Any | None

    @property
    def condition(self) -> tuple[Any, ...]:
        """Further arguments of generator and critic."""
        return () if self.labels is None else (self.labels,)


@dataclass(eq=False, repr=False)
class GANTrainingStep:
    """Step function of the engine of ``create_gan_trainer``; ``Engine(step)`` runs it.

    The arguments are those of ``create_gan_trainer``, in the form that the step uses:

    Args:
        batches: endless source of batches, each given to ``prepare_batch``.
        sample_latent: batch size -> latents on the generator's device.
        prepare_batch: a batch -> :class:`MicroBatch` on the networks' device.
        objective: losses and penalties, with their weights.
        autocast: makes a fresh autocast context for one forward pass.
        scaler: scales gradients where autocast needs it, or None.
        ema: average of the generator, moved once after each generator update, or None.
    """

    generator: nn.Module
    discriminator: nn.Module
    optimizer_g: torch.optim.Optimizer
    optimizer_d: torch.optim.Optimizer
    _: KW_ONLY
    batches: InfiniteBatches[Any]
    sample_latent: Callable[[int], Tensor]
    prepare_batch: Callable[[Any], MicroBatch]
    objective: Objective
    conditional: bool = False
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    scaler: torch.amp.GradScaler | None = None
    gradient_accumulation_steps: int = 1
    ema: AveragedModel | None = None
    penalty_every: int = 1
    param_name: str = DEFAULT_NAME

    def __post_init__(self) -> None:
        self.lazy_penalty = LazyPenalty(self.objective, self.penalty_every)
        self._steps_made = 0
        # A scaler does not report skipped steps. Wrappers that are optimizers by class only have no hooks.
        self._counts_steps = self.scaler is not None and hasattr(self.optimizer_d, "_optimizer_step_post_hooks")
        if self._counts_steps:
            self.optimizer_d.register_step_post_hook(self._count_step)

    def _count_step(self, *_: Any) -> None:
        self._steps_made += 1

    def __call__(self, engine: Engine, batch: Any) -> StepOutput:
        """Run one iteration and return its StepOutput."""
        if batch is not None and not isinstance(batch, int):
            raise ValueError(
                f"run() was given data (a batch of type {type(batch).__name__}), but this trainer draws its "
                "batches from create_gan_trainer(data=): call trainer.run(max_iters=..., epoch_length=...)"
            )
        steps = self._critic_steps(engine)
        for network in (self.generator, self.discriminator):
            if not network.training:
                network.train()
        try:
            return self._iteration(steps)
        except StopIteration as error:
            # Ignite would take it for the end of its data and silently end the epoch.
            raise RuntimeError("StopIteration inside the training step: an iterator used by it ran dry") from error

    def _iteration(self, steps: int) -> StepOutput:
        updates: list[Measured] = []
        drawn: list[MicroBatch] = []
        num_samples = 0
        made_before = self._steps_made
        batch_size = self.batches.batch_size
        for _ in range(steps):
            drawn = self._draw()
            num_samples += sum(len(micro.samples) for micro in drawn)
            updates.append(self.critic_update(drawn))
        if not drawn and (self.conditional or batch_size is None):
            # Without a critic update nothing gives the generator's labels or batch size.
            drawn = self._draw()
            num_samples += sum(len(micro.samples) for micro in drawn)
        if drawn or batch_size is None:
            requests = [(len(micro.samples), micro.condition) for micro in drawn]
        else:
            requests = [(batch_size, ())] * self.gradient_accumulation_steps
        output = step_output(updates, self.generator_update(requests), self.objective.boundary, num_samples)
        if self._counts_steps:
            output["num_critic_updates"] = self._steps_made - made_before
        return output

    def critic_update(self, micro_batches: Sequence[MicroBatch]) -> Measured:
        """Step the critic once, over one micro-batch or more; return the measurements before the step."""
        self.optimizer_d.zero_grad(set_to_none=True)
        parts = []
        for index, micro in enumerate(micro_batches):
            with self._synchronised(self.discriminator, index):
                with torch.no_grad(), self.autocast():
                    fake = self.generator(self.sample_latent(len(micro.samples)), *micro.condition)
                real_scores = self._score(self.discriminator, micro.samples, micro.condition)
                fake_scores = self._score(self.discriminator, fake, micro.condition)
                loss = total = self.objective.critic_loss(real_scores, fake_scores)
                penalty = loss.new_zeros(())
                if self.lazy_penalty.due:
                    penalty = self._penalty(micro, fake)
                    total = loss + self.lazy_penalty.every * penalty
                self._backward(total)
            parts.append(Measured(loss.detach(), fake_scores.detach(), real_scores.detach(), penalty.detach()))
        self._optimizer_step(self.optimizer_d)
        if self.objective.clip is not None:
            # After the step, so that the next iteration's d_fake[0] and this one's g_fake come from one critic.
            with torch.no_grad():
                for parameter in self.discriminator.parameters():
                    parameter.clamp_(-self.objective.clip, self.objective.clip)
        measured = merged(parts)
        return measured._replace(penalty=self.lazy_penalty.count(measured.penalty))

    def generator_update(self, requests: Sequence[tuple[int, tuple[Any, ...]]]) -> Measured:
        """Step the generator once, over micro-batches of these sizes and conditions; return the measurements before."""
        self.optimizer_g.zero_grad(set_to_none=True)
        parts = []
        # Call the bare critic: DistributedDataParallel would wait for gradients that its parameters do not get.
        with _frozen(self.discriminator):
            for index, (size, condition) in enumerate(requests):
                with self._synchronised(self.generator, index):
                    with self.autocast():
                        fake = self.generator(self.sample_latent(size), *condition)
                    scores = self._score(unwrapped(self.discriminator), fake, condition)
                    loss = self.objective.generator_term(scores)
                    self._backward(loss)
                parts.append(Measured(loss.detach(), scores.detach(), scores.new_empty(0), loss.new_zeros(())))
        self._optimizer_step(self.optimizer_g)
        if self.ema is not None:
            self.ema.update_parameters(unwrapped(self.generator))
        return merged(parts)

    def _critic_steps(self, engine: Engine) -> int:
        name = f"engine.state.{self.param_name}"
        steps = getattr(engine.state, self.param_name, None)
        if steps is None:
            raise RuntimeError(
                f"{name} is not set: attach a controller such as FixedController(5), or set it before the run "
                f"(trainer.state.{self.param_name} = 5)"
            )
        return integer(name, steps, at_least=0)

    def _draw(self) -> list[MicroBatch]:
        return [self.prepare_batch(next(self.batches)) for _ in range(self.gradient_accumulation_steps)]

    def _score(self, critic: nn.Module, samples: Tensor, condition: tuple[Any, ...]) -> Tensor:
        with self.autocast():
            output = critic(samples, *condition)
        return flat_scores(output, len(samples))

    def _penalty(self, micro: MicroBatch, fake: Tensor) -> Tensor:
        # In full precision: gradients of gradients leave the range of half precision. On the bare critic: one
        # synchronisation of buffers and gradients per update is enough.
        critic = unwrapped(self.discriminator)

        def score(samples: Tensor) -> Tensor:
            return flat_scores(critic(samples, *micro.condition), len(samples))

        with torch.autocast(micro.samples.device.type, enabled=False):
            return self.objective.penalty(score, micro.samples, fake)

    def _synchronised(self, network: nn.Module, index: int) -> AbstractContextManager[Any]:
        """Let only the last micro-batch's backward average gradients over processes."""
        if index + 1 < self.gradient_accumulation_steps and isinstance(network, nn.parallel.DistributedDataParallel):
            return network.no_sync()
        return nullcontext()

    def _backward(self, loss: Tensor) -> None:
        if self.gradient_accumulation_steps > 1:
            loss = loss / self.gradient_accumulation_steps
        if self.scaler is not None:
            loss = self.scaler.scale(loss)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's Tensor.backward has no annotations

    def _optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        if self.scaler is None:
            optimizer.step()
        else:
            self.scaler.step(optimizer)
            self.scaler.update()


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """Switch off gradients of the network's parameters inside the context. Frozen parameters stay frozen."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
