"""Extreme eigenvalues by Lanczos' method, with bounds of their error."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gdlightning.curvature.operator import Operator, normal, signs
from gdlightning.errors import UserError

TOLERANCE = 1e-3
"""Part of the largest eigenvalue that the bound of a converged one stays below."""


@dataclass(frozen=True)
class Krylov:
    """What m products showed of a matrix A: Q A Qᵀ = T, tridiagonal, for m orthonormal rows Q.

    Args:
        basis: Q, [m, N].
        diagonal: of T, float64 [m].
        beside: the other diagonal of T, float64 [m]; the last is the norm of what A q leaves.
    """

    basis: Tensor
    diagonal: Tensor
    beside: Tensor

    def eigen(self) -> tuple[Tensor, Tensor, Tensor]:
        """Eigenvalues of T in ascending order [m], eigenvectors as columns [m, m], and bounds [m].

        A has an eigenvalue within the bound of each (Parlett 1998, theorem 4.5.1); what rounding
        of the products may add is part of it.
        """
        values, vectors = torch.linalg.eigh(self.matrix)
        rounding = 4 * torch.finfo(self.basis.dtype).eps * self.norm * math.sqrt(len(values))
        return values, vectors, self.beside[-1] * vectors[-1].abs() + rounding

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Nodes and weights, float64 [m] each, of the spectrum as the first row of Q sees it."""
        values, vectors, _ = self.eigen()
        return values, vectors[0].square()

    @property
    def matrix(self) -> Tensor:
        """T, float64 [m, m]."""
        inner = self.beside[:-1]
        return self.diagonal.diag() + inner.diag(1) + inner.diag(-1)

    @property
    def norm(self) -> float:
        """The largest eigenvalue of T in size."""
        return float(torch.linalg.eigvalsh(self.matrix).abs().max())


@dataclass(frozen=True)
class Eigenpair:
    """An eigenvalue, the bound of its error, whether that is small, and its unit vector [N]."""

    value: float
    bound: float
    converged: bool
    vector: Tensor


@dataclass(frozen=True)
class Extremes:
    """The ends of a spectrum.

    Args:
        top: the largest eigenvalues, largest first.
        bottom: the smallest, smallest first.
        krylov: what they were found in.
    """

    top: list[Eigenpair]
    bottom: list[Eigenpair]
    krylov: Krylov


def extremes(
    operator: Operator,
    top: int = 1,
    bottom: int = 0,
    *,
    steps: int = 60,
    tolerance: float = TOLERANCE,
    seed: int = 0,
) -> Extremes:
    """The largest and smallest eigenvalues of a matrix.

    Of an eigenvalue that is multiple it finds one copy, unless it goes on to all N steps.

    Args:
        operator: the matrix [N, N].
        top: how many of the largest.
        bottom: how many of the smallest.
        steps: products at most; as many vectors [N] are held.
        tolerance: ends early where all bounds are below this part of the largest in size.
        seed: of the random start.

    Raises:
        UserError: a product is not finite.
    """

    def enough(krylov: Krylov) -> bool:
        if len(krylov.diagonal) < top + bottom:
            return False
        *_, bounds = krylov.eigen()
        wanted = torch.cat([bounds[:bottom], bounds[len(bounds) - top :]])
        return bool((wanted <= tolerance * krylov.norm).all())

    krylov = lanczos(operator, signs(operator, 1, seed)[0], steps, until=enough)
    values, vectors, bounds = krylov.eigen()
    count = len(values)

    def pair(number: int) -> Eigenpair:
        vector = vectors[:, number].to(krylov.basis) @ krylov.basis
        bound = float(bounds[number])
        return Eigenpair(float(values[number]), bound, bound <= tolerance * krylov.norm, vector)

    return Extremes(
        [pair(count - 1 - k) for k in range(min(top, count))],
        [pair(k) for k in range(min(bottom, count))],
        krylov,
    )


def lanczos(
    operator: Operator,
    start: Tensor,
    steps: int,
    until: Callable[[Krylov], bool] = lambda krylov: False,
) -> Krylov:
    """Products with vectors that are each orthogonal to all before, made so twice (Paige 1971).

    Where they span an invariant space, it goes on from a random vector outside of it.

    Args:
        operator: the matrix [N, N].
        start: any vector but 0, [N].
        steps: products at most; N are enough.
        until: ends it early; asked after each step.

    Raises:
        UserError: a product is not finite.
    """
    limit = min(steps, operator.size)
    basis = torch.empty(limit, operator.size, dtype=operator.dtype, device=operator.device)
    basis[0] = start / torch.linalg.vector_norm(start)
    diagonal: list[float] = []
    beside: list[float] = []
    for step in range(limit):
        rows = basis[: step + 1]
        product = operator @ rows[-1]
        diagonal.append(float(product.double() @ rows[-1].double()))
        if not math.isfinite(diagonal[-1]):
            raise UserError("The curvature is not finite: neither are the loss or the weights.")
        rest = _outside(product, rows)
        size = max(map(abs, diagonal + beside))
        left = float(torch.linalg.vector_norm(rest))
        invariant = left <= 10 * torch.finfo(operator.dtype).eps * size * math.sqrt(len(rest))
        beside.append(0.0 if invariant else left)
        found = Krylov(rows, _double(diagonal), _double(beside))
        if step + 1 == limit or until(found):
            break
        if invariant:
            rest = _outside(normal(operator, step), rows)
        basis[step + 1] = rest / torch.linalg.vector_norm(rest)
    return found


def _outside(vector: Tensor, rows: Tensor) -> Tensor:
    """What of a vector [N] is orthogonal to rows [m, N]."""
    for _ in range(2):
        vector = vector - (rows @ vector) @ rows
    return vector


def _double(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)
