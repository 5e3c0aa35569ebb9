"""The density of a spectrum by stochastic Lanczos quadrature."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gdlightning.curvature.lanczos import lanczos
from gdlightning.curvature.operator import Operator, signs


@dataclass(frozen=True)
class Density:
    """Spectral density as a weighted sum of points.

    Args:
        size: number of eigenvalues N.
        nodes: positions of the points, float64 [K].
        weights: fraction of the eigenvalues at each point, float64 [K]; they sum to 1.
    """

    size: int
    nodes: Tensor
    weights: Tensor

    def counts(self, grid: Tensor, width: float) -> Tensor:
        """Return the number of eigenvalues per unit at each grid point, smoothed by a Gaussian.

        Args:
            grid: positions, [G].
            width: standard deviation of the Gaussian.
        """
        apart = (grid.double()[:, None] - self.nodes) / width
        bells = torch.exp(-apart.square() / 2) / (width * math.sqrt(2 * math.pi))
        return self.size * bells @ self.weights

    def moment(self, power: int) -> float:
        """Return the mean of a power of the eigenvalues.

        Up to the power 2 · steps − 1, the contribution of each probe is exact.
        """
        return float(self.weights @ self.nodes**power)


def density(operator: Operator, probes: int = 4, steps: int = 40, *, seed: int = 0) -> Density:
    """Estimate the spectral density of a matrix.

    The tridiagonal matrix of each probe gives a Gauss quadrature of the density (Ubaru et al. 2017;
    Ghorbani et al. 2019, arXiv:1901.10159, for neural networks).

    Args:
        operator: matrix [N, N].
        probes: number of random vectors; their quadratures are averaged.
        steps: number of products per probe, and of vectors [N] in memory.
        seed: seed of the random vectors.

    Raises:
        UserError: if a product is not finite.
    """
    nodes, weights = [], []
    for start in signs(operator, probes, seed):
        node, weight = lanczos(operator, start, steps).quadrature()
        nodes.append(node)
        weights.append(weight / probes)
    return Density(operator.size, torch.cat(nodes), torch.cat(weights))
