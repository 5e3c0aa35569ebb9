"""One-cycle policy: up to the peak, then down far below the start."""

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
    """Anneal from ``initial`` to 1 and then to ``final``, along half a cosine each.

    This is the learning-rate part of the 1cycle policy (Smith and Topin 2018, arXiv:1708.07120).
    The defaults equal those of ``torch.optim.lr_scheduler.OneCycleLR``: ``div_factor=25`` and
    ``final_div_factor=1e4``.

    Args:
        step: current step, counted from 0.
        total: number of steps of the cycle.
        rise: fraction of the steps spent increasing.
        initial: multiplier at the first step.
        final: multiplier at the last step.

    >>> one_cycle(0, 101), one_cycle(29, 101)
    (0.04, 1.0)
    """
    peak_step = max(0.0, rise * total - 1)
    start, end, progress = (
        (initial, 1.0, step / peak_step)
        if step < peak_step
        else (1.0, final, (step - peak_step) / max(1e-9, total - 1 - peak_step))
    )
    return end + (start - end) * (1 + math.cos(math.pi * min(1.0, progress))) / 2
