"""Reduction when a metric stops improving."""

from __future__ import annotations

import math
from typing import Literal

ALIASES = ("plateau", "reduce-lr-on-plateau")
ENDLESS = True
"""The multiplier does not depend on the length of training."""


class ReduceOnPlateau:
    """Multiplier that is reduced when the monitored metric stops improving.

    The rule is that of ``torch.optim.lr_scheduler.ReduceLROnPlateau``. It does not depend on the
    length of training.

    Args:
        factor: factor of each reduction.
        patience: number of validations without improvement before a reduction.
        threshold: smallest relative change that counts as an improvement.
        cooldown: number of validations to skip after a reduction.
        min_factor: lower bound of the multiplier.
        mode: ``min`` if lower values of the metric are better, ``max`` if higher ones are.
        monitor: name of the logged metric.
    """

    def __init__(
        self,
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        cooldown: int = 0,
        min_factor: float = 1e-4,
        mode: Literal["min", "max"] = "min",
        monitor: str = "val_loss",
    ) -> None:
        self.factor, self.patience, self.threshold = factor, patience, threshold
        self.cooldown, self.min_factor, self.mode, self.monitor = (
            cooldown,
            min_factor,
            mode,
            monitor,
        )
        self.current, self.bad, self.cooling = 1.0, 0, 0
        self.best: float | None = None

    def observe(self, value: float) -> None:
        """Update the multiplier with the metric of one validation."""
        sign = 1.0 if self.mode == "min" else -1.0
        target = None if self.best is None else self.best - sign * abs(self.best) * self.threshold
        if not math.isnan(value) and (target is None or sign * value < sign * target):
            self.best, self.bad = value, 0
        else:
            self.bad += 1
        if self.cooling > 0:
            self.cooling, self.bad = self.cooling - 1, 0
        if self.bad > self.patience:
            self.current = max(self.min_factor, self.current * self.factor)
            self.bad, self.cooling = 0, self.cooldown

    def __call__(self, step: int, total: int) -> float:
        """Return the current multiplier."""
        return self.current
