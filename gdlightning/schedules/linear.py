"""A straight line down."""

from __future__ import annotations

ALIASES = ("linear-decay",)


def linear(step: int, total: int, *, final: float = 0.0) -> float:
    """1 - (1 - final) t, with t the part of training that is done.

    Args:
        final: factor at the end.

    >>> linear(0, 11), linear(5, 11), linear(10, 11)
    (1.0, 0.5, 0.0)
    """
    return 1 - (1 - final) * step / max(1, total - 1)
