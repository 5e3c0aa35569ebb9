"""Methods that estimate the learning rate."""

from __future__ import annotations

import numpy as np

from reference.base import ZERO, Problem, Reference, Weights


class Prodigy(Reference):
    """Mishchenko and Defazio 2023 (arXiv:2306.06101), Algorithm 4 (Adam version), dₜ for all.

    Decoupled weight decay by γₖdₖ.

    Args:
        lr: γ.
        eps_by_new_d: switch: ε in the denominator is multiplied by dₖ₊₁, not by dₖ.
    """

    def __init__(
        self,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        d0: float = 1e-6,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        eps_by_new_d: bool = False,
    ) -> None:
        self.lr, self.betas, self.d, self.eps = lr, betas, d0, eps
        self.weight_decay, self.eps_by_new_d = weight_decay, eps_by_new_d
        self.t, self.r = 0, 0.0
        self.first: Weights = {}
        self.m: Weights = {}
        self.v: Weights = {}
        self.s: Weights = {}

    def step(self, weights: Weights, problem: Problem, eta: float) -> Weights:
        self.t += 1
        if not self.first:
            self.first = weights
            self.m, self.v, self.s = (dict.fromkeys(weights, ZERO) for _ in range(3))
        b1, b2 = self.betas
        b3, d, rate = np.sqrt(b2), self.d, eta * self.lr
        gradient = problem.gradient(weights, self.t)
        inner = sum(float(np.sum(g * (self.first[n] - weights[n]))) for n, g in gradient.items())
        self.r = b3 * self.r + (1 - b3) * rate * d**2 * inner
        for n, g in gradient.items():
            self.m[n] = b1 * self.m[n] + (1 - b1) * d * g
            self.v[n] = b2 * self.v[n] + (1 - b2) * d**2 * g**2
            self.s[n] = b3 * self.s[n] + (1 - b3) * rate * d**2 * g
        size = sum(float(np.abs(s).sum()) for s in self.s.values())
        self.d = max(d, self.r / size)
        eps = self.eps * (self.d if self.eps_by_new_d else d)
        return {
            n: w * (1 - rate * d * self.weight_decay)
            - rate * d * self.m[n] / (np.sqrt(self.v[n]) + eps)
            for n, w in weights.items()
        }
