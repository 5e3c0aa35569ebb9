"""Adam and the variants that change one of its averages."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from reference.base import ZERO, Array, Rule


@dataclass(kw_only=True)
class Moments(Rule):
    """The state of Adam, and its averages."""

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    m: Array = ZERO
    v: Array = ZERO

    def average(self, g: Array) -> None:
        b1, b2 = self.betas
        self.m = b1 * self.m + (1 - b1) * g
        self.v = b2 * self.v + (1 - b2) * g**2

    def corrected(self) -> tuple[Array, Array]:
        """Both averages without the bias of their start at 0."""
        b1, b2 = self.betas
        return self.m / (1 - b1**self.t), self.v / (1 - b2**self.t)

    def ratio(self) -> Array:
        m, v = self.corrected()
        return m / (np.sqrt(v) + self.eps)


class Adam(Moments):
    """Kingma and Ba 2015 (arXiv:1412.6980), Algorithm 1."""

    def update(self, w: Array, g: Array, eta: float) -> Array:
        self.average(g + self.weight_decay * w)
        return w - eta * self.lr * self.ratio()


@dataclass(kw_only=True)
class AdamW(Moments):
    """Loshchilov and Hutter 2019 (arXiv:1711.05101), Algorithm 2: η(αm̂/(√v̂+ε) + λθ).

    Args:
        decay_by_rate: switch: the decay is ηαλ, not ηλ.
    """

    decay_by_rate: bool = False

    def update(self, w: Array, g: Array, eta: float) -> Array:
        self.average(g)
        decay = self.weight_decay * (self.lr if self.decay_by_rate else 1.0)
        return w - eta * (self.lr * self.ratio() + decay * w)


@dataclass(kw_only=True)
class NAdam(Moments):
    """Dozat 2016 (openreview OM0jvwB8jIp57ZJjtNEZ), Algorithm 2, μₜ = β₁(1 − ½·0.96^(ψt)).

    The factor ν before nₜ in the workshop's print is read as a misprint: with it the correction
    would not correct.

    Args:
        momentum_decay: ψ.
        constant_average: switch: the momentum averages with β₁, not with μₜ.
    """

    momentum_decay: float = 0.004
    constant_average: bool = False
    product: float = 1.0

    def update(self, w: Array, g: Array, eta: float) -> Array:
        g = g + self.weight_decay * w
        beta = self.betas[0]

        def mu(t: int) -> float:
            return beta * (1 - 0.5 * math.pow(0.96, self.momentum_decay * t))

        kept = beta if self.constant_average else mu(self.t)
        m = kept * self.m + (1 - kept) * g
        self.average(g)
        self.m = m
        self.product *= mu(self.t)
        ahead = mu(self.t + 1) * m / (1 - self.product * mu(self.t + 1))
        now = (1 - mu(self.t)) * g / (1 - self.product)
        return w - eta * self.lr * (ahead + now) / (np.sqrt(self.corrected()[1]) + self.eps)


@dataclass(kw_only=True)
class RAdam(Moments):
    """Liu et al. 2020 (arXiv:1908.03265), Algorithm 2.

    Args:
        eps: switch: added to the root; the paper adds nothing.
        threshold: switch: length of the average above which the variance is rectified.
    """

    eps: float = 0.0
    threshold: float = 4.0

    def update(self, w: Array, g: Array, eta: float) -> Array:
        self.average(g + self.weight_decay * w)
        b2, t = self.betas[1], self.t
        longest = 2 / (1 - b2) - 1
        length = longest - 2 * t * b2**t / (1 - b2**t)
        step = self.corrected()[0]
        if length > self.threshold:
            rectified = (length - 4) * (length - 2) * longest
            rectified /= (longest - 4) * (longest - 2) * length
            root = (np.sqrt(self.v) + self.eps) / np.sqrt(1 - b2**t)
            step = np.sqrt(rectified) * step / root
        return w - eta * self.lr * step


@dataclass(kw_only=True)
class Adamax(Rule):
    """Kingma and Ba 2015 (arXiv:1412.6980), Algorithm 2.

    Args:
        eps: switch: added to |g| within the maximum; the paper adds nothing.
    """

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 0.0
    m: Array = ZERO
    u: Array = ZERO

    def update(self, w: Array, g: Array, eta: float) -> Array:
        g = g + self.weight_decay * w
        b1, b2 = self.betas
        self.m = b1 * self.m + (1 - b1) * g
        self.u = np.maximum(b2 * self.u, np.abs(g) + self.eps)
        return w - eta * self.lr / (1 - b1**self.t) * self.m / self.u


@dataclass(kw_only=True)
class AMSGrad(Moments):
    """Reddi, Kale, Kumar 2018 (openreview ryQu7f-RZ), Algorithm 2.

    Args:
        eps: switch: added to the root; the paper adds nothing.
        correct: switch: correct the bias of both averages; the paper does not.
    """

    eps: float = 0.0
    correct: bool = False
    largest: Array = ZERO

    def update(self, w: Array, g: Array, eta: float) -> Array:
        self.average(g + self.weight_decay * w)
        self.largest = np.maximum(self.largest, self.v)
        m, root = self.m, np.sqrt(self.largest)
        if self.correct:
            b1, b2 = self.betas
            m, root = m / (1 - b1**self.t), root / np.sqrt(1 - b2**self.t)
        return w - eta * self.lr * m / (root + self.eps)


@dataclass(kw_only=True)
class AdaBelief(Moments):
    """Zhuang et al. 2020 (arXiv:2010.07468), Algorithm 2, with AdamW's decay by the rate."""

    eps: float = 1e-16

    def update(self, w: Array, g: Array, eta: float) -> Array:
        b1, b2 = self.betas
        self.m = b1 * self.m + (1 - b1) * g
        self.v = b2 * self.v + (1 - b2) * (g - self.m) ** 2 + self.eps
        return w - eta * self.lr * (self.ratio() + self.weight_decay * w)


@dataclass(kw_only=True)
class StableAdamW(Moments):
    """Wortsman et al. 2023 (arXiv:2304.13013), Algorithm 2: decay and step by the clipped rate."""

    betas: tuple[float, float] = (0.9, 0.99)

    def update(self, w: Array, g: Array, eta: float) -> Array:
        b1, b2 = (b * (1 - b ** (self.t - 1)) / (1 - b**self.t) for b in self.betas)
        self.m = b1 * self.m + (1 - b1) * g
        self.v = b2 * self.v + (1 - b2) * g**2
        size = np.sqrt(np.mean(g**2 / np.maximum(self.v, self.eps**2)))
        rate = eta * self.lr / max(1.0, float(size))
        return w - rate * (self.weight_decay * w + self.m / (np.sqrt(self.v) + self.eps))
