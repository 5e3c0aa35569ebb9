"""Triangles between a low and the peak."""

from __future__ import annotations

ALIASES = ("triangular", "cyclical")


def cyclic(
    step: int, total: int, *, cycles: int = 4, low: float = 0.1, gamma: float = 1.0
) -> float:
    """Up from ``low`` to the peak and down again, several times.

    Smith 2017 (arXiv:1506.01186): triangular; with ``gamma`` below 1 each peak is lower.

    Args:
        cycles: their number.
        low: factor between the triangles.
        gamma: height of a triangle over that of the one before.

    >>> cyclic(0, 9, cycles=1), cyclic(4, 9, cycles=1), cyclic(8, 9, cycles=1)
    (0.1, 1.0, 0.1)
    """
    position = step / max(1, total - 1) * cycles
    number = min(int(position), cycles - 1)
    height = 1 - abs(2 * (position - number) - 1)
    return low + (1 - low) * height * gamma**number
