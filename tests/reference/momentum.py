"""Gradient descent with and without momentum."""

from __future__ import annotations

from dataclasses import dataclass

from reference.base import ZERO, Array, Rule


@dataclass(kw_only=True)
class GradientDescent(Rule):
    """w ← w − αg (Cauchy 1847)."""

    def update(self, w: Array, g: Array, eta: float) -> Array:
        return w - eta * self.lr * (g + self.weight_decay * w)


@dataclass(kw_only=True)
class HeavyBall(Rule):
    """Polyak 1964, eq. 9: x' = x − αg + β(x − x₋₁).

    Args:
        momentum: β.
        rate_outside: switch: the velocity is a sum of gradients, multiplied by the present rate,
            instead of a difference of weights, in which each gradient keeps the rate of its step.
    """

    momentum: float = 0.9
    rate_outside: bool = False
    v: Array = ZERO

    def update(self, w: Array, g: Array, eta: float) -> Array:
        rate, g = eta * self.lr, g + self.weight_decay * w
        if self.rate_outside:
            self.v = self.momentum * self.v - g
            return w + rate * self.v
        self.v = self.momentum * self.v - rate * g
        return w + self.v


@dataclass(kw_only=True)
class Nesterov(Rule):
    """Sutskever, Martens, Dahl, Hinton 2013, eqs. 3 and 4, with the gradient at θ + μv.

    v' = μv − ε∇f(θ + μv), θ' = θ + v'. The weights that training sees are φ = θ + μv, where the
    gradient is taken; this class keeps θ and hands out φ.

    Args:
        momentum: μ.
        rate_outside: switch: as for ``HeavyBall``.
    """

    momentum: float = 0.9
    rate_outside: bool = False
    v: Array = ZERO
    theta: Array = ZERO

    def update(self, w: Array, g: Array, eta: float) -> Array:
        rate, g = eta * self.lr, g + self.weight_decay * w
        if self.rate_outside:
            self.v = self.momentum * self.v - g
            return w + rate * (self.momentum * self.v - g)
        theta = self.theta if self.t > 1 else w
        self.v = self.momentum * self.v - rate * g
        self.theta = theta + self.v
        return self.theta + self.momentum * self.v
