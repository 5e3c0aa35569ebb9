"""Steps by sign."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reference.base import ZERO, Array, Rule


@dataclass(kw_only=True)
class Lion(Rule):
    """Chen et al. 2023 (arXiv:2302.06675), Algorithm 2."""

    betas: tuple[float, float] = (0.9, 0.99)
    m: Array = ZERO

    def update(self, w: Array, g: Array, eta: float) -> Array:
        b1, b2 = self.betas
        c = b1 * self.m + (1 - b1) * g
        self.m = b2 * self.m + (1 - b2) * g
        return w - eta * self.lr * (np.sign(c) + self.weight_decay * w)
