"""Steps whose size is scaled to the weights of each tensor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from reference.adam import Moments
from reference.base import ZERO, Array, Rule


@dataclass(kw_only=True)
class LAMB(Moments):
    """You et al. 2020 (arXiv:1904.00962), Algorithm 2: x − ηφ(|x|)(r + λx)/|r + λx|, φ(z) = z.

    Args:
        correct_outside: switch: the first moment's bias is corrected after the step was scaled to
            the weights, and the second's not at all.
        decay_outside: switch: decay is ηλx, before the norm of x is taken, and no part of the step.
        limit: switch: φ(z) is at most this.
        eps_in_ratio: switch: ε is added to the norm of the step, too.
    """

    eps: float = 1e-6
    correct_outside: bool = False
    decay_outside: bool = False
    limit: float = math.inf
    eps_in_ratio: bool = False

    def update(self, w: Array, g: Array, eta: float) -> Array:
        self.average(g)
        rate, decay = eta * self.lr, self.weight_decay
        if self.correct_outside:
            ratio = self.m / (np.sqrt(self.v) + self.eps)
            rate_of_step = rate / (1 - self.betas[0] ** self.t)
        else:
            ratio, rate_of_step = self.ratio(), rate
        if self.decay_outside:
            w, decay = w * (1 - rate * decay), 0.0
        step = ratio + decay * w
        size = min(float(np.linalg.norm(w)), self.limit)
        norm = float(np.linalg.norm(step)) + (self.eps if self.eps_in_ratio else 0.0)
        return w - rate_of_step * size / norm * step


@dataclass(kw_only=True)
class LARS(Rule):
    """You, Gitman, Ginsburg 2017 (arXiv:1708.03888), Algorithm 1.

    Args:
        trust_coefficient: η of the paper.
        rate_outside: switch: the rate multiplies the momentum, instead of each gradient in it.
        vectors_apart: switch: vectors get neither the scale nor weight decay.
    """

    momentum: float = 0.9
    trust_coefficient: float = 0.001
    rate_outside: bool = False
    vectors_apart: bool = False
    v: Array = ZERO

    def update(self, w: Array, g: Array, eta: float) -> Array:
        if not (self.vectors_apart and w.ndim < 2):
            size, decay = float(np.linalg.norm(w)), self.weight_decay
            local = self.trust_coefficient * size / (float(np.linalg.norm(g)) + decay * size)
            g = local * (g + decay * w)
        rate = eta * self.lr
        self.v = self.momentum * self.v + (1.0 if self.rate_outside else rate) * g
        return w - (rate if self.rate_outside else 1.0) * self.v
