"""Steps divided by accumulated gradients, without an average of the gradient itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reference.base import ZERO, Array, Rule


@dataclass(kw_only=True)
class Adagrad(Rule):
    """Duchi, Hazan, Singer 2011, Fig. 1 with diagonal matrices: H = δI + diag(|g₁..ₜ|₂)."""

    eps: float = 1e-10
    total: Array = ZERO

    def update(self, w: Array, g: Array, eta: float) -> Array:
        g = g + self.weight_decay * w
        self.total = self.total + g**2
        return w - eta * self.lr * g / (self.eps + np.sqrt(self.total))


@dataclass(kw_only=True)
class RMSprop(Rule):
    """Tieleman and Hinton 2012, lecture 6e, slide 29: mean square with 0.9 and 0.1.

    Args:
        alpha: decay rate of the mean square.
        eps: switch: added to the root; the lecture adds nothing.
    """

    alpha: float = 0.9
    eps: float = 0.0
    mean: Array = ZERO

    def update(self, w: Array, g: Array, eta: float) -> Array:
        g = g + self.weight_decay * w
        self.mean = self.alpha * self.mean + (1 - self.alpha) * g**2
        return w - eta * self.lr * g / (np.sqrt(self.mean) + self.eps)


@dataclass(kw_only=True)
class Adadelta(Rule):
    """Zeiler 2012 (arXiv:1212.5701), Algorithm 1; a rate multiplies Δx last, 1 in the paper."""

    rho: float = 0.9
    eps: float = 1e-6
    squares: Array = ZERO
    steps: Array = ZERO

    def update(self, w: Array, g: Array, eta: float) -> Array:
        g = g + self.weight_decay * w
        self.squares = self.rho * self.squares + (1 - self.rho) * g**2
        step = -np.sqrt(self.steps + self.eps) / np.sqrt(self.squares + self.eps) * g
        self.steps = self.rho * self.steps + (1 - self.rho) * step**2
        return w + eta * self.lr * step
