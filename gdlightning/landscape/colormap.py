"""Colour scale of a loss over a plane."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gdlightning.drawing import style

DIFFERENCE = "PuOr_r"
"""Diverging colour map of a difference, symmetric around 0 and safe for colour-blind readers."""
LOG_RATIO = 4.0
"""Ratio of the largest to the smallest loss above which the scale is logarithmic."""
NAMES = {
    "train": "training loss",
    "val": "validation loss",
    "difference": "validation loss − training loss",
}


@dataclass(frozen=True)
class Shades:
    """Colour scale of a layer of a surface.

    Args:
        name: name of the quantity.
        low: lower end of the scale.
        high: upper end of the scale.
        log: whether the scale is logarithmic.
        cmap: name of a matplotlib colour map.
    """

    name: str
    low: float
    high: float
    log: bool
    cmap: str

    @classmethod
    def of(cls, split: str, layer: Tensor, whole: bool = False) -> Shades:
        """Return a colour scale for a layer.

        Args:
            split: ``train``, ``val`` or ``difference``.
            layer: values of any shape; NaN if not finite.
            whole: whether the scale of a difference includes outliers.
        """
        found = layer[torch.isfinite(layer)]
        name = NAMES.get(split, split)
        if not len(found):
            return cls(name, 0.0, 1.0, False, style.SURFACE)
        if split == "difference":  # outliers would leave all other points without colour
            reach = float(torch.quantile(found.abs(), 1.0 if whole else 0.95)) or 1.0
            return cls(name, -reach, reach, False, DIFFERENCE)
        low, high = float(found.min()), float(found.max())
        high = high if high > low else low + 1.0
        return cls(name, low, high, low > 0 and high / low > LOG_RATIO, style.SURFACE)

    @property
    def label(self) -> str:
        """Label of a colour bar."""
        return f"{self.name}, log scale" if self.log else self.name


def palette(cmap: str, count: int = 33) -> list[str]:
    """Return evenly spaced colours of a colour map, as ``#rrggbb``."""
    import matplotlib
    from matplotlib.colors import to_hex

    chosen = matplotlib.colormaps[cmap]
    return [to_hex(chosen(k / (count - 1))) for k in range(count)]
