"""A power of what is left of training."""

from __future__ import annotations

ALIASES = ("poly",)


def polynomial(step: int, total: int, *, power: float = 2.0, final: float = 0.0) -> float:
    """final + (1 - final) (1 - t)^power, with t the part of training that is done.

    Args:
        power: 1 is a straight line.
        final: factor at the end.

    >>> polynomial(0, 11), polynomial(5, 11), polynomial(10, 11)
    (1.0, 0.25, 0.0)
    """
    return final + (1 - final) * float((1 - step / max(1, total - 1)) ** power)
