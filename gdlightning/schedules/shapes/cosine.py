"""Cosine decay."""

from __future__ import annotations

import math

ALIASES = ("cosine-warmup", "cosine-annealing", "warmup-cosine")


def cosine(step: int, total: int, *, final: float = 0.0) -> float:
    """Decay from 1 to ``final`` along half a cosine.

    The multiplier is final + (1 - final) (1 + cos πt) / 2 at the fraction t of the decay, one cycle
    of SGDR (Loshchilov and Hutter 2017, arXiv:1608.03983).

    Args:
        step: current step, counted from 0.
        total: number of steps of the decay.
        final: multiplier at the last step.

    >>> cosine(0, 11), round(cosine(5, 11), 6), cosine(10, 11)
    (1.0, 0.5, 0.0)
    """
    return final + (1 - final) * (1 + math.cos(math.pi * step / max(1, total - 1))) / 2
