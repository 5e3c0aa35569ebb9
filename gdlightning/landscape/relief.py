"""A surface of losses in three dimensions, with the path of the optimizer on it."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from gdlightning.drawing import style
from gdlightning.drawing.style import LIGHT, Theme
from gdlightning.landscape.picture import STAR, Grid, capital, heading, shades_of, ticks
from gdlightning.landscape.shades import Shades
from gdlightning.landscape.surface import Surface

ELEVATION, AZIMUTH = 36, -52
FINE, MESH = 100, 21
"""Facets along each side at least, and lines of the mesh."""
LIFT = 0.012
"""Of the height of the picture: how far the path lies above the surface."""


def relief(surface: Surface, theme: Theme = LIGHT) -> Any:
    """The layers of the loss as lit surfaces, side by side.

    Between the measured points the surface is drawn smoothly (bicubic).

    Args:
        surface: of two axes.
        theme: of colours.
    """
    shown = shades_of(surface, whole=True)
    made, panels = style.figure(1, len(shown), size=(6.2, 5.0), theme=theme)
    for k, (panel, (split, shades)) in enumerate(zip(panels, shown.items(), strict=True)):
        panel.remove()
        solid = made.add_subplot(1, len(shown), k + 1, projection="3d", computed_zorder=False)
        draw(solid, surface, surface.layers()[split].numpy(), shades, theme)
        style.title(solid, capital(shades.label), theme)
    heading(made, surface.title, theme)
    return made


def draw(panel: Any, surface: Surface, layer: Grid, shades: Shades, theme: Theme = LIGHT) -> None:
    """One lit surface with its path, on 3-D axes.

    Args:
        panel: axes with matplotlib's projection ``3d``.
        surface: that the layer is of.
        layer: losses, shape [x, y].
        shades: its scale and colours.
        theme: of colours.
    """
    import matplotlib

    coarse = heights(layer, shades)
    height = finer(coarse, FINE)
    x, y = (np.linspace(axis.values[0], axis.values[-1], n)
            for axis, n in zip(surface.axes, height.shape, strict=True))  # fmt: skip
    colours = matplotlib.colormaps[shades.cmap](height)[..., :3] * lit(height)[..., None]
    grid = np.meshgrid(x, y, indexing="ij")
    panel.plot_surface(*grid, height, facecolors=np.clip(colours, 0, 1), rcount=len(x),
                       ccount=len(y), linewidth=0, antialiased=False, shade=False,
                       rasterized=True)  # fmt: skip
    _mesh(panel, surface, height, x, y)
    _path(panel, surface, coarse)
    _axes(panel, surface, shades, theme)


def lit(height: Grid) -> Grid:
    """How bright each point of a surface is: a lamp from the upper left, and some gloss."""
    slope = np.gradient(height, 1 / (height.shape[0] - 1), 1 / (height.shape[1] - 1))
    normal = np.stack([-slope[0], -slope[1], np.full_like(height, 1.6)])
    normal /= np.linalg.norm(normal, axis=0)
    lamp = np.array([-0.45, -0.55, 0.7])
    share = np.einsum("k,kij->ij", lamp / np.linalg.norm(lamp), normal)
    found: Grid = 0.62 + 0.42 * np.clip(share, 0, 1) + 0.28 * np.clip(share, 0, 1) ** 24
    return found


def finer(layer: Grid, least: int) -> Grid:
    """A layer with more points, bicubic between its own, which stay as they are."""
    factor = max(1, -(-least // (min(layer.shape) - 1)))
    size = [(n - 1) * factor + 1 for n in layer.shape]
    given = torch.from_numpy(np.nan_to_num(layer, nan=1.0))[None, None]
    found = torch.nn.functional.interpolate(given, size, mode="bicubic", align_corners=True)
    gaps = torch.from_numpy(np.isnan(layer).astype(float))[None, None]
    near = torch.nn.functional.interpolate(gaps, size, mode="nearest")
    return torch.where(near > 0, torch.nan, found)[0, 0].numpy()


def _mesh(panel: Any, surface: Surface, height: Grid, x: Grid, y: Grid) -> None:
    """Lines along both axes, which show the form where colour alone does not."""
    for k in np.linspace(0, len(x) - 1, MESH).round().astype(int):
        panel.plot(np.full_like(y, x[k]), y, height[k] + 0.002, color="#ffffff", lw=0.35, alpha=0.4)
    for k in np.linspace(0, len(y) - 1, MESH).round().astype(int):
        panel.plot(x, np.full_like(x, y[k]), height[:, k] + 0.002, color="#ffffff", lw=0.35,
                   alpha=0.4)  # fmt: skip


def heights(layer: Grid, shades: Shades) -> Grid:
    """Losses as heights from 0 to 1; NaN stays."""
    with np.errstate(invalid="ignore", divide="ignore"):
        low, high = shades.low, shades.high
        kept = np.clip(layer, low, high)
        if shades.log:
            found: Grid = np.log(kept / low) / math.log(high / low)
            return found
        return (kept - low) / (high - low)


def _path(panel: Any, surface: Surface, height: Grid) -> None:
    points = np.array([mark.point for mark in surface.marks])
    if len(points) > 2:
        fine = np.concatenate([
            np.linspace(a, b, 12) for a, b in pairwise(points)
        ])  # fmt: skip
        z = sample(surface, height, fine) + LIFT
        panel.plot(*fine.T, z, color="#14171c", lw=3.2, zorder=5, solid_capstyle="round")
        panel.plot(*fine.T, z, color="#ffffff", lw=1.6, zorder=6, solid_capstyle="round")
        panel.plot(*points[:1].T, z[:1], "o", ms=7, mfc="#ffffff", mec="#14171c", zorder=7)
    ends = np.array([m.point for m in surface.marks if m.name] or [(0.0, 0.0)])
    panel.plot(*ends.T, sample(surface, height, ends) + LIFT, **STAR, zorder=8)


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


def _axes(panel: Any, surface: Surface, shades: Shades, theme: Theme) -> None:
    from matplotlib.ticker import MaxNLocator

    panel.view_init(ELEVATION, AZIMUTH)
    panel.set_box_aspect((1, 1, 0.62), zoom=0.98)
    panel.set_facecolor(theme.paper)
    for axis in (panel.xaxis, panel.yaxis, panel.zaxis):
        axis.set_pane_color((0, 0, 0, 0))
        axis.line.set_color(theme.rule)
        axis._axinfo["grid"].update(color=theme.rule, linewidth=0.5)
        axis._axinfo["tick"].update(inward_factor=0, outward_factor=0)
    panel.tick_params(labelsize=7.5, colors=theme.muted, pad=0)
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_locator(MaxNLocator(5))
    values = ticks(shades.low, shades.high, shades.log, 5)
    panel.set_zticks(heights(np.array(values), shades), [f"{v:g}" for v in values])
    names = [axis.label.split(" (")[0] for axis in surface.axes]
    panel.set_xlabel(names[0], color=theme.muted, fontsize=8.5, labelpad=4)
    panel.set_ylabel(names[1], color=theme.muted, fontsize=8.5, labelpad=4)
    panel.set_zlabel(shades.label, color=theme.muted, fontsize=8.5, labelpad=4)
    panel.set_zlim(0, 1.02)
