"""Methods whose averaging replaces the schedule."""

from __future__ import annotations

import math
from abc import abstractmethod

import numpy as np

from reference.base import ZERO, Array, Problem, Reference, Weights


class ScheduleFree(Reference):
    """Defazio et al. 2024 (arXiv:2405.15682), eqs. 2 to 4, and Algorithm 1's weights of the mean.

    y = (1 − β)z + βx is trained, x evaluated: z' = z − γₜ·direction − γₜλy, x' = (1 − c)x + cz'
    with c = γₜ²/Σγᵢ².

    Args:
        beta: β.
        largest_rate: switch: the weight of a step is the square of the largest rate so far.
    """

    def __init__(
        self, lr: float, beta: float, weight_decay: float = 0.0, largest_rate: bool = False
    ) -> None:
        self.lr, self.beta, self.weight_decay = lr, beta, weight_decay
        self.largest_rate = largest_rate
        self.t, self.largest, self.total = 0, 0.0, 0.0
        self.x: Weights = {}
        self.z: Weights = {}

    @abstractmethod
    def direction(self, name: str, g: Array) -> Array: ...

    def rate(self, eta: float) -> float:
        return eta * self.lr

    def step(self, weights: Weights, problem: Problem, eta: float) -> Weights:
        self.t += 1
        if not self.x:
            self.x, self.z = dict(weights), dict(weights)
        gradient = problem.gradient(weights, self.t)
        rate = self.rate(eta)
        self.largest = max(rate, self.largest)
        weight = (self.largest if self.largest_rate else rate) ** 2
        self.total += weight
        c, trained = weight / self.total, {}
        for n, y in weights.items():
            step = self.direction(n, gradient[n]) + self.weight_decay * y
            self.z[n] = self.z[n] - rate * step
            self.x[n] = (1 - c) * self.x[n] + c * self.z[n]
            trained[n] = (1 - self.beta) * self.z[n] + self.beta * self.x[n]
        return trained

    def evaluation(self, weights: Weights) -> Weights:
        return self.x


class ScheduleFreeSGD(ScheduleFree):
    """The same with the gradient as direction."""

    def direction(self, name: str, g: Array) -> Array:
        return g


class ScheduleFreeAdamW(ScheduleFree):
    """Algorithm 1: direction g/(√v + ε), γₜ = γ√(1 − β₂ᵗ).

    Args:
        correct_moment: switch: √v is divided by √(1 − β₂ᵗ) before ε is added, and γₜ is γ, in decay
            and mean too.
    """

    def __init__(
        self,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        largest_rate: bool = False,
        correct_moment: bool = False,
    ) -> None:
        super().__init__(lr, betas[0], weight_decay, largest_rate)
        self.beta2, self.eps, self.correct_moment = betas[1], eps, correct_moment
        self.v: Weights = {}

    def rate(self, eta: float) -> float:
        return eta * self.lr * (1.0 if self.correct_moment else self._unbias())

    def direction(self, name: str, g: Array) -> Array:
        self.v[name] = self.beta2 * self.v.get(name, ZERO) + (1 - self.beta2) * g**2
        root = np.sqrt(self.v[name])
        return g / ((root / self._unbias() if self.correct_moment else root) + self.eps)

    def _unbias(self) -> float:
        return math.sqrt(1 - self.beta2**self.t)
