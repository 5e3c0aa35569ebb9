"""One over the square root of the step."""

from __future__ import annotations

import math

ALIASES = ("inverse-square-root", "noam", "rsqrt")


def inverse_sqrt(step: int, total: int, *, timescale: int = 1000) -> float:
    """sqrt(timescale / (timescale + step)): it needs no end.

    Vaswani et al. 2017 (arXiv:1706.03762), here counted from the end of the warm-up.

    Args:
        timescale: steps after which the factor is 1/√2.

    >>> inverse_sqrt(0, 10), inverse_sqrt(3000, 10)
    (1.0, 0.5)
    """
    return math.sqrt(timescale / (timescale + step))
