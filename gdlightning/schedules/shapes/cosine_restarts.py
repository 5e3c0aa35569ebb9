"""Cosine decay with warm restarts."""

from __future__ import annotations

import math

ALIASES = ("cosine-warm-restarts", "sgdr")


def cosine_restarts(
    step: int, total: int, *, cycles: int = 3, growth: float = 1.0, final: float = 0.0
) -> float:
    """Repeat a cosine decay from 1 to ``final`` for several cycles.

    The method is SGDR (Loshchilov and Hutter 2017, arXiv:1608.03983).

    Args:
        step: current step, counted from 0.
        total: number of steps of all cycles.
        cycles: number of cycles.
        growth: length of a cycle relative to the previous one.
        final: multiplier at the end of each cycle.

    >>> cosine_restarts(0, 9), cosine_restarts(3, 9), cosine_restarts(8, 9)
    (1.0, 1.0, 0.0)
    """
    weights = [growth**k for k in range(cycles)]
    ends = [round(total * sum(weights[: k + 1]) / sum(weights)) for k in range(cycles)]
    start = 0
    for end in ends:
        if step < end or end == ends[-1]:
            part = min(1.0, (step - start) / max(1, end - start - 1))
            return final + (1 - final) * (1 + math.cos(math.pi * part)) / 2
        start = end
    return final
