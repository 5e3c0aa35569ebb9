"""Adaptive gradient clipping: each unit's gradient beside its weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gdlightning.clipping.clip import Clip, positive

ALIASES = ("adaptive", "adaptive-gradient-clipping")


class AdaptiveClip(Clip):
    """Scales each unit's gradient to at most ``factor`` times the norm of the unit's weights.

    A unit is a row of a matrix, a filter of a convolution; a vector is one unit. Brock et al. 2021
    (arXiv:2102.06171). Sparse gradients are left as they are.

    Args:
        factor: largest ratio of gradient to weight.
        eps: least norm of a unit's weights, so that units at 0 can start.
    """

    def __init__(self, factor: float = 0.01, eps: float = 1e-3) -> None:
        super().__init__()
        self.factor, self.eps = positive("factor", factor), positive("eps", eps)

    def clip(
        self, groups: Sequence[dict[str, Any]], gradients: list[Tensor], norm: Tensor
    ) -> Tensor:
        """Scale unit by unit."""
        bit = norm.new_zeros(())
        for parameter in (p for g in groups for p in g["params"]):
            if parameter.grad is None or parameter.grad.is_sparse:
                continue
            limit = _unit_norm(parameter).clamp(min=self.eps) * self.factor
            size = _unit_norm(parameter.grad)
            factor = (limit / size.clamp(min=1e-12)).clamp(max=1.0)
            parameter.grad.mul_(factor)
            bit = torch.maximum(bit, (factor < 1).any().float().to(bit.device))
        return bit


def _unit_norm(x: Tensor) -> Tensor:
    over = tuple(range(1, x.ndim)) or None
    norm: Tensor = torch.linalg.vector_norm(x, dim=over, keepdim=over is not None)
    return norm
