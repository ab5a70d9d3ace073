from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch

from adaptive_critic.training import OBJECTIVES, get_objective, gradient_penalty, r1_penalty

REAL = np.array([0.3, -1.2, 2.5, 0.0])
FAKE = np.array([-0.7, 1.4, 0.1])

# (critic loss, generator loss) written out
FORMULAS = {
    "wasserstein-gp": (np.mean(FAKE) - np.mean(REAL), -np.mean(FAKE)),
    "wasserstein-clip": (np.mean(FAKE) - np.mean(REAL), -np.mean(FAKE)),
    "non-saturating": (
        -np.mean(np.log(1 / (1 + np.exp(-REAL)))) - np.mean(np.log(1 - 1 / (1 + np.exp(-FAKE)))),
        -np.mean(np.log(1 / (1 + np.exp(-FAKE)))),
    ),
    "hinge": (np.mean(np.maximum(0, 1 - REAL)) + np.mean(np.maximum(0, 1 + FAKE)), -np.mean(FAKE)),
    "least-squares": (np.mean((REAL - 1) ** 2) + np.mean(FAKE**2), np.mean((FAKE - 1) ** 2)),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_losses_are_those_of_the_papers(name: str) -> None:
    objective, (critic, generator) = OBJECTIVES[name], FORMULAS[name]
    real, fake = torch.tensor(REAL), torch.tensor(FAKE)
    assert objective.critic_loss(real, fake).item() == pytest.approx(critic, rel=1e-12)
    assert objective.generator_term(fake).item() == pytest.approx(generator, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "ideal"),
    [
        ("wasserstein-gp", None),
        ("wasserstein-clip", None),
        ("non-saturating", math.log(4)),
        ("hinge", 2.0),
        ("least-squares", 0.5),
    ],
)
def test_the_ideal_is_the_loss_of_a_critic_that_cannot_tell(name: str, ideal: float | None) -> None:
    objective = OBJECTIVES[name]
    assert objective.ideal_critic_loss == ideal
    if ideal is not None:
        undecided = torch.full((5,), objective.boundary, dtype=torch.float64)
        assert objective.critic_loss(undecided, undecided).item() == pytest.approx(ideal, rel=1e-12)
        # No other constant does better against equal distributions: the ideal is an optimum.
        for shift in (-0.1, 0.1):
            assert objective.critic_loss(undecided + shift, undecided + shift).item() >= ideal - 1e-12


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_critic_raises_real_scores_and_lowers_generated_ones_and_the_generator_raises_its_own(name: str) -> None:
    objective = OBJECTIVES[name]
    real, fake = (torch.full((3,), objective.boundary, requires_grad=True) for _ in range(2))
    by_real, by_fake = torch.autograd.grad(objective.critic_loss(real, fake), (real, fake))
    assert (by_real < 0).all()
    assert (by_fake > 0).all()
    (by_fake,) = torch.autograd.grad(objective.generator_term(fake), fake)
    assert (by_fake < 0).all()


def test_only_the_wasserstein_objectives_come_with_a_constraint() -> None:
    settings = {name: (item.gradient_penalty, item.r1, item.clip) for name, item in OBJECTIVES.items()}
    assert settings.pop("wasserstein-gp") == (10.0, 0.0, None)
    assert settings.pop("wasserstein-clip") == (0.0, 0.0, 0.01)
    assert set(settings.values()) == {(0.0, 0.0, None)}


WEIGHTS = torch.tensor([3.0, 4.0], dtype=torch.float64)


def linear(samples: torch.Tensor) -> torch.Tensor:
    return samples.flatten(1) @ WEIGHTS


def quadratic(samples: torch.Tensor) -> torch.Tensor:
    return samples.square().sum(dim=1) / 2


def test_the_gradient_penalty_of_a_linear_critic_is_its_distance_from_norm_one() -> None:
    real, fake = torch.randn(2, 6, 2, dtype=torch.float64)
    assert gradient_penalty(linear, real, fake).item() == pytest.approx((5 - 1) ** 2)
    images = real.reshape(6, 1, 1, 2)
    assert gradient_penalty(linear, images, images + 1).item() == pytest.approx((5 - 1) ** 2)


def test_the_gradient_penalty_is_two_sided() -> None:
    real = torch.randn(6, 2, dtype=torch.float64)
    assert gradient_penalty(lambda x: linear(x) / 10, real, real + 1).item() == pytest.approx((0.5 - 1) ** 2)


