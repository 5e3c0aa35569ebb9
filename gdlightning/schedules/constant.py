"""Constant learning rate."""

from __future__ import annotations


def constant(step: int, total: int) -> float:
    """Return 1 at every step.

    >>> constant(5, 10)
    1.0
    """
    return 1.0
