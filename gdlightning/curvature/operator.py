"""Symmetric matrices that are known by their products with vectors alone."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Operator(Protocol):
    """A symmetric matrix [N, N] of real numbers."""

    @property
    def size(self) -> int:
        """N."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Of the vectors that it gives."""
        ...

    @property
    def device(self) -> torch.device:
        """Where these vectors are."""
        ...

    def __matmul__(self, vector: Tensor) -> Tensor:
        """The product with a vector [N]."""
        ...


class Scaled:
    """D A D for a diagonal D: the curvature in units of each coordinate's own scale.

    Args:
        operator: A.
        scale: the diagonal of D, [N], 0 or more.
    """

    def __init__(self, operator: Operator, scale: Tensor) -> None:
        self.operator = operator
        self.scale = scale.to(operator.device, operator.dtype)
        self.size, self.dtype, self.device = operator.size, operator.dtype, operator.device

    def __matmul__(self, vector: Tensor) -> Tensor:
        return self.scale * (self.operator @ (self.scale * vector))


def signs(operator: Operator, count: int, seed: int) -> Tensor:
    """Random vectors of 1 and -1 (Rademacher), [count, N], the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(0, 2, (count, operator.size), generator=generator) * 2 - 1
    return drawn.to(operator.device, operator.dtype)


def normal(operator: Operator, seed: int) -> Tensor:
    """A random vector of normal numbers, [N], the same on every device."""
    drawn = torch.randn(operator.size, generator=torch.Generator().manual_seed(seed))
    return drawn.to(operator.device, operator.dtype)
