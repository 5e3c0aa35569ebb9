"""Clipping by the norm of each parameter group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gdlightning.clipping.clip import Clip, gradient, positive, scale, total_norm

ALIASES = ("per-group", "group")


class GroupNormClip(Clip):
    """Scales each parameter group's gradient by itself to a norm of at most ``max_norm``.

    Args:
        max_norm: the largest norm of a group.
    """

    def __init__(self, max_norm: float = 1.0) -> None:
        super().__init__()
        self.max_norm = positive("max_norm", max_norm)

    def clip(
        self, groups: Sequence[dict[str, Any]], gradients: list[Tensor], norm: Tensor
    ) -> Tensor:
        """Scale group by group."""
        bit = []
        for group in groups:
            own = [gradient(p) for p in group["params"] if p.grad is not None]
            if own:
                bit.append(scale(own, total_norm(own), self.max_norm).to(norm.device))
        return torch.stack(bit).max()
