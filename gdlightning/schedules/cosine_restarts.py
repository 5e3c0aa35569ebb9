"""Half cosines down, each begun again at the peak."""

from __future__ import annotations

import math

ALIASES = ("cosine-warm-restarts", "sgdr")


def cosine_restarts(
    step: int, total: int, *, cycles: int = 3, growth: float = 1.0, final: float = 0.0
) -> float:
    """A cosine decay in each of several cycles.

    Loshchilov and Hutter 2017, SGDR (arXiv:1608.03983).

    Args:
        cycles: their number.
        growth: length of a cycle over that of the one before.
        final: factor at the end of each cycle.

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
