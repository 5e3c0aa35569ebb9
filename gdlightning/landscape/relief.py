"""A surface of losses seen from the side, with the path of the optimizer on it."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from gdlightning.drawing import style
from gdlightning.drawing.style import LIGHT, Theme
from gdlightning.landscape.camera import HEIGHT, Camera, box
from gdlightning.landscape.picture import HALO, PATH, STAR, Grid, capital, heading, shades_of
from gdlightning.landscape.shades import Shades
from gdlightning.landscape.surface import Surface

FINE, MESH = 100, 20
"""Facets along each side at least, and cells of the mesh."""
LIFT = 0.012
"""How far the path lies above the surface."""
NEARER = {"mesh": 0.02, "outline": 0.05, "path": 0.09}
"""What is drawn on the surface is sorted as if it were nearer by so much."""


def relief(surface: Surface, theme: Theme = LIGHT, columns: int = 3) -> Any:
    """The layers of the loss as lit surfaces, side by side.

    Between the measured points the surface is drawn smoothly (bicubic).

    Args:
        surface: of two axes.
        theme: of colours.
        columns: of panels, at most.
    """
    shown = shades_of(surface, whole=True)
    columns = min(columns, len(shown))
    rows = -(-len(shown) // columns)
    made, panels = style.figure(rows, columns, size=(5.9, 4.5), theme=theme)
    for panel in panels[len(shown) :]:
        panel.set_visible(False)
    for panel, (split, shades) in zip(panels, shown.items(), strict=False):
        draw(panel, surface, surface.layers()[split].numpy(), shades, theme)
        style.title(panel, capital(shades.label), theme)
    heading(made, surface.title, theme)
    return made


def draw(panel: Any, surface: Surface, layer: Grid, shades: Shades, theme: Theme = LIGHT) -> None:
    """One lit surface with its axes and its path.

    Args:
        panel: of a figure.
        surface: that the layer is of.
        layer: losses, shape [x, y].
        shades: its scale and colours.
        theme: of colours.
    """
    from matplotlib.collections import PolyCollection

    camera, coarse = Camera(), heights(layer, shades)
    box(panel, camera, surface, shades, theme)
    pieces = _facets(camera, finer(coarse, FINE), shades.cmap)
    path = _path(surface, coarse)
    for kind, colour, width in (("outline", HALO, 3.4), ("path", PATH, 1.7)):
        pieces += _strokes(camera, path, kind, colour, width)
    pieces.sort(key=lambda piece: -piece[0])
    _, corners, faces, edges, widths = zip(*pieces, strict=True)
    panel.add_collection(PolyCollection(
        corners, facecolors=faces, edgecolors=edges, linewidths=widths, capstyle="round",
        joinstyle="round", rasterized=True,
    ))  # fmt: skip
    _stops(panel, camera, surface, coarse, path)


Piece = tuple[float, Grid, Any, Any, float]
"""Depth, corners [n, 2], colour, colour of the edge, width of the edge."""


def _facets(camera: Camera, height: Grid, cmap: str) -> list[Piece]:
    """The facets of a surface, and the lines that show its form where colour alone does not."""
    import matplotlib

    x, y = (np.linspace(-1, 1, n) for n in height.shape)
    solid = np.stack([*np.meshgrid(x, y, indexing="ij"), height * HEIGHT], axis=-1)
    flat, depth = camera.see(solid)
    mean = _middle(height)
    colours = matplotlib.colormaps[cmap](mean)
    colours[..., :3] = np.clip(colours[..., :3] * lit(height)[..., None], 0, 1)
    corners = np.stack([flat[:-1, :-1], flat[1:, :-1], flat[1:, 1:], flat[:-1, 1:]], axis=2)
    far, seen = _middle(depth), np.argwhere(np.isfinite(mean))
    found: list[Piece] = [
        (far[i, j], corners[i, j], colours[i, j], colours[i, j], 0.4) for i, j in seen
    ]
    every = max(1, min(mean.shape) // MESH)
    for i, j in seen:
        for place, end in ((i, 3), (j, 1)):
            if place % every == 0:
                edge = corners[i, j][[0, end]]
                found.append((far[i, j] - NEARER["mesh"], edge, CLEAR, (1, 1, 1, 0.35), 0.45))
    return found


CLEAR = (0.0, 0.0, 0.0, 0.0)


def _middle(grid: Grid) -> Grid:
    """The mean of the four corners of each cell."""
    found: Grid = (grid[:-1, :-1] + grid[1:, :-1] + grid[1:, 1:] + grid[:-1, 1:]) / 4
    return found


def lit(height: Grid) -> Grid:
    """How bright each facet of a surface is: a lamp from the upper left, and some gloss."""
    a, b, c, d = height[:-1, :-1], height[1:, :-1], height[1:, 1:], height[:-1, 1:]
    dx = (b + c - a - d) / 2 * (height.shape[0] - 1)
    dy = (c + d - a - b) / 2 * (height.shape[1] - 1)
    lamp = np.array([0.45, 0.55, 0.7]) / np.linalg.norm([0.45, 0.55, 0.7])
    share = np.clip((lamp[0] * dx + lamp[1] * dy + lamp[2] * 1.6) / np.hypot(np.hypot(dx, dy), 1.6),
                    0, 1)  # fmt: skip
    found: Grid = 0.62 + 0.42 * share + 0.28 * share**24
    return found


def _path(surface: Surface, height: Grid) -> Grid:
    """The path as points of the box, so close that it keeps to the surface: shape [n, 3]."""
    points = np.array([mark.point for mark in surface.marks if not mark.name]).reshape(-1, 2)
    if len(points) < 3:
        return np.zeros((0, 3))
    fine = np.concatenate([points[:1], *(np.linspace(a, b, 9)[1:] for a, b in pairwise(points))])
    return on_surface(surface, height, fine)


def on_surface(surface: Surface, height: Grid, points: Grid) -> Grid:
    """Points of the plane [n, 2] as points of the box, just above the surface: [n, 3]."""
    axes = [np.asarray(axis.values) for axis in surface.axes]
    share = [2 * (p - a[0]) / (a[-1] - a[0]) - 1 for p, a in zip(points.T, axes, strict=True)]
    return np.stack([*share, sample(surface, height, points) * HEIGHT + LIFT], axis=1)


def _strokes(camera: Camera, path: Grid, kind: str, colour: str, width: float) -> list[Piece]:
    flat, depth = camera.see(path)
    return [
        ((depth[k] + depth[k + 1]) / 2 - NEARER[kind], flat[k : k + 2], CLEAR, colour, width)
        for k in range(len(path) - 1)
        if np.isfinite(depth[k : k + 2]).all()
    ]


def _stops(panel: Any, camera: Camera, surface: Surface, height: Grid, path: Grid) -> None:
    """Where the path begins, and the checkpoints."""
    if len(path):
        panel.plot(*camera.see(path[:1])[0].T, "o", ms=7, mfc=PATH, mec=HALO, mew=1.3, zorder=7)
    ends = np.array([m.point for m in surface.marks if m.name] or [(0.0, 0.0)])
    panel.plot(*camera.see(on_surface(surface, height, ends))[0].T, **STAR, zorder=8)


def heights(layer: Grid, shades: Shades) -> Grid:
    """Losses as heights from 0 to 1; NaN stays."""
    low, high = shades.low, shades.high
    kept = np.clip(layer, low, high)
    if shades.log:
        found: Grid = np.log(kept / low) / math.log(high / low)
        return found
    return (kept - low) / (high - low)


def finer(layer: Grid, least: int) -> Grid:
    """A layer with more points, bicubic between its own, which stay as they are."""
    factor = max(1, -(-least // (min(layer.shape) - 1)))
    size = [(n - 1) * factor + 1 for n in layer.shape]
    given = torch.from_numpy(np.nan_to_num(layer, nan=1.0))[None, None]
    found = torch.nn.functional.interpolate(given, size, mode="bicubic", align_corners=True)
    gaps = torch.from_numpy(np.isnan(layer).astype(float))[None, None]
    near = torch.nn.functional.interpolate(gaps, size, mode="nearest")
    return torch.where(near > 0, torch.nan, found)[0, 0].numpy()


def sample(surface: Surface, layer: Grid, points: Grid) -> Grid:
    """A layer at any points of the plane, bilinear between those of the grid, shape [points]."""
    where, corner = [], []
    for axis, values in zip(surface.axes, points.T, strict=True):
        grid = np.asarray(axis.values)
        place = np.interp(values, grid, np.arange(len(grid)))
        low = np.clip(np.floor(place).astype(int), 0, len(grid) - 2)
        corner.append(low)
        where.append(place - low)
    (i, j), (s, t) = corner, where
    found: Grid = (
        layer[i, j] * (1 - s) * (1 - t) + layer[i + 1, j] * s * (1 - t)
        + layer[i, j + 1] * (1 - s) * t + layer[i + 1, j + 1] * s * t
    )  # fmt: skip
    return found
