"""Clipping by the global norm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from gdlightning.clipping.clip import Clip, positive, scale, total_norm

ALIASES = ("global-norm", "grad-norm")


class NormClip(Clip):
    """Scales the whole gradient so that its norm is at most ``max_norm``.

    Pascanu et al. 2013 (arXiv:1211.5063); equal to torch's ``clip_grad_norm_``, bit by bit.

    Args:
        max_norm: the largest norm.
        norm_type: of the norm; 2 is the Euclidean one.
    """

    def __init__(self, max_norm: float = 1.0, norm_type: float = 2.0) -> None:
        super().__init__()
        self.max_norm = positive("max_norm", max_norm)
        self.norm_type = positive("norm_type", norm_type)

    def clip(
        self, groups: Sequence[dict[str, Any]], gradients: list[Tensor], norm: Tensor
    ) -> Tensor:
        """Scale all gradients by one factor."""
        if self.norm_type != 2.0:
            norm = total_norm(gradients, self.norm_type)
        return scale(gradients, norm, self.max_norm)
