"""Numbers as JSON takes them."""

from __future__ import annotations

import math
from collections.abc import Iterable

from experiments.statistics import Estimate


def numbers(values: Iterable[float], digits: int = 5) -> list[float | None]:
    """Return values as JSON takes them: rounded to significant digits, None for what is not finite."""
    return [float(f"{v:.{digits}g}") if math.isfinite(v) else None for v in values]


def triple(estimate: Estimate) -> list[float | None]:
    """Return [value, low, high]."""
    return numbers([estimate.value, estimate.low, estimate.high], 4)
