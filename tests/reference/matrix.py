"""Methods that treat a weight as a matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from reference.base import ZERO, Array, Rule

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


@dataclass(kw_only=True)
class Muon(Rule):
    """Jordan et al. 2024 (kellerjordan.github.io/posts/muon), with Nesterov momentum.

    B = μB + G, O = NewtonSchulz5(G + μB), W − ηO; decoupled weight decay (Liu et al. 2025,
    arXiv:2502.16982). The post's NewtonSchulz5 computes in bfloat16.

    Args:
        precision: of NewtonSchulz5; with float64 it is exact.
        scale_tall: switch: the step of a tall matrix is √(rows/columns) times larger.
        normalised: switch: the momentum is an average, not a sum: the same direction, with another
            rounding to bfloat16.
    """

    momentum: float = 0.95
    eps: float = 1e-7
    precision: torch.dtype = torch.bfloat16
    scale_tall: bool = False
    normalised: bool = False
    b: Array = ZERO

    def update(self, w: Array, g: Array, eta: float) -> Array:
        mu = self.momentum
        if self.normalised:
            self.b = mu * self.b + (1 - mu) * g
            step = mu * self.b + (1 - mu) * g
        else:
            self.b = mu * self.b + g
            step = g + mu * self.b
        scale = np.sqrt(max(1.0, w.shape[0] / w.shape[1])) if self.scale_tall else 1.0
        rate = eta * self.lr
        orthogonal = newton_schulz(step, self.eps, self.precision)
        return w * (1 - rate * self.weight_decay) - rate * scale * orthogonal


def newton_schulz(matrix: Array, eps: float, precision: torch.dtype) -> Array:
    """X ← aX + (bA + cA²)X with A = XXᵀ, five times, of the wide one of X and Xᵀ.

    In bfloat16 the order of the roundings is part of the result: each of the three products is
    rounded with what is added to it, once.
    """
    a, b, c = NEWTON_SCHULZ
    tall = matrix.shape[0] > matrix.shape[1]
    x = torch.from_numpy(matrix).to(precision)
    x = x.T if tall else x
    x = x / x.norm().clamp(min=eps)
    for _ in range(5):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return np.asarray((x.T if tall else x).double().numpy())


@dataclass(kw_only=True)
class Shampoo(Rule):
    """Gupta, Koren, Singer 2018 (arXiv:1802.09568), Algorithm 1, and 2 for vectors."""

    matrix_eps: float = 1e-6
    left: Array = ZERO
    right: Array = ZERO

    def update(self, w: Array, g: Array, eta: float) -> Array:
        g = g + self.weight_decay * w
        rate = eta * self.lr
        if self.t == 1:
            self.left = self.matrix_eps * np.eye(g.shape[0])
            self.right = self.matrix_eps * np.eye(g.shape[-1])
        if g.ndim == 1:
            self.left = self.left + np.outer(g, g)
            return w - rate * _power(self.left, -1 / 2) @ g
        self.left = self.left + g @ g.T
        self.right = self.right + g.T @ g
        return w - rate * _power(self.left, -1 / 4) @ g @ _power(self.right, -1 / 4)


def _power(matrix: Array, exponent: float) -> Array:
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * values**exponent) @ vectors.T)


@dataclass(kw_only=True)
class SOAP(Rule):
    """Vyas et al. 2024 (arXiv:2409.11321), Algorithms 3 and 4; vectors by Adam.

    The paper leaves out start and bias: as in the authors' code, the first gradient only starts
    the bases, and the averages' bias is corrected. Weight decay by the rate, after the step.

    Args:
        max_precondition_dim: a longer side keeps the identity as its basis.
        eps_outside: switch: ε is added to the root before its bias is corrected, not under it.
        sort: switch: before a QR step the columns are sorted by their eigenvalue's estimate.
        float32_qr: switch: QR is computed in float32.
    """

    betas: tuple[float, float] = (0.95, 0.95)
    eps: float = 1e-8
    precondition_frequency: int = 10
    max_precondition_dim: int = 10000
    eps_outside: bool = False
    sort: bool = False
    float32_qr: bool = False
    m: Array = ZERO
    v: Array = ZERO

    def update(self, w: Array, g: Array, eta: float) -> Array:
        t, (b1, b2) = self.t - 1, self.betas
        if t == 0:
            sides = (g @ g.T, g.T @ g) if g.ndim == 2 else ()
            self.sides = [(1 - b2) * s for s in sides]
            self.bases = [self._first(s) for s in self.sides]
            return w
        self.m = b1 * self.m + (1 - b1) * g
        self.v = b2 * self.v + (1 - b2) * self._rotate(g) ** 2
        m, v = self._rotate(self.m) / (1 - b1**t), self.v / (1 - b2**t)
        if self.eps_outside:
            root = (np.sqrt(self.v) + self.eps) / np.sqrt(1 - b2**t)
        else:
            root = np.sqrt(v + self.eps)
        rate = eta * self.lr
        w = (w - rate * self._back(m / root)) * (1 - rate * self.weight_decay)
        if g.ndim == 2:
            new = (g @ g.T, g.T @ g)
            self.sides = [b2 * s + (1 - b2) * n for s, n in zip(self.sides, new, strict=True)]
            if t % self.precondition_frequency == 0:
                self.bases = [self._next(i) for i in range(2)]
        return w

    def _first(self, side: Array) -> Array:
        if len(side) > self.max_precondition_dim:
            return np.eye(len(side))
        return np.linalg.eigh(side)[1][:, ::-1]

    def _next(self, axis: int) -> Array:
        side, basis = self.sides[axis], self.bases[axis]
        if len(side) > self.max_precondition_dim:
            return basis
        product = side @ basis
        if self.sort:
            order = np.argsort(-(basis * product).sum(0), kind="stable")
            product, self.v = product[:, order], np.take(self.v, order, axis)
        precision = torch.float32 if self.float32_qr else torch.float64
        return np.asarray(torch.linalg.qr(torch.from_numpy(product).to(precision))[0].double())

    def _rotate(self, x: Array) -> Array:
        return self.bases[0].T @ x @ self.bases[1] if self.bases else x

    def _back(self, x: Array) -> Array:
        return self.bases[0] @ x @ self.bases[1].T if self.bases else x
