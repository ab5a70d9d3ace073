"""Rules that leave n at 1 and set the ratio of the learning rates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from ignite.engine import Engine, Events

from adaptive_critic.objective_names import IDEAL_CRITIC_LOSSES


class TwoTimeScales:
    """n = 1, the critic's learning rate a multiple of the generator's.

    Source: Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash equilibrium", 2017.
    A task's own critic rate is replaced: whoever uses two time scales sets both rates.

    Args:
        optimizer_d: The critic's optimizer.
        generator_rate: Learning rate of the generator.
        factor: Critic's rate over the generator's, above 0.
    """

    def __init__(self, optimizer_d: torch.optim.Optimizer, generator_rate: float, factor: float = 4.0) -> None:
        for group in optimizer_d.param_groups:
            group["lr"] = factor * generator_rate

    def attach(self, engine: Engine) -> None:
        """Hold n at 1."""
        engine.state.num_discriminator_steps = 1  # type: ignore[attr-defined]  # Ignite's State takes any attribute

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: the rate is in the optimizer's state."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore nothing."""


class GapAwareRate:
    r"""n = 1, the critic's learning rate follows its loss.

    With :math:`x = |\overline{L_D} - L^*|` the critic's rate is its base rate times
    :math:`\min(2^{x / (0.1 L^*)}, 2)` while the loss is above the ideal, and times
    :math:`\max(0.1^{x / (0.1 L^*)}, 0.1)` while it is below.

    Source: Hazimeh and Ponomareva, "Mind the (optimality) gap", AISTATS 2023. Wasserstein objectives are left out:
    their ideal is 0, by which the published default divides.

    Args:
        objective: "non-saturating", "hinge" or "least-squares".
        optimizer_d: The critic's optimizer.
        smoothing: Factor of the loss's running average per iteration.
    """

    def __init__(self, objective: str, optimizer_d: torch.optim.Optimizer, smoothing: float = 0.95) -> None:
        if objective not in IDEAL_CRITIC_LOSSES:
            raise ValueError(f"objective={objective!r}: must be one of {', '.join(IDEAL_CRITIC_LOSSES)}")
        self.ideal = IDEAL_CRITIC_LOSSES[objective]
        self.optimizer_d = optimizer_d
        self.base_rates = [float(group["lr"]) for group in optimizer_d.param_groups]
        self.smoothing = smoothing
        self.average: float | None = None

    def attach(self, engine: Engine) -> None:
        """Hold n at 1 and set the rate after each iteration."""
        engine.state.num_discriminator_steps = 1  # type: ignore[attr-defined]  # Ignite's State takes any attribute
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._set_rate)

    def factor(self, loss: float) -> float:
        """Factor of the base rate at an averaged critic loss."""
        distance = abs(loss - self.ideal) / (0.1 * self.ideal)
        # Beyond a distance of 1 both powers are past their limits.
        distance = min(distance, 1.0)
        return math.pow(2.0, distance) if loss > self.ideal else math.pow(0.1, distance)

    def _set_rate(self, engine: Engine) -> None:
        output: Any = engine.state.output
        loss = float(output["d_loss"][-1])
        if not math.isfinite(loss):
            return
        kept = self.smoothing
        self.average = loss if self.average is None else kept * self.average + (1.0 - kept) * loss
        for group, base in zip(self.optimizer_d.param_groups, self.base_rates, strict=True):
            group["lr"] = base * self.factor(self.average)

    def state_dict(self) -> dict[str, Any]:
        """Return the running average."""
        return {"average": self.average}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the running average."""
        self.average = state["average"]


class TimeScaleRatio:
    r"""n = 1, the generator's learning rate is lowered while the critic's gradients are larger.

    With :math:`V_G` and :math:`V_D` the sums of what Adam or RMSprop averages of the squared gradients, the generator's
    rate is its base rate times :math:`(V_G / \max(V_G, V_D))^{0.6}` in the iteration after.

    Source: Li, Yang, He, "TiAda: a time-scale adaptive algorithm for nonconvex minimax optimization", 2022, in its form
    for Adam. There the powers inside both optimizers are 0.6 and 0.4 too; here they stay at one half, so that the
    task's learning rates mean what they mean for all others.

    Args:
        optimizer_d: The critic's optimizer.
    """

    def __init__(self, optimizer_d: torch.optim.Optimizer) -> None:
        self.optimizer_d = optimizer_d

    def attach(self, engine: Engine) -> None:
        """Hold n at 1 and set the generator's rate after each iteration."""
        engine.state.num_discriminator_steps = 1  # type: ignore[attr-defined]  # Ignite's State takes any attribute
        optimizer_g = engine.state.to_save["optimizer_g"]  # type: ignore[attr-defined]  # create_gan_trainer sets it
        base_rates = [float(group["lr"]) for group in optimizer_g.param_groups]
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._set_rate, optimizer_g, base_rates)

    def _set_rate(self, optimizer_g: torch.optim.Optimizer, base_rates: list[float]) -> None:
        generator, critic = _squares(optimizer_g), _squares(self.optimizer_d)
        if not 0.0 < generator < math.inf or not critic < math.inf:
            return
        factor = math.pow(generator / max(generator, critic), 0.6)
        for group, base in zip(optimizer_g.param_groups, base_rates, strict=True):
            group["lr"] = base * factor

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: rates and averages are in the optimizers' states."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore nothing."""


def _squares(optimizer: torch.optim.Optimizer) -> float:
    """Sum of the averages of squared gradients."""
    name = "square_avg" if isinstance(optimizer, torch.optim.RMSprop) else "exp_avg_sq"
    return math.fsum(float(state[name].sum()) for state in optimizer.state.values())
