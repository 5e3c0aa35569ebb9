"""Symmetric matrices that are only accessible through matrix-vector products."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Operator(Protocol):
    """Symmetric real matrix [N, N]."""

    @property
    def size(self) -> int:
        """Number of rows and columns N."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the products."""
        ...

    @property
    def device(self) -> torch.device:
        """Device of the products."""
        ...

    def __matmul__(self, vector: Tensor) -> Tensor:
        """Return the product with a vector [N]."""
        ...


class Scaled:
    """Symmetrically scaled matrix D A D for a diagonal matrix D.

    Args:
        operator: A.
        scale: diagonal of D, [N]; non-negative.
    """

    def __init__(self, operator: Operator, scale: Tensor) -> None:
        self.operator = operator
        self.scale = scale.to(operator.device, operator.dtype)
        self.size, self.dtype, self.device = operator.size, operator.dtype, operator.device

    def __matmul__(self, vector: Tensor) -> Tensor:
        return self.scale * (self.operator @ (self.scale * vector))


def signs(operator: Operator, count: int, seed: int) -> Tensor:
    """Return random sign vectors (Rademacher), [count, N], equal on all devices."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(0, 2, (count, operator.size), generator=generator) * 2 - 1
    return drawn.to(operator.device, operator.dtype)


def normal(operator: Operator, seed: int) -> Tensor:
    """Return a random vector from a standard normal distribution, [N], equal on all devices."""
    drawn = torch.randn(operator.size, generator=torch.Generator().manual_seed(seed))
    return drawn.to(operator.device, operator.dtype)
