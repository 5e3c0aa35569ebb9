"""Exponential decay."""

from __future__ import annotations

ALIASES = ("exp",)


def exponential(step: int, total: int, *, final: float = 0.01) -> float:
    """Decay from 1 to ``final`` exponentially: final^t at the fraction t of the decay.

    Args:
        step: current step, counted from 0.
        total: number of steps of the decay.
        final: multiplier at the last step; positive.

    >>> exponential(0, 11), round(exponential(5, 11), 6), exponential(10, 11)
    (1.0, 0.1, 0.01)
    """
    return float(final ** (step / max(1, total - 1)))
