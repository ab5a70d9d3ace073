"""Limits of levels and updates, each set by the past of the value: values in, values beyond their limits out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeAlias

# Share of their own norm by which one step may always move the weights: 1 %. Below it a schedule may begin
# with a tenth or a thousandth of its rate.
_SMALL_UPDATE = 0.01

Past: TypeAlias = "Mapping[str, tuple[float, ...]]"
Outside: TypeAlias = "dict[str, tuple[float, float]]"
"""value and its limit, by name, of values beyond the limit"""


class Limit(ABC):
    """Base class of rules that compare a value with a limit set by the past of that value."""

    @abstractmethod
    def limit(self, past: Sequence[float]) -> float:
        """Return the limit."""

    def is_beyond(self, value: float, limit: float) -> bool:
        """Return whether the value is on the wrong side of the limit."""
        return value > limit

    def find(self, values: Mapping[str, float], past: Past) -> Outside:
        """Return the values beyond their limits; values without a past have no limit."""
        limits = {name: self.limit(past[name]) for name in values if name in past}
        return {name: (values[name], limit) for name, limit in limits.items() if self.is_beyond(values[name], limit)}


@dataclass(frozen=True)
class Explosion(Limit):
    """Finds levels far above their running median: m + threshold * max(MAD, floor, relative_floor * m).

    Single outliers move neither m nor the MAD (Leys et al. 2013, https://doi.org/10.1016/j.jesp.2013.03.013).

    Example:
        >>> Explosion(threshold=50.0, floor=0.2, relative_floor=0.2).find({"gap": 12.0}, {"gap": (1.0, 1.0, 1.0)})
        {'gap': (12.0, 11.0)}
    """

    threshold: float
    floor: float
    relative_floor: float

    def limit(self, past: Sequence[float]) -> float:
        """Return the limit of a level."""
        centre = median(past)
        deviation = median([abs(level - centre) for level in past])
        return centre + self.threshold * max(deviation, self.floor, self.relative_floor * centre)


@dataclass(frozen=True)
class Spike(Limit):
    """Finds single values far beyond the limit of an explosion, as after one corrupted batch.

    Example:
        >>> Spike(Explosion(50.0, 0.2, 0.2), spike_limit=100.0).find({"gap": 1101.0}, {"gap": (1.0, 1.0, 1.0)})
        {'gap': (1101.0, 1100.0)}
    """

    explosion: Explosion
    spike_limit: float

    def limit(self, past: Sequence[float]) -> float:
        """Return the limit of a single value."""
        return self.spike_limit * self.explosion.limit(past)


@dataclass(frozen=True)
class Dead(Limit):
    """Finds levels that are a tiny share of their running median: the critic no longer responds.

    A critic that only can't tell real from generated still has noise in its gap and in the spread of its scores.

    Example:
        >>> Dead(1e-4).find({"gap": 0.0}, {"gap": (2.0, 2.0, 2.0)})
        {'gap': (0.0, 0.0002)}
    """

    dead: float

    def limit(self, past: Sequence[float]) -> float:
        """Return the lower limit of a level."""
        return self.dead * median(past)

    def is_beyond(self, value: float, limit: float) -> bool:
        """Return whether the level is below the limit."""
        return value < limit


@dataclass(frozen=True)
class LargeUpdate(Limit):
    """Finds updates that move weights by far more than usual, as with a learning rate that is far too high.

    A single large update does not count as usual, and updates may grow. The first ``warmup`` sizes are left out: the
    first updates of RMSprop are the largest, and updates of small weights grow.

    Example:
        >>> rule = LargeUpdate(update_limit=5.0, warmup=1)
        >>> rule.find({"optimizer_d": 0.3}, {"optimizer_d": (0.9, 0.02, 0.04, 0.03)})
        {'optimizer_d': (0.3, 0.15)}
    """

    update_limit: float
    warmup: int

    def limit(self, past: Sequence[float]) -> float:
        """Return the limit of a size."""
        usual = max(past[-1], sorted(past[self.warmup :])[-2:][0])
        return max(self.update_limit * usual, _SMALL_UPDATE)


def judged(past: Past, checks: int) -> Past:
    """Return the pasts that are long enough for a judgement."""
    return {name: values for name, values in past.items() if len(values) >= checks}
