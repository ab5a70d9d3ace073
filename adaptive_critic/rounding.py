"""Real-valued ratio to integer, with the error carried over, so that 2.3 critic updates on average are possible."""

from __future__ import annotations

import math

__all__ = ["diffuse"]


def diffuse(ratio: float, carry: float) -> tuple[int, float]:
    r"""Round ``ratio`` with the error of all earlier roundings carried along.

    .. math:: n = \lfloor r + c + 1/2 \rfloor, \qquad c \leftarrow r + c - n

    The carry stays in [-1/2, 1/2], so after any number of roundings the sum of n and the sum of r differ by at most
    1/2, and n stays within integer limits that r stays within.

    Args:
        ratio: real-valued ratio, finite.
        carry: what the last rounding left over, in [-1/2, 1/2]; 0.0 at first.

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
    total = ratio + carry
    n = math.floor(total + 0.5)
    # In floating point total + 0.5 can be rounded up to the next integer although total lies below the half: then the
    # half belongs to the lower one, or n could step over an upper limit.
    if n - total > 0.5:
        n -= 1
    # n must not leave the integers next to the ratio, whatever the carry's last bit says: limits hold exactly.
    n = min(max(n, math.floor(ratio)), math.ceil(ratio))
    return n, min(max(total - n, -0.5), 0.5)
