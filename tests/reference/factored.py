"""Second moments stored as row and column sums."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from reference.base import ZERO, Array, Rule, rms


@dataclass(kw_only=True)
class Adafactor(Rule):
    """Shazeer and Stern 2018 (arXiv:1804.04235), Algorithms 4 and 5 with the schedule of section 9.

    ρₜ = min(lr, 1/√t), where the paper's lr is 10⁻². Weight decay, which the paper does not have,
    is lr·λ·w, after the size of the weights was taken.

    Args:
        eps: ε₁, added to g², and ε₂, least size of the weights.
        eps_as_floor: switch: ε₁ is a floor of the rows' mean, and ε₁² of the second moment.
    """

    eps: tuple[float, float] = (1e-30, 1e-3)
    d: float = 1.0
    beta2_decay: float = -0.8
    eps_as_floor: bool = False
    rows: Array = ZERO
    columns: Array = ZERO

    def update(self, w: Array, g: Array, eta: float) -> Array:
        lr, (eps1, eps2) = eta * self.lr, self.eps
        size = max(eps2, rms(w)) * min(lr, 1 / math.sqrt(self.t))
        w = w * (1 - lr * self.weight_decay)
        step = g / np.sqrt(self._second_moment(g**2 + (0.0 if self.eps_as_floor else eps1)))
        return w - size * step / max(1.0, rms(step) / self.d)

    def _second_moment(self, square: Array) -> Array:
        beta, floor = 1 - self.t**self.beta2_decay, self.eps[0] if self.eps_as_floor else 0.0
        if square.ndim < 2:
            self.rows = beta * self.rows + (1 - beta) * square
            return np.maximum(self.rows, floor**2)
        self.rows = beta * self.rows + (1 - beta) * square.sum(1)
        self.columns = beta * self.columns + (1 - beta) * square.sum(0)
        # Sums as in the paper; the floor of a mean of rows' means is that of a sum times its size.
        total = max(float(self.rows.sum()), floor * square.size)
        return np.maximum(np.outer(self.rows, self.columns) / total, floor**2)
