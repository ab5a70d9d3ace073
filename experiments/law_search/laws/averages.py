"""Running averages with their standard errors, which the laws compare."""

from __future__ import annotations

import math


class Average:
    """Exponential average without start-up bias, with its variance and the standard error of the average."""

    def __init__(self, decay: float = 0.95) -> None:
        self.decay, self.weight, self.mean_sum, self.square_sum, self.weight_square = (
            decay,
            0.0,
            0.0,
            0.0,
            0.0,
        )

    def add(self, value: float) -> None:
        """Add one value."""
        self.weight = self.decay * self.weight + 1 - self.decay
        self.weight_square = self.decay**2 * self.weight_square + (1 - self.decay) ** 2
        self.mean_sum = self.decay * self.mean_sum + (1 - self.decay) * value
        self.square_sum = self.decay * self.square_sum + (1 - self.decay) * value * value

    @property
    def mean(self) -> float:
        """The average."""
        return self.mean_sum / self.weight if self.weight else 0.0

    @property
    def error(self) -> float:
        """Standard error of the average, from the second moment, values taken as independent."""
        if not self.weight:
            return math.inf
        variance = max(0.0, self.square_sum / self.weight - self.mean**2)
        return math.sqrt(variance * self.weight_square) / self.weight


class Window:
    """Average over the last 1/share of the iterations so far, at most ``longest`` of them, with its standard error."""

    def __init__(self, longest: float, share: float = 3.0) -> None:
        self.longest, self.share, self.count = longest, share, 0
        self.mean, self.square, self.weight_square = 0.0, 0.0, 1.0

    def add(self, value: float) -> None:
        """Add one value."""
        self.count += 1
        alpha = 1.0 if self.count == 1 else max(1 / self.longest, self.share / (self.count + self.share))
        self.mean += alpha * (value - self.mean)
        self.square += alpha * (value * value - self.square)
        self.weight_square = (1 - alpha) ** 2 * self.weight_square + alpha**2

    @property
    def error(self) -> float:
        """Standard error of the average, values taken as independent."""
        return math.sqrt(max(0.0, self.square - self.mean**2) * self.weight_square)
