"""Rounding of a ratio within its limits, with the error carried over: 2.3 critic updates on average are possible."""

from __future__ import annotations

import math


def rounded(ratio: float, carry: float) -> int:
    r"""Return the ratio plus the carry as an int: n of :func:`diffuse`."""
    # Both sums are rounded to a float, which can take them over the next half. n must not leave the integers next to
    # the ratio, whatever the last bit says: limits hold exactly.
    return min(max(math.floor(ratio + carry + 0.5), math.floor(ratio)), math.ceil(ratio))


def carry_over(ratio: float, carry: float, n: int) -> float:
    """Return the carry after ``n`` updates were made instead of ``ratio``: c of :func:`diffuse`."""
    return min(max(ratio + carry - n, -0.5), 0.5)


def diffuse(ratio: float, carry: float) -> tuple[int, float]:
    r"""Round ``ratio`` with the error of all earlier roundings carried over.

    .. math:: n = \lfloor r + c + 1/2 \rfloor, \qquad c \leftarrow r + c - n

    The carry stays in [-1/2, 1/2]. So after any number of roundings the sum of n and the sum of r differ by at most
    1/2. If r stays within integer limits, so does n.

    Args:
        ratio: real-valued ratio, finite.
        carry: carry of the last rounding, in [-1/2, 1/2]; 0.0 at first.

    Returns:
        the integer and the next carry.

    Example:
        >>> carry, steps = 0.0, []
        >>> for _ in range(5):
        ...     n, carry = diffuse(2.4, carry)
        ...     steps.append(n)
        >>> steps
        [2, 3, 2, 3, 2]
    """
    n = rounded(ratio, carry)
    return n, carry_over(ratio, carry, n)
