"""Small GANs that are destabilised on purpose: what the guard finds, and what is left of the model."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from adaptive_critic import DivergenceGuard, FixedController, create_gan_trainer

SPOILT_AT = 300
END = 700
OBJECTIVES = ("wasserstein-gp", "hinge")


def circle() -> torch.Tensor:
    """Return 800 points on eight spots, drawn from the global generator."""
    angles = torch.arange(800) % 8 * (math.pi / 4)
    return 2 * torch.stack((angles.cos(), angles.sin()), 1) + 0.05 * torch.randn(800, 2)


class Run:
    """create_gan_trainer on eight points on a circle, two critic updates, a guard that rolls back.

    Its settings are the defaults but for the cooldown, which is short enough for all interventions to fit into the run.
    """

    def __init__(self, objective: str, seed: int, restored: tuple[str, ...]) -> None:
        torch.manual_seed(seed)
        self.points = circle()
        self.generator = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 2))
        self.critic = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))
        self.optimizer_g = torch.optim.Adam(self.generator.parameters(), 1e-3, betas=(0.5, 0.9))
        self.optimizer_d = torch.optim.Adam(self.critic.parameters(), 1e-3, betas=(0.5, 0.9))
        self.factor: Callable[[int], float] = lambda iteration: 1.0
        self.trainer = create_gan_trainer(
            self.generator,
            self.critic,
            self.optimizer_g,
            self.optimizer_d,
            data=DataLoader(TensorDataset(self.points), batch_size=64, shuffle=True),
            latent_dim=4,
            objective=objective,
            prepare_batch=lambda batch: batch[0] * self.factor(self.trainer.state.iteration),
            ema=0.99,
        )
        self.average: nn.Module = vars(self.trainer.state)["ema_generator"]
        saved = vars(self.trainer.state)["to_save"]
        self.guard = DivergenceGuard("rollback", to_restore={name: saved[name] for name in restored}, cooldown=50)
        FixedController(2, on_divergence=self.guard).attach(self.trainer)

    @torch.no_grad()
    def distance(self, generator: nn.Module) -> float:
        """Return the energy distance of 800 generated points from the data, NaN if one of them is not finite."""
        noise = torch.randn(800, 4, generator=torch.Generator().manual_seed(5))
        made = generator(noise)
        if not torch.isfinite(made).all():
            return math.nan
        between, within, data = (
            torch.cdist(a, b).mean() for a, b in ((made, self.points), (made, made), (self.points, self.points))
        )
        return float(2 * between - within - data)


def nothing(run: Run) -> None:
    """none (healthy)"""


def nan_gradient_generator(run: Run) -> None:
    """NaN gradient in the generator, once"""
    _spoil_gradient(run, run.generator)


def nan_gradient_critic(run: Run) -> None:
    """NaN gradient in the critic, in one iteration"""
    _spoil_gradient(run, run.critic)


def _spoil_gradient(run: Run, network: nn.Module) -> None:
    def hook(gradient: torch.Tensor) -> torch.Tensor:
        return gradient * math.nan if run.trainer.state.iteration == SPOILT_AT else gradient

    next(network.parameters()).register_hook(hook)  # type: ignore[no-untyped-call]  # torch's own annotation


def nan_batch(run: Run) -> None:
    """batches of NaN, in one iteration"""
    run.factor = lambda iteration: math.nan if iteration == SPOILT_AT else 1.0


def large_batch(run: Run) -> None:
    """batches x 1e6, in one iteration"""
    run.factor = lambda iteration: 1e6 if iteration == SPOILT_AT else 1.0


def large_batches(run: Run) -> None:
    """batches x 1e5, from then on"""
    run.factor = lambda iteration: 1e5 if iteration >= SPOILT_AT else 1.0


def growing_critic(run: Run) -> None:
    """critic's weights x 1.2 at every iteration, from then on"""

    def grow(trainer: Engine) -> None:
        if trainer.state.iteration >= SPOILT_AT:
            for parameter in run.critic.parameters():
                parameter.data *= 1.2

    run.trainer.add_event_handler(Events.ITERATION_STARTED, grow)


