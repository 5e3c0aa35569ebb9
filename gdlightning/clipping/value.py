"""Gradient clipping by value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gdlightning.clipping.clip import Clip, positive


class ValueClip(Clip):
    """Clipping by value: clamps each component to [-max_value, max_value].

    Args:
        max_value: maximum absolute value of a component.
    """

    def __init__(self, max_value: float = 0.5) -> None:
        super().__init__()
        self.max_value = positive("max_value", max_value)

    def clip(
        self, groups: Sequence[dict[str, Any]], gradients: list[Tensor], norm: Tensor
    ) -> Tensor:
        """Clamp all gradients."""
        clipped = norm.new_zeros(())
        for g in gradients:
            if g.numel():  # a sparse gradient may have no values
                clipped = torch.maximum(clipped, (g.abs().max() > self.max_value).to(clipped))
            g.clamp_(-self.max_value, self.max_value)
        return clipped
