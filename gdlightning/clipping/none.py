"""No clipping: the gradient's norm is measured alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from gdlightning.clipping.clip import Clip


class NoClip(Clip):
    """Leaves the gradients as they are."""

    def clip(
        self, groups: Sequence[dict[str, Any]], gradients: list[Tensor], norm: Tensor
    ) -> Tensor:
        """Nothing is changed."""
        return norm.new_zeros(())
