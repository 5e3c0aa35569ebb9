"""Steps by curvature."""

from __future__ import annotations

import numpy as np

from reference.base import ZERO, Problem, Reference, Weights


class SophiaH(Reference):
    """Liu et al. 2024 (arXiv:2305.14342v4), Algorithm 3 with Hutchinson's estimator (Algorithm 1).

    Args:
        gamma: γ.
        update_period: k: steps from one estimate of the Hessian to the next.
        bounded_ratio: switch: the step is clip(m/max(h, ε), γ), as in the paper's first version,
            instead of clip(m/max(γh, ε), 1): shorter by the factor γ.
    """

    def __init__(
        self,
        lr: float,
        betas: tuple[float, float] = (0.96, 0.99),
        gamma: float = 0.01,
        eps: float = 1e-12,
        update_period: int = 10,
        weight_decay: float = 0.0,
        bounded_ratio: bool = False,
    ) -> None:
        self.lr, self.betas, self.gamma, self.eps = lr, betas, gamma, eps
        self.update_period, self.weight_decay = update_period, weight_decay
        self.bounded_ratio = bounded_ratio
        self.t = 0
        self.m: Weights = {}
        self.h: Weights = {}

    def step(self, weights: Weights, problem: Problem, eta: float) -> Weights:
        self.t += 1
        b1, b2 = self.betas
        gradient = problem.gradient(weights, self.t)
        if self.t % self.update_period == 1 or self.update_period == 1:
            u = problem.noise(self.t)
            product = problem.curvature(weights, u, self.t)
            self.h = {n: b2 * self.h.get(n, ZERO) + (1 - b2) * u[n] * product[n] for n in u}
        found = {}
        for n, w in weights.items():
            m = self.m[n] = b1 * self.m.get(n, ZERO) + (1 - b1) * gradient[n]
            if self.bounded_ratio:
                step = np.clip(m / np.maximum(self.h[n], self.eps), -self.gamma, self.gamma)
            else:
                step = np.clip(m / np.maximum(self.gamma * self.h[n], self.eps), -1, 1)
            rate = eta * self.lr
            found[n] = w - rate * self.weight_decay * w - rate * step
        return found
