"""Step decay at equal intervals."""

from __future__ import annotations

ALIASES = ("step-decay", "multistep", "step-lr")


def step(step: int, total: int, *, drops: int = 3, gamma: float = 0.1) -> float:
    """Multiply by ``gamma`` after each of ``drops`` equally spaced drops.

    Args:
        step: current step, counted from 0.
        total: number of steps, split into ``drops`` + 1 intervals of equal length.
        drops: number of drops.
        gamma: factor of each drop.

    >>> step(0, 8), step(2, 8), round(step(7, 8), 6)
    (1.0, 0.1, 0.001)
    """
    return float(gamma ** min(drops, step * (drops + 1) // max(1, total)))
