"""Losses over a plane as heights of a surface, and points on it."""

from __future__ import annotations

import math

import numpy as np
import torch

from gdlightning.landscape.camera import HEIGHT
from gdlightning.landscape.colormap import Shades
from gdlightning.landscape.surface import Surface
from gdlightning.landscape.surface_figure import Grid

LIFT = 0.012
"""Distance of the path above the surface."""


def heights(layer: Grid, shades: Shades) -> Grid:
    """Return losses as heights from 0 to 1; NaN is kept."""
    low, high = shades.low, shades.high
    kept = np.clip(layer, low, high)
    if shades.log:
        found: Grid = np.log(kept / low) / math.log(high / low)
        return found
    return (kept - low) / (high - low)


def finer(layer: Grid, least: int) -> Grid:
    """Return a layer on a finer grid by bicubic interpolation; given points keep their values.

    Args:
        layer: values, [x, y].
        least: minimum number of cells along the shorter side.
    """
    factor = max(1, -(-least // (min(layer.shape) - 1)))
    size = [(n - 1) * factor + 1 for n in layer.shape]
    given = torch.from_numpy(np.nan_to_num(layer, nan=1.0))[None, None]
    found = torch.nn.functional.interpolate(given, size, mode="bicubic", align_corners=True)
    gaps = torch.from_numpy(np.isnan(layer).astype(float))[None, None]
    near = torch.nn.functional.interpolate(gaps, size, mode="nearest")
    return torch.where(near > 0, torch.nan, found)[0, 0].numpy()


def lit(height: Grid) -> Grid:
    """Return the brightness of each facet, for a light from the upper left with some gloss."""
    a, b, c, d = height[:-1, :-1], height[1:, :-1], height[1:, 1:], height[:-1, 1:]
    dx = (b + c - a - d) / 2 * (height.shape[0] - 1)
    dy = (c + d - a - b) / 2 * (height.shape[1] - 1)
    lamp = np.array([0.45, 0.55, 0.7]) / np.linalg.norm([0.45, 0.55, 0.7])
    share = np.clip(
        (lamp[0] * dx + lamp[1] * dy + lamp[2] * 1.6) / np.hypot(np.hypot(dx, dy), 1.6), 0, 1
    )
    found: Grid = 0.62 + 0.42 * share + 0.28 * share**24
    return found


def at(height: Grid, points: Grid) -> Grid:
    """Return heights at points of the floor by bilinear interpolation.

    Args:
        height: heights, [x, y].
        points: points from -1 to 1, [n, 2]; points outside get the height of the edge.
    """
    size = np.array(height.shape) - 1
    place = np.clip((points + 1) / 2, 0, 1) * size
    corner = np.clip(np.floor(place).astype(int), 0, size - 1)
    (i, j), (s, t) = corner.T, (place - corner).T
    found: Grid = (
        height[i, j] * (1 - s) * (1 - t)
        + height[i + 1, j] * s * (1 - t)
        + height[i, j + 1] * (1 - s) * t
        + height[i + 1, j + 1] * s * t
    )
    return found


def on_surface(surface: Surface, height: Grid, points: Grid) -> Grid:
    """Return points of the plane [n, 2] as points slightly above the surface [n, 3]."""
    axes = [np.asarray(axis.values) for axis in surface.axes]
    share = [2 * (p - a[0]) / (a[-1] - a[0]) - 1 for p, a in zip(points.T, axes, strict=True)]
    return np.stack([*share, at(height, np.stack(share, axis=1)) * HEIGHT + LIFT], axis=1)
