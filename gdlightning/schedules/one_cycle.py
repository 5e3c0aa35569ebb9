"""Up to the peak and down again, far below the start."""

from __future__ import annotations

import math

ALIASES = ("1cycle",)


def one_cycle(
    step: int,
    total: int,
    *,
    rise: float = 0.3,
    initial: float = 0.04,
    final: float = 4e-6,
) -> float:
    """A cosine from ``initial`` to 1, then from 1 to ``final``.

    Smith and Topin 2018 (arXiv:1708.07120); the learning-rate part of torch's OneCycleLR, whose
    ``div_factor`` of 25 and ``final_div_factor`` of 1e4 are the defaults here.

    Args:
        rise: part of training on the way up.
        initial: factor at the start.
        final: factor at the end.

    >>> one_cycle(0, 101), one_cycle(29, 101)
    (0.04, 1.0)
    """
    top = max(0.0, rise * total - 1)
    low, high, part = (
        (initial, 1.0, step / top)
        if step < top
        else (1.0, final, (step - top) / max(1e-9, total - 1 - top))
    )
    return high + (low - high) * (1 + math.cos(math.pi * min(1.0, part))) / 2
