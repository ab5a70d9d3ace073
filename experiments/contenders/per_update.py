"""Published rules in their exact form, which decides before every single update which network to train.

They are training loops of their own. Each engine iteration still ends with one generator update; a rule that trains the
generator several times in a row makes iterations without critic updates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from ignite.engine import Engine

from adaptive_critic import StepOutput
from adaptive_critic.training import GANTrainingStep, MicroBatch
from adaptive_critic.training.output import Measured, step_output


class ExactRule:
    """A loop that asks a rule before every update which network to train.

    A rule may never let the generator train; one iteration then ends after as many critic updates as the whole budget
    pays for, so that the run ends too.

    Args:
        most_critic_updates: Critic updates in one iteration at most.

    Attributes:
        probes: Forward passes without training so far, each one batch through generator and critic and one real batch
            through the critic; they are charged.
    """

    def __init__(self, most_critic_updates: int) -> None:
        self.most_critic_updates = most_critic_updates
        self.probes = 0

    def attach(self, engine: Engine) -> None:
        """Take the place of the trainer's step, whose pieces go on being used."""
        # Ignite has no public way to the step of an engine that exists.
        self.step: GANTrainingStep = engine._process_function  # type: ignore[assignment]
        engine._process_function = self
        engine.state.num_discriminator_steps = 1  # type: ignore[attr-defined]  # Ignite's State takes any attribute

    def __call__(self, engine: Engine, _: Any) -> StepOutput:
        """Train the critic while the rule asks for it, then the generator once."""
        updates: list[Measured] = []
        while len(updates) < self.most_critic_updates:
            drawn = self.wants_critic()
            if drawn is None:
                break
            updates.append(self.step.critic_update([drawn]))
            self.saw_critic(updates[-1])
        size = self.step.batches.batch_size
        assert size is not None
        generator = self.step.generator_update([(size, ())])
        self.saw_generator(generator)
        return step_output(updates, generator, self.step.objective.boundary, len(updates) * size)

    def draw(self) -> MicroBatch:
        """A fresh real batch."""
        return self.step.prepare_batch(next(self.step.batches))

    def probe(self, real: MicroBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores of a real and of a generated batch, without training."""
        with torch.no_grad():
            fake = self.step.generator(self.step.sample_latent(len(real.samples)))
            return self.step.discriminator(real.samples), self.step.discriminator(fake)

    def wants_critic(self) -> MicroBatch | None:
        """The real batch for one more critic update, or None when it is the generator's turn."""
        raise NotImplementedError

    def saw_critic(self, measured: Measured) -> None:
        """Look at a critic update."""

    def saw_generator(self, measured: Measured) -> None:
        """Look at a generator update."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state, plain numbers."""
        return {key: value for key, value in vars(self).items() if isinstance(value, (bool, int, float))}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state."""
        vars(self).update(state)


class ExactLossChangeRate(ExactRule):
    r"""Train the critic if :math:`r_D > \lambda r_G`, else the generator; r is the relative change of a loss.

    :math:`r = |(L - L_{last}) / L_{last}|`, 1 at first. Both losses are measured after every update on a fresh batch,
    which is charged as a forward pass.

    Source: Ouyang, Chen, Agam, "Accelerated WGAN update strategy with loss change rate balancing", WACV 2021.

    Args:
        most_critic_updates: See :class:`ExactRule`.
        balance: Lambda, above 0.
    """

    def __init__(self, most_critic_updates: int, balance: float) -> None:
        super().__init__(most_critic_updates)
        self.balance = balance
        self.critic_rate = self.generator_rate = 1.0
        self.critic_loss = self.generator_loss = math.nan

    def wants_critic(self) -> MicroBatch | None:
        """Compare the rates of change."""
        return self.draw() if self.critic_rate > self.balance * self.generator_rate else None

    def saw_critic(self, measured: Measured) -> None:
        """Measure both losses anew."""
        self._measure()

    def saw_generator(self, measured: Measured) -> None:
        """Measure both losses anew."""
        self._measure()

    def _measure(self) -> None:
        real, fake = self.probe(self.draw())
        self.probes += 1
        objective = self.step.objective
        critic, generator = (
            float(objective.critic_loss(real, fake)),
            float(objective.generator_term(fake)),
        )
        # The very first measurement has nothing before it, and both rates stay 1.
        if math.isfinite(self.critic_loss):
            self.critic_rate = _relative_change(critic, self.critic_loss)
            self.generator_rate = _relative_change(generator, self.generator_loss)
        self.critic_loss, self.generator_loss = critic, generator


def _relative_change(now: float, before: float) -> float:
    return abs((now - before) / before) if before else math.inf


class ExactTwoThresholds(ExactRule):
    """Train the critic until its last loss is below its threshold, then the generator until below its own.

    Source: fastai, ``AdaptiveGANSwitcher``; ganhacks, section 11. Starts with the critic.

    Args:
        most_critic_updates: See :class:`ExactRule`.
        critic_threshold: Of the critic's loss.
        generator_threshold: Of the generator's loss.
    """

    def __init__(self, most_critic_updates: int, critic_threshold: float, generator_threshold: float) -> None:
        super().__init__(most_critic_updates)
        self.critic_threshold = critic_threshold
        self.generator_threshold = generator_threshold
        self.critics_turn = True

    def wants_critic(self) -> MicroBatch | None:
        """Say whose turn it is."""
        return self.draw() if self.critics_turn else None

    def saw_critic(self, measured: Measured) -> None:
        """Switch to the generator when the critic is good enough."""
        self.critics_turn = not float(measured.loss) < self.critic_threshold

    def saw_generator(self, measured: Measured) -> None:
        """Switch to the critic when the generator is good enough."""
        self.critics_turn = float(measured.loss) < self.generator_threshold


class ExactAccuracyGate(ExactRule):
    """Before each generator update, train the critic once, unless it is right on more than 80 % of this very batch.

    Source: the gate of 3D-GAN re-implementations. The forward pass that measures the accuracy is part of the update
    when it is made, and is charged when the update is skipped.

    Args:
        most_critic_updates: See :class:`ExactRule`.
        threshold: Largest accuracy at which the critic is trained.
    """

    def __init__(self, most_critic_updates: int, threshold: float = 0.8) -> None:
        super().__init__(most_critic_updates)
        self.threshold = threshold
        self.has_decided = False

    def wants_critic(self) -> MicroBatch | None:
        """Measure the accuracy, once per iteration."""
        if self.has_decided:
            return None
        self.has_decided = True
        drawn, random = self.draw(), torch.get_rng_state()
        real, fake = self.probe(drawn)
        boundary = self.step.objective.boundary
        accuracy = ((real > boundary).float().mean() + (fake < boundary).float().mean()) / 2.0
        if float(accuracy) > self.threshold:
            self.probes += 1
            return None
        # The update then draws the latents that the accuracy was measured with.
        torch.set_rng_state(random)
        return drawn

    def saw_generator(self, measured: Measured) -> None:
        """Begin anew."""
        self.has_decided = False
