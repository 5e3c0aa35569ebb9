"""Inverse square root decay."""

from __future__ import annotations

import math

ENDLESS = True
"""The multiplier does not depend on the length of training."""

ALIASES = ("inverse-square-root", "noam", "rsqrt")


def inverse_sqrt(step: int, total: int, *, timescale: int = 1000) -> float:
    """Decay as sqrt(timescale / (timescale + step)), independently of ``total``.

    The schedule is from Vaswani et al. 2017 (arXiv:1706.03762), with steps counted from the end of
    the warm-up.

    Args:
        step: current step, counted from 0.
        total: number of steps; unused.
        timescale: number of steps after which the multiplier is 1/√2.

    >>> inverse_sqrt(0, 10), inverse_sqrt(3000, 10)
    (1.0, 0.5)
    """
    return math.sqrt(timescale / (timescale + step))
