"""A real GAN of a few seconds: what it samples improves while the controller chooses n, and no one intervenes."""

from __future__ import annotations

import math

import torch
from ignite.engine import Engine
from torch import Tensor, nn
from torch.utils.data import DataLoader

from adaptive_critic import CriticEvents, DivergenceGuard, WassersteinGapController, create_gan_trainer

MODES, RADIUS = 8, 2.0
ITERATIONS = 500


def ring(count: int, generator: torch.Generator) -> Tensor:
    """Return points (count, 2) of a ring of eight Gaussians."""
    angles = 2.0 * math.pi / MODES * torch.randint(MODES, (count,), generator=generator)
    centres = RADIUS * torch.stack((angles.cos(), angles.sin()), dim=1)
    return centres + 0.1 * torch.randn(count, 2, generator=generator)


def sliced_distance(one: Tensor, other: Tensor) -> float:
    """Return the mean Wasserstein-1 distance over 64 directions, for samples of equal size (samples, 2)."""
    angles = math.pi * torch.arange(64) / 64
    directions = torch.stack((angles.cos(), angles.sin()))
    return float(((one @ directions).sort(dim=0)[0] - (other @ directions).sort(dim=0)[0]).abs().mean())


def test_the_distance_knows_what_it_measures() -> None:
    source = torch.Generator().manual_seed(1)
    points = ring(2_000, source)
    assert sliced_distance(points, points) == 0.0
    assert sliced_distance(points, ring(2_000, source)) < 0.1
    # The mean of |cos| over all directions is 2 / pi.
    shifted = sliced_distance(points, points + torch.tensor([1.0, 0.0]))
    assert abs(shifted - 2.0 / math.pi) < 0.01


def test_quality_improves_and_nothing_diverges() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        generator = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
        critic = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
        data = ring(8_192, torch.Generator().manual_seed(5))
        guard = DivergenceGuard("terminate")
        controller = WassersteinGapController(limits=(2, 20), on_divergence=guard)
        trainer = create_gan_trainer(
            generator,
            critic,
            torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.0, 0.9)),
            torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.0, 0.9)),
            data=DataLoader(data, batch_size=128, shuffle=True, drop_last=True),  # type: ignore[arg-type]
            latent_dim=4,
            objective="wasserstein-gp",
            gradient_penalty=1.0,
        )
        controller.attach(trainer)
        diverged: list[int] = []
        steps: list[int] = []

        @trainer.on(CriticEvents.DIVERGED)
        def _(engine: Engine) -> None:
            diverged.append(engine.state.iteration)

        @trainer.on(CriticEvents.STEPS_CHANGED)
        def _(engine: Engine) -> None:
            steps.append(controller.num_discriminator_steps)

        held_out = ring(2_000, torch.Generator().manual_seed(7))
        latents = torch.randn(2_000, 4)

        def distance() -> float:
            with torch.no_grad():
                return sliced_distance(generator(latents), held_out)

        start = distance()
        trainer.run(max_epochs=ITERATIONS // 100, epoch_length=100)
    assert controller.generator_updates == ITERATIONS
    assert start > 0.8
    assert distance() < 0.3 * start
    assert diverged == []
    assert guard.interventions == 0
    assert controller.bad_observations == 0
    # It has regulated something: n moved, and stayed within its limits.
    assert len(set(steps)) > 1
    assert all(2 <= n <= 20 for n in steps)
    assert math.isfinite(controller.signal)
