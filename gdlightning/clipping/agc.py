"""Adaptive gradient clipping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gdlightning.clipping.clip import Clip, positive

ALIASES = ("adaptive", "adaptive-gradient-clipping")


class AdaptiveClip(Clip):
    """Adaptive gradient clipping: limits gradient norms relative to weight norms, unit by unit.

    A unit is a row of a matrix or a filter of a convolution; a vector is one unit. The method is
    from Brock et al. 2021 (arXiv:2102.06171). Sparse gradients are not clipped.

    Args:
        factor: maximum ratio of gradient norm to weight norm.
        eps: lower bound of the weight norm, which allows units at 0 to train.
    """

    def __init__(self, factor: float = 0.01, eps: float = 1e-3) -> None:
        super().__init__()
        self.factor, self.eps = positive("factor", factor), positive("eps", eps)

    def clip(
        self, groups: Sequence[dict[str, Any]], gradients: list[Tensor], norm: Tensor
    ) -> Tensor:
        """Clip the gradient of each unit."""
        clipped = norm.new_zeros(())
        for parameter in (p for g in groups for p in g["params"]):
            if parameter.grad is None or parameter.grad.is_sparse:
                continue
            limit = _unit_norms(parameter).clamp(min=self.eps) * self.factor
            size = _unit_norms(parameter.grad)
            factor = (limit / size.clamp(min=1e-12)).clamp(max=1.0)
            parameter.grad.mul_(factor)
            clipped = torch.maximum(clipped, (factor < 1).any().float().to(clipped.device))
        return clipped


def _unit_norms(x: Tensor) -> Tensor:
    over = tuple(range(1, x.ndim)) or None
    norm: Tensor = torch.linalg.vector_norm(x, dim=over, keepdim=over is not None)
    return norm
