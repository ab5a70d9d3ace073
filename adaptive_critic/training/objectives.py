"""GAN objectives: losses of critic and generator, and penalties that keep the critic smooth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

from adaptive_critic.checks import real as real_number
from adaptive_critic.objective_names import IDEAL_CRITIC_LOSSES, listed, objective_name

ScoreFunction = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Objective:
    """A GAN objective. Scores are logits of shape (batch,): higher means more real.

    Attributes:
        name: as in :data:`OBJECTIVES`.
        real_term: scores of real samples -> the critic's loss on them, shape ().
        fake_term: scores of generated samples -> the critic's loss on them, shape ().
        generator_term: scores of generated samples -> the generator's loss, shape ().
        ideal_critic_loss: real term + fake term of the best critic when generated samples are distributed like real
            ones. None for a Wasserstein objective, whose scores have no scale.
        boundary: the score above which a sample counts as real. Under a Wasserstein objective, where a critic's
            offset is arbitrary, accuracies mean little.
        gradient_penalty: weight of :func:`gradient_penalty`, >= 0; 0 leaves it out.
        r1: gamma of :func:`r1_penalty`, >= 0; 0 leaves it out.
        clip: each of the critic's parameters is clipped to [-clip, clip] after each optimizer step, > 0; None leaves
            that out.

    Example:
        >>> import torch
        >>> hinge = OBJECTIVES["hinge"]
        >>> hinge.critic_loss(torch.tensor([0.5, 2.0]), torch.tensor([-3.0, 0.0]))
        tensor(0.7500)
        >>> hinge.ideal_critic_loss
        2.0
    """

    name: str
    real_term: ScoreFunction
    fake_term: ScoreFunction
    generator_term: ScoreFunction
    ideal_critic_loss: float | None
    boundary: float = 0.0
    gradient_penalty: float = 0.0
    r1: float = 0.0
    clip: float | None = None

    def __post_init__(self) -> None:
        for name in ("real_term", "fake_term", "generator_term"):
            if not callable(term := getattr(self, name)):
                raise TypeError(f"{name}={term!r}: expected a function from scores to a loss")
        if self.ideal_critic_loss is not None:
            real_number("ideal_critic_loss", self.ideal_critic_loss, above=0.0)
        real_number("boundary", self.boundary)
        real_number("gradient_penalty", self.gradient_penalty, at_least=0.0)
        real_number("r1", self.r1, at_least=0.0)
        if self.clip is not None:
            real_number("clip", self.clip, above=0.0)

    @property
    def has_penalty(self) -> bool:
        """Whether a penalty has a weight above 0."""
        return self.gradient_penalty > 0 or self.r1 > 0

    def critic_loss(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """Return real term + fake term, without penalties, shape ()."""
        return self.real_term(real_scores) + self.fake_term(fake_scores)

    def penalty(self, critic: ScoreFunction, real: Tensor, fake: Tensor) -> Tensor:
        """Return the weighted sum of the penalties, shape (), with a graph to the critic's parameters."""
        total = real.new_zeros(())
        if self.gradient_penalty > 0:
            total = total + self.gradient_penalty * gradient_penalty(critic, real, fake)
        if self.r1 > 0:
            total = total + self.r1 * r1_penalty(critic, real)
        return total


def _input_gradients(critic: ScoreFunction, samples: Tensor) -> Tensor:
    """Return the gradient of each sample's score by that sample, shape (batch, features), differentiable."""
    samples = samples.detach().requires_grad_()
    (gradients,) = torch.autograd.grad(critic(samples).sum(), samples, create_graph=True)
    flat: Tensor = gradients.flatten(1)
    return flat


