"""Gradients at the worst point near the weights."""

from __future__ import annotations

import numpy as np

from reference.base import Problem, Reference, Tensorwise, Weights


class SAM(Reference):
    """Foret et al. 2021 (arXiv:2010.01412), Algorithm 1, p = 2: the base step with ∇L(w + ρg/|g|).

    Args:
        base: makes the step from that gradient.
        rho: ρ.
    """

    def __init__(self, base: Tensorwise, rho: float = 0.05) -> None:
        self.base, self.rho = base, rho
        self.t = 0

    def step(self, weights: Weights, problem: Problem, eta: float) -> Weights:
        self.t += 1
        g = problem.gradient(weights, self.t)
        norm = np.sqrt(sum(float(np.sum(x**2)) for x in g.values()))
        worst = {n: w + self.rho * g[n] / norm for n, w in weights.items()}
        return self.base.update(weights, problem.gradient(worst, self.t), eta)
