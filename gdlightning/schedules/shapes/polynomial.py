"""Polynomial decay."""

from __future__ import annotations

ALIASES = ("poly",)


def polynomial(step: int, total: int, *, power: float = 2.0, final: float = 0.0) -> float:
    """Decay from 1 to ``final`` as a power of the remaining fraction of steps.

    The multiplier is final + (1 - final) (1 - t)^power at the fraction t of the decay.

    Args:
        step: current step, counted from 0.
        total: number of steps of the decay.
        power: exponent; 1 gives a linear decay.
        final: multiplier at the last step.

    >>> polynomial(0, 11), polynomial(5, 11), polynomial(10, 11)
    (1.0, 0.25, 0.0)
    """
    return final + (1 - final) * float((1 - step / max(1, total - 1)) ** power)
