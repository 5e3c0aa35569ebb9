"""Warmup-stable-decay: constant, then a decay in the last part."""

from __future__ import annotations

from typing import Literal

ALIASES = ("warmup-stable-decay", "trapezoid", "constant-with-cooldown")


def wsd(
    step: int,
    total: int,
    *,
    decay: float = 0.2,
    final: float = 0.0,
    shape: Literal["linear", "sqrt"] = "linear",
) -> float:
    """Stay at 1, then decay to ``final`` in the last part of the run.

    The schedule is from Hu et al. 2024 (MiniCPM, arXiv:2404.06395); the ``sqrt`` shape is from
    Hägele et al. 2024 (arXiv:2405.18392).

    Args:
        step: current step, counted from 0.
        total: number of steps.
        decay: fraction of the steps spent decaying.
        final: multiplier at the last step.
        shape: ``linear``, or ``sqrt`` for 1 - √t at the fraction t of the decay.

    >>> wsd(0, 11), wsd(7, 11), wsd(10, 11)
    (1.0, 1.0, 0.0)
    """
    start = (1 - decay) * (total - 1)
    if step <= start:
        return 1.0
    progress = (step - start) / max(1e-9, total - 1 - start)
    return 1 - (1 - final) * (progress if shape == "linear" else progress**0.5)
