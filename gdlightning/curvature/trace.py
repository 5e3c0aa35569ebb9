"""The trace of a matrix, estimated from a few products."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from gdlightning.curvature.lanczos import Krylov
from gdlightning.curvature.operator import Operator, signs


@dataclass(frozen=True)
class Estimate:
    """Estimate with its standard error.

    Args:
        value: estimate.
        error: standard error.
    """

    value: float
    error: float


def trace(
    operator: Operator, probes: int = 10, *, seed: int = 0, known: Krylov | None = None
) -> Estimate:
    """Estimate the trace of a matrix.

    The estimate is the mean of gᵀ A g over random sign vectors g (Hutchinson 1990). If ``known`` is
    given, the trace within that space is exact, and only the remainder is estimated, as in Hutch++
    (Meyer et al. 2021, arXiv:2010.09649). The space contains the largest eigenvalues, which cause
    most of the error.

    Args:
        operator: A, [N, N].
        probes: number of random vectors, with one product each; at least 2 for a finite error.
        seed: seed of the random vectors; must differ from that of ``known``.
        known: Krylov space of the matrix.
    """
    exact, samples = 0.0, []
    if known is not None:
        exact = float(known.diagonal.sum())
        if len(known.basis) == operator.size:
            return Estimate(exact, 0.0)
    for vector in signs(operator, probes, seed):
        product = operator @ vector
        sample = float(vector.double() @ product.double())
        if known is not None:  # restrict to the orthogonal complement without another product
            inside = known.basis @ vector
            twice = float(product.double() @ (inside @ known.basis).double())
            wide = inside.double().cpu()
            sample += float(wide @ known.matrix @ wide) - 2 * twice
        samples.append(sample)
    drawn = torch.tensor(samples, dtype=torch.float64)
    error = float(drawn.std()) / math.sqrt(probes) if probes > 1 else math.inf
    return Estimate(exact + float(drawn.mean()), error)
