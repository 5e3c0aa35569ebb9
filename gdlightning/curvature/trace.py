"""The trace of a matrix from a few products."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from gdlightning.curvature.lanczos import Krylov
from gdlightning.curvature.operator import Operator, signs


@dataclass(frozen=True)
class Estimate:
    """A number and its standard error."""

    value: float
    error: float


def trace(
    operator: Operator, probes: int = 10, *, seed: int = 0, known: Krylov | None = None
) -> Estimate:
    """The sum of all eigenvalues.

    The mean of gᵀ A g over random signs g (Hutchinson 1990). With ``known``, the part of A in that
    space is exact and random signs serve for the rest alone, as in Hutch++ (Meyer et al. 2021,
    arXiv:2010.09649): large eigenvalues, which make most of the error, are in it.

    Args:
        operator: A, [N, N].
        probes: random vectors, a product each; 2 or more for an error.
        seed: of these; another one than that of ``known``.
        known: what Lanczos' method found.
    """
    exact, samples = 0.0, []
    if known is not None:
        exact = float(known.diagonal.sum())
        if len(known.basis) == operator.size:
            return Estimate(exact, 0.0)
    for vector in signs(operator, probes, seed):
        product = operator @ vector
        sample = float(vector.double() @ product.double())
        if known is not None:  # of what the space leaves of the vector, without another product
            inside = known.basis @ vector
            twice = float(product.double() @ (inside @ known.basis).double())
            wide = inside.double().cpu()
            sample += float(wide @ known.matrix @ wide) - 2 * twice
        samples.append(sample)
    drawn = torch.tensor(samples, dtype=torch.float64)
    error = float(drawn.std()) / math.sqrt(probes) if probes > 1 else math.inf
    return Estimate(exact + float(drawn.mean()), error)
