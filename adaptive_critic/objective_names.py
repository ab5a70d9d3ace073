"""Names of the GAN objectives, the other names that people use for them, and the critic's loss at parity."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType

IDEAL_CRITIC_LOSSES: Mapping[str, float] = MappingProxyType(
    {"non-saturating": math.log(4.0), "hinge": 2.0, "least-squares": 0.5}
)
"""real term + fake term of the best critic when generated samples are distributed like real ones, without penalties"""

_OTHER_NAMES = {
    "wasserstein": ("wgan",),
    "wasserstein-gp": ("wgan-gp", "wgangp"),
    "wasserstein-clip": ("wgan-clip",),
    "non-saturating": ("ns", "nsgan", "ns-gan", "bce", "vanilla"),
    "least-squares": ("ls", "lsgan", "ls-gan"),
}
_NAMES = {other: name for name, others in _OTHER_NAMES.items() for other in others}


def objective_name(name: str) -> str:
    """Return this project's name of an objective, in lower case with hyphens; an unknown name stays as it is.

    Example:
        >>> objective_name("WGAN_GP"), objective_name("lsgan"), objective_name("bce")
        ('wasserstein-gp', 'least-squares', 'non-saturating')
    """
    plain = name.strip().lower().replace("_", "-").replace(" ", "-")
    return _NAMES.get(plain, plain)


def listed(names: Iterable[str]) -> str:
    """Return the names for an error, each followed by the other names that mean the same."""
    return ", ".join(" or ".join(map(repr, (name, *_OTHER_NAMES.get(name, ())))) for name in names)
