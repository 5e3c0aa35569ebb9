"""Down by the same factor each step."""

from __future__ import annotations

ALIASES = ("exp",)


def exponential(step: int, total: int, *, final: float = 0.01) -> float:
    """final^t, with t the part of training that is done.

    Args:
        final: factor at the end, above 0.

    >>> exponential(0, 11), round(exponential(5, 11), 6), exponential(10, 11)
    (1.0, 0.1, 0.01)
    """
    return float(final ** (step / max(1, total - 1)))