def gradient_penalty(critic: ScoreFunction, real: Tensor, fake: Tensor) -> Tensor:
    """Return the two-sided gradient penalty of WGAN-GP, unweighted, shape ().

    E[(||grad D(u)||_2 - 1)^2], u = real + e * (fake - real), one e per sample, uniform on [0, 1), from
    torch's global generator.

    Args:
        critic: samples (batch, ...) -> scores (batch,). A sample's score must not depend on other samples, which
            excludes batch normalisation.
        real: real samples (batch, ...).
        fake: generated samples of the same shape, detached.

    Source: Gulrajani et al., "Improved Training of Wasserstein GANs", 2017, arXiv 1704.00028, algorithm 1.
    """
    if real.shape != fake.shape:
        raise ValueError(
            f"real samples of shape {tuple(real.shape)}, generated ones of {tuple(fake.shape)}: the gradient "
            "penalty interpolates between them, so the generator has to return the shape of the real data"
        )
    shape = (len(real), *(1,) * (real.dim() - 1))
    mix = torch.rand(shape, device=real.device, dtype=real.dtype)
    gradients = _input_gradients(critic, torch.lerp(real, fake.to(real.dtype), mix))
    norms: Tensor = torch.linalg.vector_norm(gradients, dim=1)
    return (norms - 1).square().mean()


def r1_penalty(critic: ScoreFunction, real: Tensor) -> Tensor:
    """Return the R1 penalty for gamma = 1, shape (): E[||grad D(x)||_2^2] / 2 on real samples (batch, ...).

    Common values of gamma are 0.1 to 10.

    Source: Mescheder, Geiger, Nowozin, "Which Training Methods for GANs do actually Converge?", 2018, arXiv
    1801.04406, equation 9.
    """
    return _input_gradients(critic, real).square().sum(dim=1).mean() / 2


def _negative_mean(scores: Tensor) -> Tensor:
    return -scores.mean()


def _mean(scores: Tensor) -> Tensor:
    return scores.mean()


def _softplus_of_negative(scores: Tensor) -> Tensor:
    return softplus(-scores).mean()


def _softplus(scores: Tensor) -> Tensor:
    return softplus(scores).mean()


def _hinge_real(scores: Tensor) -> Tensor:
    return relu(1 - scores).mean()


def _hinge_fake(scores: Tensor) -> Tensor:
    return relu(1 + scores).mean()


def _squared_distance_to_one(scores: Tensor) -> Tensor:
    return (scores - 1).square().mean()


def _squared(scores: Tensor) -> Tensor:
    return scores.square().mean()


OBJECTIVES: Mapping[str, Objective] = MappingProxyType(
    {
        objective.name: objective
        for objective in (
            Objective("wasserstein-gp", _negative_mean, _mean, _negative_mean, None, gradient_penalty=10.0),
            Objective("wasserstein-clip", _negative_mean, _mean, _negative_mean, None, clip=0.01),
            Objective(
                "non-saturating",
                _softplus_of_negative,
                _softplus,
                _softplus_of_negative,
                IDEAL_CRITIC_LOSSES["non-saturating"],
            ),
            Objective("hinge", _hinge_real, _hinge_fake, _negative_mean, IDEAL_CRITIC_LOSSES["hinge"]),
            # The losses pull real samples to a score of 1 and generated ones to 0, so the boundary lies between.
            Objective(
                "least-squares",
                _squared_distance_to_one,
                _squared,
                _squared_distance_to_one,
                IDEAL_CRITIC_LOSSES["least-squares"],
                boundary=0.5,
            ),
        )
    }
)
"""The objectives by name.

Sources: Arjovsky et al. 2017, arXiv 1701.07875 (Wasserstein, clipping); Gulrajani et al. 2017, arXiv
1704.00028 (gradient penalty); Goodfellow et al. 2014, arXiv 1406.2661 (non-saturating); Lim and Ye 2017,
arXiv 1705.02894 (hinge); Mao et al. 2016, arXiv 1611.04076 (least squares with labels 0 and 1, without its
factors 1/2).
"""


def get_objective(objective: str | Objective) -> Objective:
    """Return the objective of that name, or an :class:`Objective` unchanged. Usual other names are known, too."""
    if isinstance(objective, Objective):
        return objective
    if not isinstance(objective, str):
        raise TypeError(f"objective={objective!r}: expected a name or an Objective, got {type(objective).__name__}")
    found = OBJECTIVES.get(objective_name(objective))
    if found is None:
        raise ValueError(f"objective={objective!r}: expected one of {listed(OBJECTIVES)}")
    return found
