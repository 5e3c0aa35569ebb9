"""Gradient clipping by the norm of each parameter group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gdlightning.clipping.clip import Clip, gradient, positive, scale, total_norm

ALIASES = ("per-group", "group")


class GroupNormClip(Clip):
    """Clipping by norm: scales the gradients of each parameter group separately.

    Args:
        max_norm: maximum 2-norm of a group's gradients.
    """

    def __init__(self, max_norm: float = 1.0) -> None:
        super().__init__()
        self.max_norm = positive("max_norm", max_norm)

    def clip(
        self, groups: Sequence[dict[str, Any]], gradients: list[Tensor], norm: Tensor
    ) -> Tensor:
        """Clip the gradients of each group."""
        clipped = []
        for group in groups:
            own = [gradient(p) for p in group["params"] if p.grad is not None]
            if own:
                clipped.append(scale(own, total_norm(own), self.max_norm).to(norm.device))
        return torch.stack(clipped).max()
