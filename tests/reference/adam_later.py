"""Adam-like methods that change the order or the number of its averages."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from reference.adam import Moments
from reference.base import ZERO, Array, Problem, Reference, Rule, Weights


@dataclass(kw_only=True)
class Adan(Rule):
    """Xie et al. 2022 (arXiv:2208.06677), Algorithm 1 without restarts, with βs as 1 − the paper's.

    Args:
        correct: switch: averages start at 0 and their bias is corrected, instead of starting at
            m = g, v = 0, n = g².
    """

    betas: tuple[float, float, float] = (0.98, 0.92, 0.99)
    eps: float = 1e-8
    correct: bool = False
    m: Array = ZERO
    v: Array = ZERO
    n: Array = ZERO
    former: Array = ZERO

    def update(self, w: Array, g: Array, eta: float) -> Array:
        b1, b2, b3 = self.betas
        if self.t == 1:
            self.former = g
            if not self.correct:
                self.m, self.n = g, g**2
        change = g - self.former
        self.former = g
        self.m = b1 * self.m + (1 - b1) * g
        self.v = b2 * self.v + (1 - b2) * change
        self.n = b3 * self.n + (1 - b3) * (g + b2 * change) ** 2
        m, v, n = self.m, self.v, self.n
        if self.correct:
            m, v, n = (x / (1 - b**self.t) for x, b in zip((m, v, n), self.betas, strict=True))
        rate = eta * self.lr
        step = rate / (np.sqrt(n) + self.eps) * (m + b2 * v)
        return np.asarray((w - step) / (1 + self.weight_decay * rate))


@dataclass(kw_only=True)
class ADOPT(Rule):
    """Taniguchi et al. 2024 (arXiv:2411.02853v3), Algorithm 2 with clipping at cₜ = t^(1/4).

    The first gradient, g₀, only starts the second moment; t counts the gradients after it.

    Args:
        clip_ahead: switch: the first clipped step counts as t = 2.
    """

    betas: tuple[float, float] = (0.9, 0.9999)
    eps: float = 1e-6
    clip_ahead: bool = False
    m: Array = ZERO
    v: Array = ZERO

    def update(self, w: Array, g: Array, eta: float) -> Array:
        g = g + self.weight_decay * w
        if self.t == 1:
            self.v = g**2
            return w
        b1, b2 = self.betas
        limit = (self.t if self.clip_ahead else self.t - 1) ** 0.25
        scaled = np.clip(g / np.maximum(np.sqrt(self.v), self.eps), -limit, limit)
        self.m = b1 * self.m + (1 - b1) * scaled
        self.v = b2 * self.v + (1 - b2) * g**2
        return w - eta * self.lr * self.m


@dataclass(kw_only=True)
class AdEMAMix(Rule):
    """Pagliardini, Ablin, Grangier 2024 (arXiv:2409.03137), Algorithm 1.

    Args:
        t_alpha_beta3: steps of the warm-up of α and β₃; None for none.
        decay_in_gradient: switch: weight decay is added to the gradient, not to the step.
    """

    betas: tuple[float, float, float] = (0.9, 0.999, 0.9999)
    alpha: float = 5.0
    eps: float = 1e-8
    t_alpha_beta3: int | None = None
    decay_in_gradient: bool = False
    m: Array = ZERO
    slow: Array = ZERO
    v: Array = ZERO

    def update(self, w: Array, g: Array, eta: float) -> Array:
        b1, b2, b3 = self.betas
        alpha = self.alpha
        if self.t_alpha_beta3 is not None:
            done = self.t / self.t_alpha_beta3
            alpha = min(alpha * done, alpha)
            start, end = math.log(b1), math.log(b3)
            b3 = min(math.exp(start * end / ((1 - done) * end + done * start)), b3)
        g = g + self.weight_decay * w if self.decay_in_gradient else g
        decay = 0.0 if self.decay_in_gradient else self.weight_decay
        self.m = b1 * self.m + (1 - b1) * g
        self.slow = b3 * self.slow + (1 - b3) * g
        self.v = b2 * self.v + (1 - b2) * g**2
        mixed = self.m / (1 - b1**self.t) + alpha * self.slow
        root = np.sqrt(self.v / (1 - b2**self.t)) + self.eps
        return w - eta * self.lr * (mixed / root + decay * w)


@dataclass(kw_only=True)
class LaProp(Rule):
    """Ziyin, Wang, Ueda 2020 (arXiv:2002.04839), Algorithm 1; decoupled decay after the step.

    Args:
        eps_before_correction: switch: ε is added to the root before its bias is corrected.
        averaged_rate: switch: each gradient weighs in the momentum by the rate of its step.
        float32_correction: switch: the correction of the momentum's bias is rounded to float32.
        floor: added under the root by the library; too small to show.
    """

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-15
    eps_before_correction: bool = False
    averaged_rate: bool = False
    float32_correction: bool = False
    floor: float = 0.0
    n: Array = ZERO
    m: Array = ZERO
    rates: float = 0.0

    def update(self, w: Array, g: Array, eta: float) -> Array:
        b1, b2 = self.betas
        rate = eta * self.lr
        self.n = b2 * self.n + (1 - b2) * g**2
        root, unbias = np.sqrt(self.n + self.floor), math.sqrt(1 - b2**self.t)
        if self.eps_before_correction:
            scaled = g / ((root + self.eps) / unbias)
        else:
            scaled = g / (root / unbias + self.eps)
        self.m = b1 * self.m + (1 - b1) * scaled * (rate if self.averaged_rate else 1.0)
        self.rates = b1 * self.rates + (1 - b1) * rate
        factor = rate / self.rates if self.averaged_rate else rate / (1 - b1**self.t)
        if self.float32_correction:
            unit = 1.0 if self.averaged_rate else rate
            factor = unit * float(np.float32(factor / unit))
        return np.asarray((w - factor * self.m) * (1 - rate * self.weight_decay))


class MARS(Reference):
    """Yuan et al. 2024 (arXiv:2411.10438), Algorithm 2 (MARS-AdamW).

    Args:
        stale: switch: the former step's own gradient stands for the gradient of this step's batch
            at the former weights (the paper's MARS-approx).
        from_zero: switch: the gradient before the first counts as 0, not as equal to the first.
        vectors_apart: switch: vectors are trained by AdamW with settings of their own.
        eps_before_correction: switch: ε is added to the root before its bias is corrected.
    """

    def __init__(
        self,
        lr: float,
        betas: tuple[float, float] = (0.95, 0.99),
        gamma: float = 0.025,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        stale: bool = False,
        from_zero: bool = False,
        vectors_apart: bool = False,
        eps_before_correction: bool = False,
        lr_1d: float = 3e-3,
        betas_1d: tuple[float, float] = (0.9, 0.95),
        weight_decay_1d: float = 0.1,
    ) -> None:
        self.main = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        self.apart = {"lr": lr_1d, "betas": betas_1d, "eps": eps, "weight_decay": weight_decay_1d}
        self.gamma, self.stale, self.from_zero = gamma, stale, from_zero
        self.vectors_apart, self.eps_before_correction = vectors_apart, eps_before_correction
        self.t = 0
        self.states: dict[str, Moments] = {}
        self.former: Weights = {}
        self.gradient: Weights = {}

    def step(self, weights: Weights, problem: Problem, eta: float) -> Weights:
        self.t += 1
        new = problem.gradient(weights, self.t)
        old = self._old(problem, new)
        found = {}
        for name, w in weights.items():
            apart = self.vectors_apart and w.ndim < 2
            settings = self.apart if apart else self.main
            state = self.states.setdefault(name, _State(**settings))  # type: ignore[arg-type]
            b1 = state.betas[0]
            c = new[name]
            if not apart:
                c = c + self.gamma * b1 / (1 - b1) * (new[name] - old[name])
                c = c / max(1.0, float(np.linalg.norm(c)))
            state.t = self.t
            state.average(c)
            ratio = state.ratio()
            if self.eps_before_correction:
                m, unbias = state.corrected()[0], math.sqrt(1 - state.betas[1] ** self.t)
                ratio = m / ((np.sqrt(state.v) + state.eps) / unbias)
            found[name] = w - eta * state.lr * (ratio + state.weight_decay * w)
        self.former, self.gradient = weights, new
        return found

    def _old(self, problem: Problem, new: Weights) -> Weights:
        if self.t == 1:
            return dict.fromkeys(new, ZERO) if self.from_zero else new
        return self.gradient if self.stale else problem.gradient(self.former, self.t)


class _State(Moments):
    def update(self, w: Array, g: Array, eta: float) -> Array:
        raise NotImplementedError