def test_the_gradient_penalty_looks_between_real_and_generated_samples() -> None:
    seen: list[torch.Tensor] = []

    def critic(samples: torch.Tensor) -> torch.Tensor:
        seen.append(samples.detach())
        return linear(samples)

    real, fake = torch.zeros(500, 2, dtype=torch.float64), torch.ones(500, 2, dtype=torch.float64)
    gradient_penalty(critic, real, fake)
    (points,) = seen
    assert torch.equal(points[:, 0], points[:, 1])  # one mixture per sample
    assert points.min() < 0.02
    assert points.max() > 0.98
    assert points.mean().item() == pytest.approx(0.5, abs=0.05)


def test_the_r1_penalty_is_half_the_squared_gradient_at_real_samples() -> None:
    real = torch.randn(6, 2, dtype=torch.float64)
    assert r1_penalty(linear, real).item() == pytest.approx(25 / 2)
    assert r1_penalty(quadratic, real).item() == pytest.approx(real.square().sum(dim=1).mean().item() / 2)


def test_penalties_are_weighted_and_summed_and_reach_the_weights() -> None:
    weights = torch.tensor([3.0, 4.0], dtype=torch.float64, requires_grad=True)
    real = torch.randn(6, 2, dtype=torch.float64)
    objective = dataclasses.replace(OBJECTIVES["hinge"], gradient_penalty=2.0, r1=0.5)
    penalty = objective.penalty(lambda samples: samples @ weights, real, real + 1)
    assert penalty.item() == pytest.approx(2 * 16 + 0.5 * 25 / 2)
    (gradient,) = torch.autograd.grad(penalty, weights)
    # d/dw [2 (|w| - 1)^2 + |w|^2 / 4] = 4 (|w| - 1) w / |w| + w / 2
    assert gradient.tolist() == pytest.approx([4 * 4 * 0.6 + 1.5, 4 * 4 * 0.8 + 2])


def test_no_penalty_is_zero() -> None:
    assert not OBJECTIVES["hinge"].has_penalty
    assert OBJECTIVES["hinge"].penalty(linear, torch.ones(2, 2), torch.ones(2, 2)).item() == 0


def test_the_gradient_penalty_needs_generated_samples_of_the_real_shape() -> None:
    with pytest.raises(ValueError, match=r"shape \(4, 2\), generated ones of \(4, 3\)"):
        gradient_penalty(linear, torch.ones(4, 2), torch.ones(4, 3))


def test_an_objective_is_found_by_name_or_taken_as_it_is() -> None:
    assert get_objective("hinge") is OBJECTIVES["hinge"]
    own = dataclasses.replace(OBJECTIVES["hinge"], name="own")
    assert get_objective(own) is own


def test_an_unknown_objective_is_refused_with_a_list_of_those_there_are() -> None:
    with pytest.raises(ValueError, match="objective='wgan': expected one of 'wasserstein-gp' or 'wgan-gp' or "):
        get_objective("wgan")
    with pytest.raises(TypeError, match="objective=5: expected a name or an Objective, got int"):
        get_objective(5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("setting", "error", "message"),
    [
        ({"gradient_penalty": -1.0}, ValueError, "gradient_penalty=-1.0"),
        ({"r1": math.nan}, ValueError, "r1=nan"),
        ({"clip": 0.0}, ValueError, "clip=0.0"),
        ({"clip": "0.01"}, TypeError, "clip='0.01'"),
        ({"real_term": "hinge"}, TypeError, "real_term='hinge': expected a function from scores to a loss"),
        ({"generator_term": None}, TypeError, "generator_term=None: expected a function"),
        ({"ideal_critic_loss": "2"}, TypeError, "ideal_critic_loss='2': expected a finite number"),
        ({"ideal_critic_loss": 0.0}, ValueError, "ideal_critic_loss=0.0: expected a number above 0"),
        ({"boundary": math.nan}, ValueError, "boundary=nan"),
    ],
)
def test_weights_out_of_range_are_refused(setting: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        dataclasses.replace(OBJECTIVES["hinge"], **setting)


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        OBJECTIVES["own"] = OBJECTIVES["hinge"]  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        OBJECTIVES["hinge"].r1 = 1.0  # type: ignore[misc]
    assert all(item.name == name for name, item in OBJECTIVES.items())
