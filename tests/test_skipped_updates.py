"""Critic updates that a gradient scaler skips are not counted as made."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from adaptive_critic import FixedController, StepOutputError, create_gan_trainer
from tests.guard.engines import healthy, published, trainer_of


class Wrapper(torch.optim.SGD):
    """An optimizer by its class, which steps another one and has no hooks of its own."""

    def __getattribute__(self, name: str) -> Any:
        if name == "_optimizer_step_post_hooks":
            raise AttributeError(name)
        return super().__getattribute__(name)

    def step(self, closure: Any = None) -> Any:
        with torch.no_grad():
            for weight in self.param_groups[0]["params"]:
                weight -= 1e-3 * weight.grad


@pytest.mark.parametrize("kind", [torch.optim.SGD, Wrapper])
def test_updates_that_the_scaler_skips_are_not_counted(kind: Any) -> None:
    torch.manual_seed(0)
    generator, critic = torch.nn.Linear(2, 2), torch.nn.Linear(2, 1)
    optimizer = kind(critic.parameters(), 1e-3)
    Wrapper.step.hooked = True  # type: ignore[attr-defined]  # else torch wraps it with hooks
    trainer = create_gan_trainer(
        generator,
        critic,
        torch.optim.SGD(generator.parameters(), 1e-3),
        optimizer,
        data=[torch.randn(16, 2) for _ in range(4)],
        latent_dim=2,
        objective="hinge",
        autocast=torch.float16,
        scaler=torch.amp.GradScaler("cpu", init_scale=8.0),  # so that none is skipped while it looks for a scale
    )
    spoilt = [False]
    critic.weight.register_hook(  # type: ignore[no-untyped-call]  # torch's annotation
        lambda gradient: gradient * math.nan if spoilt[0] else gradient
    )
    controller = FixedController(3)
    controller.attach(trainer)
    trainer.run(max_epochs=1, epoch_length=5)
    assert controller.critic_updates == 15
    spoilt[0] = True
    trainer.run(max_epochs=2, epoch_length=5)
    counted = kind is torch.optim.SGD  # without hooks they are taken to be made
    assert controller.critic_updates == published(trainer).critic_updates == (15 if counted else 30)
    assert controller.generator_updates == 10
    output: Any = trainer.state.output
    assert output.get("num_critic_updates") == (0 if counted else None)


@pytest.mark.parametrize(("made", "counted"), [(0, 0), (2, 2), (None, 3)])
def test_a_step_may_say_how_many_were_made(made: int | None, counted: int) -> None:
    trainer = trainer_of(lambda i: healthy(i, 3) | ({} if made is None else {"num_critic_updates": made}))
    controller = FixedController(3)
    controller.attach(trainer)
    trainer.run(range(1))
    assert controller.critic_updates == counted


@pytest.mark.parametrize("made", [-1, 1.5, True, "3"])
def test_a_number_of_updates_that_is_none_is_refused(made: object) -> None:
    trainer = trainer_of(lambda i: healthy(i, 3) | {"num_critic_updates": made})
    FixedController(3).attach(trainer)
    with pytest.raises(StepOutputError, match="^'num_critic_updates' must be an int of at least 0, got"):
        trainer.run(range(1))
