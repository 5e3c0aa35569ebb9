"""Warm-up, stable, decay: constant, then down in the last part."""

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
    """1, then in the last part of training down to ``final``.

    Hu et al. 2024, MiniCPM (arXiv:2404.06395); sqrt: Hägele et al. 2024 (arXiv:2405.18392).

    Args:
        decay: part of training on the way down.
        final: factor at the end.
        shape: of the way down: ``linear``, or ``sqrt`` for 1 - √t.

    >>> wsd(0, 11), wsd(7, 11), wsd(10, 11)
    (1.0, 1.0, 0.0)
    """
    start = (1 - decay) * (total - 1)
    if step <= start:
        return 1.0
    part = (step - start) / max(1e-9, total - 1 - start)
    return 1 - (1 - final) * (part if shape == "linear" else part**0.5)
