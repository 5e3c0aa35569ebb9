"""Clipping of each number by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gdlightning.clipping.clip import Clip, positive


class ValueClip(Clip):
    """Puts each component of the gradient between -``max_value`` and ``max_value``.

    Args:
        max_value: the largest size of a component.
    """

    def __init__(self, max_value: float = 0.5) -> None:
        super().__init__()
        self.max_value = positive("max_value", max_value)

    def clip(
        self, groups: Sequence[dict[str, Any]], gradients: list[Tensor], norm: Tensor
    ) -> Tensor:
        """Clamp."""
        bit = norm.new_zeros(())
        for g in gradients:
            if g.numel():  # a sparse one may hold nothing
                bit = torch.maximum(bit, (g.abs().max() > self.max_value).to(bit))
            g.clamp_(-self.max_value, self.max_value)
        return bit
