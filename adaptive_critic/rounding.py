r"""Rounding of a ratio r within its limits, with the error of all earlier roundings carried over as c.

.. math:: n = \lfloor r + c + 1/2 \rfloor, \qquad c \leftarrow r + c - n

The carry stays in [-1/2, 1/2]. So after any number of roundings the sum of n and the sum of r differ by at most 1/2. If
r stays within integer limits, so does n.
"""

from __future__ import annotations

import math


def rounded(ratio: float, carry: float) -> int:
    """Return n for a finite ratio and the carry of the last rounding, 0.0 at first."""
    # Both sums are rounded to a float, which can take them over the next half. n must not leave the integers next to
    # the ratio, whatever the last bit says: limits hold exactly.
    return min(max(math.floor(ratio + carry + 0.5), math.floor(ratio)), math.ceil(ratio))


def carry_over(ratio: float, carry: float, n: int) -> float:
    """Return the next carry after ``n`` updates were made for ``ratio``; at most 1/2 if ``n`` is another number."""
    return min(max(ratio + carry - n, -0.5), 0.5)
