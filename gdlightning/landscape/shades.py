"""The colours of a loss over a plane: which scale it needs, and which map."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gdlightning.drawing import style

DIFFERENCE = "PuOr_r"
"""Colour map of a difference, the same way from 0 to both sides for the colour-blind too."""
WIDE = 4.0
"""Ratio of the largest loss to the smallest from which on their logarithm is shown."""
NAMES = {
    "train": "training loss",
    "val": "validation loss",
    "difference": "validation loss − training loss",
}


@dataclass(frozen=True)
class Shades:
    """How a layer of a surface is shown.

    Args:
        name: of the quantity.
        low: the least value that has a colour of its own.
        high: the largest.
        log: whether its logarithm is shown.
        cmap: a colour map of matplotlib.
    """

    name: str
    low: float
    high: float
    log: bool
    cmap: str

    @classmethod
    def of(cls, split: str, layer: Tensor, whole: bool = False) -> Shades:
        """Those that suit a layer.

        Args:
            split: ``train``, ``val`` or ``difference``.
            layer: its values, any shape; NaN where they are not finite.
            whole: a difference's scale takes in all of it, not all but few points far out.
        """
        found = layer[torch.isfinite(layer)]
        name = NAMES.get(split, split)
        if not len(found):
            return cls(name, 0.0, 1.0, False, style.SURFACE)
        if split == "difference":  # few points far out would leave all others without colour
            reach = float(torch.quantile(found.abs(), 1.0 if whole else 0.95)) or 1.0
            return cls(name, -reach, reach, False, DIFFERENCE)
        low, high = float(found.min()), float(found.max())
        high = high if high > low else low + 1.0
        return cls(name, low, high, low > 0 and high / low > WIDE, style.SURFACE)

    @property
    def label(self) -> str:
        """For a scale beside the picture."""
        return f"{self.name}, log scale" if self.log else self.name


def palette(cmap: str, count: int = 33) -> list[str]:
    """Evenly spaced colours of a map, as ``#rrggbb``."""
    import matplotlib
    from matplotlib.colors import to_hex

    chosen = matplotlib.colormaps[cmap]
    return [to_hex(chosen(k / (count - 1))) for k in range(count)]
