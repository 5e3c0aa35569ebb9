"""The density of a whole spectrum by stochastic Lanczos quadrature."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gdlightning.curvature.lanczos import lanczos
from gdlightning.curvature.operator import Operator, signs


@dataclass(frozen=True)
class Density:
    """How many eigenvalues there are where, as a sum of weighted points.

    Args:
        size: number of eigenvalues, N.
        nodes: where, float64 [K].
        weights: the part of all that stands there, float64 [K]; their sum is 1.
    """

    size: int
    nodes: Tensor
    weights: Tensor

    def counts(self, grid: Tensor, width: float) -> Tensor:
        """Eigenvalues per unit at each point of a grid [G], each point a Gaussian of this width."""
        apart = (grid.double()[:, None] - self.nodes) / width
        bells = torch.exp(-apart.square() / 2) / (width * math.sqrt(2 * math.pi))
        return self.size * bells @ self.weights

    def moment(self, power: int) -> float:
        """The mean of a power of the eigenvalues; exact up to 2 steps - 1 for each probe's part."""
        return float(self.weights @ self.nodes**power)


def density(operator: Operator, probes: int = 4, steps: int = 40, *, seed: int = 0) -> Density:
    """The spectrum of a matrix as some random vectors see it.

    Each probe's tridiagonal matrix gives a Gauss quadrature of the density (Ubaru et al. 2017;
    for nets Ghorbani et al. 2019, arXiv:1901.10159).

    Args:
        operator: the matrix [N, N].
        probes: random vectors, whose quadratures are averaged.
        steps: products for each; as many vectors [N] are held.
        seed: of these vectors.

    Raises:
        UserError: a product is not finite.
    """
    nodes, weights = [], []
    for start in signs(operator, probes, seed):
        node, weight = lanczos(operator, start, steps).quadrature()
        nodes.append(node)
        weights.append(weight / probes)
    return Density(operator.size, torch.cat(nodes), torch.cat(weights))
