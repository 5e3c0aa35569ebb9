"""Figures of a surface in three dimensions, with the optimizer's path."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from gdlightning.drawing import style
from gdlightning.drawing.style import LIGHT, Theme
from gdlightning.landscape.camera import HEIGHT, Camera, box
from gdlightning.landscape.colormap import Shades
from gdlightning.landscape.heights import at, finer, heights, lit, on_surface
from gdlightning.landscape.surface import Surface
from gdlightning.landscape.surface_figure import HALO, PATH, STAR, Grid, capital, heading, shades_of

FINE, MESH = 100, 20
"""Minimum number of facets along each side, and number of mesh cells."""
NEARER = {"mesh": 0.02, "outline": 0.05, "path": 0.09}
"""Depth offsets that draw lines in front of the surface."""


def relief(surface: Surface, theme: Theme = LIGHT, columns: int = 3) -> Any:
    """Draw the layers of the loss as shaded surfaces side by side.

    Between grid points, the surface is interpolated (bicubic).

    Args:
        surface: surface of two axes.
        theme: colours.
        columns: maximum number of columns.

    Returns:
        The matplotlib figure.
    """
    shown = shades_of(surface, whole=True)
    camera = open_view(surface, shown)
    columns = min(columns, len(shown))
    rows = -(-len(shown) // columns)
    made, panels = style.figure(rows, columns, size=(5.9, 4.5), theme=theme)
    for panel in panels[len(shown) :]:
        panel.set_visible(False)
    for panel, (split, shades) in zip(panels, shown.items(), strict=False):
        draw(panel, surface, surface.layers()[split].numpy(), shades, theme, camera)
        style.title(panel, capital(shades.label), theme)
    heading(made, surface.title, theme)
    return made


def draw(
    panel: Any, surface: Surface, layer: Grid, shades: Shades, theme: Theme, camera: Camera
) -> None:
    """Draw one shaded surface with its axes and path.

    Args:
        panel: panel of a figure.
        surface: surface of the layer.
        layer: losses, [x, y].
        shades: colour scale.
        theme: colours.
        camera: view.
    """
    from matplotlib.collections import PolyCollection

    coarse = heights(layer, shades)
    box(panel, camera, surface, shades, theme)
    pieces = _facets(camera, finer(coarse, FINE), shades.cmap)
    path = _path(surface, coarse)
    for kind, colour, width in (("outline", HALO, 3.4), ("path", PATH, 1.7)):
        pieces += _strokes(camera, path, kind, colour, width)
    pieces.sort(key=lambda piece: -piece[0])
    if pieces:  # none if all losses are NaN
        _, corners, faces, edges, widths = zip(*pieces, strict=True)
        panel.add_collection(
            PolyCollection(
                corners,
                facecolors=faces,
                edgecolors=edges,
                linewidths=widths,
                capstyle="round",
                joinstyle="round",
                rasterized=True,
            )
        )
    _stops(panel, camera, surface, coarse, path)


def open_view(surface: Surface, shown: Mapping[str, Shades]) -> Camera:
    """Return the camera with the fewest hidden checkpoints, which may be behind a ridge.

    Args:
        surface: surface of two axes.
        shown: colour scale of each layer; the first layer is used.
    """
    split, shades = next(iter(shown.items()))
    height = heights(surface.layers()[split].numpy(), shades)
    points = np.array([mark.point for mark in surface.marks] + [(0.0, 0.0)])
    places = on_surface(surface, height, points)
    cameras = [Camera(Camera.yaw + k * math.pi / 2) for k in (0, 1, 3, 2)]
    return max(cameras, key=lambda camera: _open(camera, height, places))


def _open(camera: Camera, height: Grid, places: Grid) -> float:
    """Return the fraction of points that are visible from the camera."""
    x, y = math.sin(camera.yaw), math.cos(camera.yaw)
    way = np.array(
        [-x * math.cos(camera.pitch), -y * math.cos(camera.pitch), math.sin(camera.pitch)]
    )
    rays = places[:, None, :] + np.linspace(0.03, 3, 120)[:, None] * way
    inside = (np.abs(rays[..., :2]) <= 1).all(axis=-1)
    below = at(height, rays[..., :2].reshape(-1, 2)).reshape(inside.shape) * HEIGHT > rays[..., 2]
    return float((~(below & inside).any(axis=1)).mean())


Piece = tuple[float, Grid, Any, Any, float]
"""Depth, corners [n, 2], colour, edge colour and edge width."""


def _facets(camera: Camera, height: Grid, cmap: str) -> list[Piece]:
    """Return the facets of a surface, and mesh lines that show its shape."""
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
    """Return the mean of the four corners of each cell."""
    found: Grid = (grid[:-1, :-1] + grid[1:, :-1] + grid[1:, 1:] + grid[:-1, 1:]) / 4
    return found


def _path(surface: Surface, height: Grid) -> Grid:
    """Return the path as points close enough to follow the surface, [n, 3]."""
    points = np.array([mark.point for mark in surface.marks if not mark.name]).reshape(-1, 2)
    if len(points) < 3:
        return np.zeros((0, 3))
    fine = np.concatenate([points[:1], *(np.linspace(a, b, 9)[1:] for a, b in pairwise(points))])
    return on_surface(surface, height, fine)


def _strokes(camera: Camera, path: Grid, kind: str, colour: str, width: float) -> list[Piece]:
    flat, depth = camera.see(path)
    return [
        ((depth[k] + depth[k + 1]) / 2 - NEARER[kind], flat[k : k + 2], CLEAR, colour, width)
        for k in range(len(path) - 1)
        if np.isfinite(depth[k : k + 2]).all()
    ]


def _stops(panel: Any, camera: Camera, surface: Surface, height: Grid, path: Grid) -> None:
    """Draw the start of the path, and the checkpoints."""
    if len(path):
        panel.plot(*camera.see(path[:1])[0].T, "o", ms=7, mfc=PATH, mec=HALO, mew=1.3, zorder=7)
    ends = np.array([m.point for m in surface.marks if m.name] or [(0.0, 0.0)])
    panel.plot(*camera.see(on_surface(surface, height, ends))[0].T, **STAR, zorder=8)
