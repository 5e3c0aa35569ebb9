"""Linear decay."""

from __future__ import annotations

ALIASES = ("linear-decay",)


def linear(step: int, total: int, *, final: float = 0.0) -> float:
    """Decay from 1 to ``final`` linearly.

    Args:
        step: current step, counted from 0.
        total: number of steps of the decay.
        final: multiplier at the last step.

    >>> linear(0, 11), linear(5, 11), linear(10, 11)
    (1.0, 0.5, 0.0)
    """
    return 1 - (1 - final) * step / max(1, total - 1)
