"""Down when a metric has stopped improving."""

from __future__ import annotations

import math
from typing import Literal

ALIASES = ("plateau", "reduce-lr-on-plateau")


class ReduceOnPlateau:
    """A factor that is cut whenever the monitored metric has not improved for a while.

    The rule is that of torch's ReduceLROnPlateau; it needs no end.

    Args:
        factor: of each cut.
        patience: validations without improvement that are waited for.
        threshold: relative improvement that counts.
        cooldown: validations after a cut before waiting starts again.
        min_factor: below which it is not cut.
        mode: whether the metric is to fall (min) or rise (max).
        monitor: the metric, as it is logged.
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
        """The metric of one validation."""
        sign = 1.0 if self.mode == "min" else -1.0
        bar = None if self.best is None else self.best - sign * abs(self.best) * self.threshold
        if not math.isnan(value) and (bar is None or sign * value < sign * bar):
            self.best, self.bad = value, 0
        else:
            self.bad += 1
        if self.cooling > 0:
            self.cooling, self.bad = self.cooling - 1, 0
        if self.bad > self.patience:
            self.current = max(self.min_factor, self.current * self.factor)
            self.bad, self.cooling = 0, self.cooldown

    def __call__(self, step: int, total: int) -> float:
        """The factor now."""
        return self.current
