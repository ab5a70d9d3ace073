"""What a user of the package writes, with every public name; mypy --strict must know every type that comes out.

tests/test_types.py checks it as a stranger's file, without this project's settings. It is not run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine
from ignite.handlers import StepStateScheduler
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from typing_extensions import assert_type

import adaptive_critic as ac


def controllers() -> list[ac.FixedController | ac.WassersteinGapController | ac.LossRatioPIDController]:
    """Return those that a user would try first."""
    gap = ac.WassersteinGapController(initial=2.5, limits=(1, 10), update_every=5, on_divergence="terminate_epoch")
    assert_type(gap.num_discriminator_steps, int)
    assert_type(gap.ratio, float)
    assert_type(gap.signal, float)
    assert_type(gap.limits, tuple[int, int] | None)
    assert_type(gap.observe({"d_real": [1.0], "d_fake": [0.0], "g_fake": 0.5}), int)
    assert_type(gap.state_dict(), dict[str, Any])
    assert_type(gap.guard, ac.DivergenceGuard | None)
    return [ac.FixedController(5), gap, ac.LossRatioPIDController("hinge", kp=0.1)]


def others() -> None:
    """Construct the rest."""
    ac.StepDecayController(milestones={0: 25, 25: 10})
    ac.WGANReferenceController()
    ac.AccuracyLadderController()
    ac.LossChangeRateController()
    ac.TwoThresholdController(0.5, 0.5)
    ac.AccuracyGateController(steps=2)
    scheduler = StepStateScheduler(9.0, 0.7, 4, param_name="num_discriminator_steps")
    assert_type(ac.SchedulerAdapter(scheduler, limits=(1, 8)).num_discriminator_steps, int)
    assert_type(ac.SchedulerAdapter.simulate_values(5, scheduler=scheduler), list[list[int]])


class Elsewhere:
    """A loop of somebody else's."""

    critic_steps = 5

    def fit(self) -> None:
        """Read the attribute."""
        for _ in range(self.critic_steps):
            pass


def drive_elsewhere() -> None:
    """Drive it."""
    rounds = ac.Rounds(ac.FixedController(3))
    with ac.AttributeActuator(Elsewhere(), "critic_steps", rounds) as actuator:
        assert_type(actuator, ac.AttributeActuator)
        assert_type(rounds.critic(d_loss=0.5, d_real=torch.zeros(())), bool)
        assert_type(rounds.steps, int)


def step_output() -> ac.StepOutput:
    """Return what a training step returns, with its type."""
    return {"d_real": torch.ones(3), "d_fake": [0.5, 0.5, 0.5], "g_fake": torch.tensor(0.25), "num_samples": 24}


def batches() -> ac.InfiniteBatches[Any]:
    """Return endless batches; their type is the loader's."""
    points: DataLoader[tuple[Tensor, ...]] = DataLoader(TensorDataset(torch.randn(64, 2)), batch_size=8)
    assert_type(next(ac.infinite_batches([1, 2, 3])), int)
    return ac.infinite_batches(points)


def train(generator: nn.Module, critic: nn.Module, folder: Path) -> Engine:
    """Put everything together."""
    optimizers = [torch.optim.Adam(network.parameters()) for network in (generator, critic)]
    objective = ac.OBJECTIVES["hinge"]
    assert_type(objective, ac.Objective)
    assert_type(objective.ideal_critic_loss, float | None)
    trainer = ac.create_gan_trainer(generator, critic, *optimizers, data=batches(), latent_dim=2, objective=objective)
    assert_type(trainer, Engine)
    guard = ac.DivergenceGuard("rollback", to_restore={"generator": generator}, check_every=5)
    controller = ac.WassersteinGapController(on_divergence=guard)
    controller.attach(trainer)
    ac.StopAtBudget(cost=1000.0).attach(trainer)
    history = ac.ControllerHistory(max_points=100)
    history.attach(trainer)
    ac.WassersteinGap("before").attach(trainer, "gap")
    trainer.add_event_handler(ac.CriticEvents.STEPS_CHANGED, lambda: None)
    objects = {"controller": controller, "generator": generator}
    assert_type(ac.complete_recipe(trainer, objects), dict[str, Any])
    ac.resume_exactly(trainer, folder, objects, every=10)
    try:
        ac.check_resume(lambda: (trainer, objects), lambda engine: engine.run(range(10)))
    except ac.ResumeDifference as difference:
        assert_type(difference.iteration, int)
        assert_type(difference.name, str)
    try:
        controller.load_state_dict({})
    except (ac.StateError, ac.StepOutputError) as error:
        raise RuntimeError("never") from error
    ac.plot_history(history)
    return trainer


def audited(trainer: Engine, generator: nn.Module, critic: nn.Module, optimizers: list[torch.optim.Optimizer]) -> None:
    """Watch a few iterations."""
    try:
        with ac.AlternationAudit(generator, critic, optimizers[0], optimizers[1]):
            trainer.run(range(3))
    except ac.AlternationError as error:
        raise RuntimeError("never") from error


def part(step: ac.GANTrainingStep) -> ac.GANTrainingStep:
    """Take what a trainer is made of."""
    return step
