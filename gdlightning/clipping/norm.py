"""Gradient clipping by global norm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from gdlightning.clipping.clip import Clip, positive, scale, total_norm

ALIASES = ("global-norm", "grad-norm")


class NormClip(Clip):
    """Clipping by global norm: scales all gradients by one factor.

    The result is bitwise identical to ``torch.nn.utils.clip_grad_norm_`` (Pascanu et al. 2013,
    arXiv:1211.5063).

    Args:
        max_norm: maximum global norm.
        norm_type: order of the norm; 2 is the Euclidean norm.
    """

    def __init__(self, max_norm: float = 1.0, norm_type: float = 2.0) -> None:
        super().__init__()
        self.max_norm = positive("max_norm", max_norm)
        self.norm_type = positive("norm_type", norm_type)

    def clip(
        self, groups: Sequence[dict[str, Any]], gradients: list[Tensor], norm: Tensor
    ) -> Tensor:
        """Clip all gradients by global norm."""
        if self.norm_type != 2.0:
            norm = total_norm(gradients, self.norm_type)
        return scale(gradients, norm, self.max_norm)
