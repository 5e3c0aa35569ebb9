"""Triangular cycles between a low and the peak learning rate."""

from __future__ import annotations

ALIASES = ("triangular", "cyclical")


def cyclic(
    step: int, total: int, *, cycles: int = 4, low: float = 0.1, gamma: float = 1.0
) -> float:
    """Alternate linearly between ``low`` and the peak (Smith 2017, arXiv:1506.01186).

    Args:
        step: current step, counted from 0.
        total: number of steps of all cycles.
        cycles: number of cycles.
        low: multiplier at the start and end of each cycle.
        gamma: height of a cycle relative to the previous one.

    >>> cyclic(0, 9, cycles=1), cyclic(4, 9, cycles=1), cyclic(8, 9, cycles=1)
    (0.1, 1.0, 0.1)
    """
    position = step / max(1, total - 1) * cycles
    number = min(int(position), cycles - 1)
    height = 1 - abs(2 * (position - number) - 1)
    return low + (1 - low) * height * gamma**number
