"""No clipping; only the gradient norm is measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from gdlightning.clipping.clip import Clip


class NoClip(Clip):
    """No clipping."""

    def clip(
        self, groups: Sequence[dict[str, Any]], gradients: list[Tensor], norm: Tensor
    ) -> Tensor:
        """Leave the gradients unchanged."""
        return norm.new_zeros(())
