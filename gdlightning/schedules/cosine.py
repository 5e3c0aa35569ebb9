"""Half a cosine down."""

from __future__ import annotations

import math

ALIASES = ("cosine-warmup", "cosine-annealing", "warmup-cosine")


def cosine(step: int, total: int, *, final: float = 0.0) -> float:
    """final + (1 - final) (1 + cos πt) / 2, with t the part of training that is done.

    Loshchilov and Hutter 2017, SGDR (arXiv:1608.03983), one cycle.

    Args:
        final: factor at the end.

    >>> cosine(0, 11), round(cosine(5, 11), 6), cosine(10, 11)
    (1.0, 0.5, 0.0)
    """
    return final + (1 - final) * (1 + math.cos(math.pi * step / max(1, total - 1))) / 2