def fast_critic(run: Run) -> None:
    """critic's learning rate x 30, from then on"""
    _later(run, lambda _: _faster(run.optimizer_d))


def fast_generator(run: Run) -> None:
    """generator's learning rate x 30, from then on"""
    _later(run, lambda _: _faster(run.optimizer_g))


def fast_both(run: Run) -> None:
    """both learning rates x 30, from then on"""
    _later(run, lambda _: _faster(run.optimizer_g, run.optimizer_d))


def fast_from_the_start(run: Run) -> None:
    """both learning rates x 30, from the start"""
    _faster(run.optimizer_g, run.optimizer_d)


def faster_generator(run: Run) -> None:
    """both learning rates x 10 from the start, generator's x 30 from then on"""
    _faster(run.optimizer_g, run.optimizer_d, times=10)
    fast_generator(run)


def faster_both(run: Run) -> None:
    """both learning rates x 10 from the start, both x 30 from then on"""
    _faster(run.optimizer_g, run.optimizer_d, times=10)
    fast_both(run)


def _later(run: Run, spoil: Callable[[Engine], None]) -> None:
    run.trainer.add_event_handler(Events.ITERATION_STARTED(once=SPOILT_AT), spoil)


def _faster(*optimizers: torch.optim.Optimizer, times: float = 30) -> None:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] *= times


FAULTS: tuple[Callable[[Run], None], ...] = (
    nothing,
    nan_gradient_generator,
    nan_gradient_critic,
    nan_batch,
    large_batch,
    large_batches,
    growing_critic,
    fast_critic,
    fast_generator,
    fast_both,
    fast_from_the_start,
    faster_generator,
    faster_both,
)
MUST_BE_FOUND = FAULTS[1:10] + FAULTS[11:]
NETWORKS = ("generator", "discriminator", "optimizer_g", "optimizer_d")


@dataclass(frozen=True)
class Outcome:
    """What came of one run."""

    fault: str
    objective: str
    seed: int
    rule: str
    """the rule that found it, "" if nothing did"""
    after: int
    """iterations from the fault to the report"""
    interventions: int
    ended: int
    reason: str
    """why it was ended before its end, "" if it was not"""
    distance: float
    """of the generator from the data, NaN if unusable"""
    average_distance: float
    """of the generator's average"""


def spoil(fault: Callable[[Run], None], objective: str, seed: int, *, restore_average: bool = True) -> Outcome:
    """Train, destabilise, train on, and say what came of it."""
    run = Run(objective, seed, (*NETWORKS, "ema_generator") if restore_average else NETWORKS)
    fault(run)
    run.trainer.run(max_iters=END, epoch_length=100)
    told: list[dict[str, Any]] = [record for record in run.guard.history if record["rule"] != "collapse"]
    found = [record for record in told if record["action"] != "report"]
    return Outcome(
        fault=fault.__doc__ or "",
        objective=objective,
        seed=seed,
        rule=told[0]["rule"] if told else "",
        after=told[0]["iteration"] - SPOILT_AT if told else 0,
        interventions=run.guard.interventions,
        ended=run.trainer.state.iteration,
        reason=found[-1]["reason"] if found and found[-1]["action"] == "terminate" else "",
        distance=run.distance(run.generator),
        average_distance=run.distance(run.average),
    )


def complaint(outcome: Outcome, fault: Callable[[Run], None]) -> str | None:
    """Return what is wrong about an outcome, None if nothing is; what was never healthy need not be found."""
    if fault is nothing and (outcome.interventions or outcome.rule):
        return "the guard reported a healthy run"
    if fault in MUST_BE_FOUND and not outcome.rule:
        return "the guard found nothing"
    if outcome.rule and math.isnan(outcome.distance + outcome.average_distance):
        return "the model is not usable after a rollback"
    if outcome.ended < END and not outcome.reason:
        return f"the run ended at iteration {outcome.ended} without a reason"
    return None
