"""Extreme eigenvalues by the Lanczos algorithm, with error bounds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gdlightning.curvature.operator import Operator, normal, signs
from gdlightning.errors import UserError

TOLERANCE = 1e-3
"""Error bound of converged eigenvalues, relative to the largest absolute eigenvalue."""


@dataclass(frozen=True)
class Krylov:
    """Krylov space of a matrix A: Q A Qᵀ = T is tridiagonal for m orthonormal rows Q.

    Args:
        basis: Q, [m, N].
        diagonal: diagonal of T, float64 [m].
        off_diagonal: off-diagonal of T, float64 [m]; the last entry is the norm of the residual.
    """

    basis: Tensor
    diagonal: Tensor
    off_diagonal: Tensor

    def eigen(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return eigenvalues, eigenvectors and error bounds.

        A has an eigenvalue within the bound of each eigenvalue of T (Parlett 1998, theorem 4.5.1).
        The bounds include rounding errors of the products.

        Returns:
            Eigenvalues of T in ascending order [m], eigenvectors of T as columns [m, m], bounds
            [m].
        """
        values, vectors = torch.linalg.eigh(self.matrix)
        rounding = 4 * torch.finfo(self.basis.dtype).eps * self.norm * math.sqrt(len(values))
        return values, vectors, self.off_diagonal[-1] * vectors[-1].abs() + rounding

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Return nodes and weights, float64 [m], of the spectral measure of the first row of Q."""
        values, vectors, _ = self.eigen()
        return values, vectors[0].square()

    @property
    def matrix(self) -> Tensor:
        """T, float64 [m, m]."""
        inner = self.off_diagonal[:-1]
        return self.diagonal.diag() + inner.diag(1) + inner.diag(-1)

    @property
    def norm(self) -> float:
        """Largest absolute eigenvalue of T."""
        return float(torch.linalg.eigvalsh(self.matrix).abs().max())


@dataclass(frozen=True)
class Eigenpair:
    """Eigenvalue and unit eigenvector.

    Args:
        value: eigenvalue.
        bound: error bound of the eigenvalue.
        converged: whether the bound is within the tolerance.
        vector: unit eigenvector, [N].
    """

    value: float
    bound: float
    converged: bool
    vector: Tensor


@dataclass(frozen=True)
class Extremes:
    """Largest and smallest eigenvalues of a matrix.

    Args:
        top: largest eigenvalues, in descending order.
        bottom: smallest eigenvalues, in ascending order.
        krylov: Krylov space of the search.
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
    """Find the largest and smallest eigenvalues of a matrix.

    Only one copy of a multiple eigenvalue is found, unless all N steps are taken.

    Args:
        operator: matrix [N, N].
        top: number of largest eigenvalues.
        bottom: number of smallest eigenvalues.
        steps: maximum number of products, and of vectors [N] in memory.
        tolerance: error bound at which to stop, relative to the largest absolute eigenvalue.
        seed: seed of the random start vector.

    Raises:
        UserError: if a product is not finite.
    """

    def converged(krylov: Krylov) -> bool:
        if len(krylov.diagonal) < top + bottom:
            return False
        *_, bounds = krylov.eigen()
        wanted = torch.cat([bounds[:bottom], bounds[len(bounds) - top :]])
        return bool((wanted <= tolerance * krylov.norm).all())

    krylov = lanczos(operator, signs(operator, 1, seed)[0], steps, until=converged)
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
    """Run the Lanczos algorithm with full reorthogonalisation, applied twice (Paige 1971).

    If the vectors span an invariant space, the iteration continues with a random orthogonal vector.

    Args:
        operator: matrix [N, N].
        start: nonzero start vector, [N].
        steps: maximum number of products; N suffice.
        until: stopping criterion, evaluated after each step.

    Raises:
        UserError: if a product is not finite.
    """
    limit = min(steps, operator.size)
    basis = torch.empty(limit, operator.size, dtype=operator.dtype, device=operator.device)
    basis[0] = start / torch.linalg.vector_norm(start)
    diagonal: list[float] = []
    off_diagonal: list[float] = []
    for step in range(limit):
        rows = basis[: step + 1]
        product = operator @ rows[-1]
        diagonal.append(float(product.double() @ rows[-1].double()))
        if not math.isfinite(diagonal[-1]):
            raise UserError("The curvature is not finite. Check the loss and the weights.")
        rest = _orthogonal(product, rows)
        size = max(map(abs, diagonal + off_diagonal))
        left = float(torch.linalg.vector_norm(rest))
        invariant = left <= 10 * torch.finfo(operator.dtype).eps * size * math.sqrt(len(rest))
        off_diagonal.append(0.0 if invariant else left)
        found = Krylov(rows, _double(diagonal), _double(off_diagonal))
        if step + 1 == limit or until(found):
            break
        if invariant:
            rest = _orthogonal(normal(operator, step), rows)
        basis[step + 1] = rest / torch.linalg.vector_norm(rest)
    return found


def _orthogonal(vector: Tensor, rows: Tensor) -> Tensor:
    """Return the component of a vector [N] that is orthogonal to rows [m, N]."""
    for _ in range(2):
        vector = vector - (rows @ vector) @ rows
    return vector


def _double(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)
