"""Figures of a surface: contours with the path, and slices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gdlightning.drawing import style
from gdlightning.drawing.style import LIGHT, Theme
from gdlightning.landscape.colormap import NAMES, Shades
from gdlightning.landscape.surface import Surface

LEVELS = 26
Grid = NDArray[np.float64]
PATH, HALO = "#ffffff", "#1b1e24"
"""Colours of a path and its outline, visible on all colours of the maps."""


def contours(surface: Surface, theme: Theme = LIGHT, columns: int = 3) -> Any:
    """Draw filled contours of each layer side by side, with the optimizer's path.

    Args:
        surface: surface of two axes.
        theme: colours.
        columns: maximum number of columns.

    Returns:
        The matplotlib figure.
    """
    shown = shades_of(surface)
    columns = min(columns, len(shown))
    rows = -(-len(shown) // columns)
    made, panels = style.figure(rows, columns, size=(5.9, 4.7), theme=theme)
    for panel in panels[len(shown) :]:
        panel.set_visible(False)
    for panel, (split, shades) in zip(panels, shown.items(), strict=False):
        contour(panel, surface, surface.layers()[split].numpy(), shades, theme)
    explain(panels[0], theme)
    heading(made, surface.title, theme)
    return made


def contour(panel: Any, surface: Surface, layer: Grid, shades: Shades, theme: Theme) -> None:
    """Draw filled contours of one layer, with the path and a colour bar.

    Args:
        panel: panel of a figure.
        surface: surface of the layer.
        layer: losses, [x, y].
        shades: colour scale.
        theme: colours.
    """
    _fill(panel, surface, layer, shades, theme)
    _marks(panel, surface)
    style.title(panel, capital(shades.name), theme)
    panel.set(xlabel=_label(surface, 0), ylabel=_label(surface, 1))


def explain(panel: Any, theme: Theme) -> None:
    """Add a legend of the marks below a panel of contours."""
    style.legend(
        panel, theme, loc="upper left", bbox_to_anchor=(-0.02, -0.14), ncols=3, handletextpad=0.3
    )


def shades_of(surface: Surface, whole: bool = False) -> dict[str, Shades]:
    """Return the colour scale of each layer; training and validation loss share theirs.

    Args:
        surface: surface of any number of axes.
        whole: whether the scale of a difference includes outliers.
    """
    layers = surface.layers()
    losses = torch.cat([v.flatten() for k, v in layers.items() if k != "difference"])
    return {
        split: Shades.of(split, layer if split == "difference" else losses, whole)
        for split, layer in layers.items()
    }


def heading(made: Any, text: str, theme: Theme) -> None:
    """Set a title above a whole figure."""
    made.suptitle(text, fontsize=11.5, color=theme.ink, x=0.012, ha="left", weight="bold")


def _fill(panel: Any, surface: Surface, layer: Grid, shades: Shades, theme: Theme) -> None:
    from matplotlib.colors import LogNorm, Normalize

    between = np.geomspace if shades.log else np.linspace
    levels = between(shades.low, shades.high, LEVELS)
    norm = (LogNorm if shades.log else Normalize)(shades.low, shades.high)
    x, y = (np.asarray(axis.values) for axis in surface.axes)
    drawn = panel.contourf(
        x,
        y,
        layer.T,
        levels=levels,
        norm=norm,
        cmap=shades.cmap,
        extend="both" if shades.low < 0 else "neither",
    )
    drawn.set_edgecolor("face")  # avoids seams between the bands in SVG
    dark = "#ffffff" if shades.cmap == style.SURFACE else "#3b424b"
    panel.contour(x, y, layer.T, levels=levels[1:-1:2], colors=dark, linewidths=0.5, alpha=0.45)
    _scale(panel, drawn, shades, theme)


def _scale(panel: Any, drawn: Any, shades: Shades, theme: Theme) -> None:
    """Draw a colour bar with a few round numbers."""
    from matplotlib.ticker import FuncFormatter

    bar = panel.figure.colorbar(drawn, ax=panel, pad=0.02, aspect=28)
    bar.set_ticks(ticks(shades.low, shades.high, shades.log))
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.4g}"))
    bar.ax.minorticks_off()
    bar.ax.tick_params(labelsize=8.5, colors=theme.muted, length=0)
    bar.set_label(shades.label, color=theme.muted, fontsize=9)
    bar.outline.set_visible(False)


def ticks(low: float, high: float, log: bool, count: int = 6) -> list[float]:
    """Return round numbers in a range: 1, 2 or 5 times a power of ten."""
    if not log:
        raw = (high - low) / count
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw)
        first = math.ceil(low / step - 1e-9)
        found = [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]
        return [round(v, 12) for v in found]
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        found = [m * 10.0**d for d in decades for m in factors if low <= m * 10.0**d <= high]
        if len(found) <= count + 2:
            break
    return found[:: -(-len(found) // (count + 2))] if found else [low, high]


def _marks(panel: Any, surface: Surface) -> None:
    """Draw the path with its first and last stop, the named checkpoints, and the centre."""
    marks = surface.marks
    if len(marks) > 2:
        points = np.array([mark.point for mark in marks])
        _line(panel, points)
        panel.plot(
            *points[0],
            "o",
            ms=7,
            mfc=PATH,
            mec=HALO,
            mew=1.3,
            label=f"first checkpoint, step {marks[0].step:,}",
        )
    for mark in marks:
        if mark.name:
            panel.plot(*mark.point, **STAR, label=mark.name)
    if not any(mark.name for mark in marks):
        panel.plot(*[0.0] * len(surface.axes), **STAR, label="checkpoint")


STAR: dict[str, Any] = {
    "marker": "*",
    "ms": 13,
    "mfc": "#ffd23f",
    "mec": HALO,
    "mew": 1.0,
    "ls": "",
}


def _line(panel: Any, points: Grid) -> None:
    panel.plot(*points.T, color=HALO, lw=3.4, solid_joinstyle="round", solid_capstyle="round")
    panel.plot(*points.T, color=PATH, lw=1.7, solid_joinstyle="round", solid_capstyle="round")
    if len(points) <= 80:
        panel.plot(*points[1:].T, "o", ms=2.6, mfc=PATH, mec=HALO, mew=0.6)


def slices(surface: Surface, theme: Theme = LIGHT) -> Any:
    """Plot the losses along one axis, and their difference below if there are two.

    Args:
        surface: surface of one axis.
        theme: colours.

    Returns:
        The matplotlib figure.
    """
    layers = surface.layers()
    gap = layers.pop("difference", None)
    rows = 1 if gap is None else 2
    made, panels = style.figure(rows, 1, size=(7.2, 3.9 if rows == 1 else 2.9), theme=theme)
    x = np.asarray(surface.axes[0].values)
    for k, (split, layer) in enumerate(layers.items()):
        panels[0].plot(x, layer.numpy(), color=style.SERIES[k], lw=2, label=NAMES[split])
        for place, loss in _measured(surface, split):
            panels[0].plot(place, loss, **{**STAR, "mfc": style.SERIES[k]})
    shades = next(iter(shades_of(surface).values()))
    if shades.log:
        panels[0].set_yscale("log")
        values = ticks(shades.low, shades.high, True)
        panels[0].set_yticks(values, [f"{v:g}" for v in values])
        panels[0].minorticks_off()
    panels[0].set(ylabel="loss, log scale" if shades.log else "loss")
    if gap is not None:
        panels[1].axhline(0, color=theme.rule, lw=1)
        panels[1].plot(x, gap.numpy(), color=style.SERIES[3], lw=2)
        panels[1].set(ylabel=NAMES["difference"])
    for panel in panels:
        for mark in (m for m in surface.marks if m.name):
            panel.axvline(mark.point[0], color=theme.rule, lw=1, zorder=0)
    for mark in (m for m in surface.marks if m.name):
        panels[0].annotate(
            mark.name,
            (mark.point[0], 1),
            xycoords=("data", "axes fraction"),
            xytext=(4, -2),
            textcoords="offset points",
            va="top",
            fontsize=8.5,
            color=theme.muted,
        )
    panels[-1].set(xlabel=_label(surface, 0))
    style.legend(panels[0], theme, loc="best")
    heading(made, surface.title, theme)
    return made


def _measured(surface: Surface, split: str) -> list[tuple[float, float]]:
    """Return the named checkpoints on a line with their losses, or the centre if there are none."""
    found = [(m.point[0], m.losses[split]) for m in surface.marks if m.name and split in m.losses]
    return found or [(0.0, surface.centre[split])]


def _label(surface: Surface, k: int) -> str:
    axis = surface.axes[k]
    return f"{axis.label}\n{axis.unit}"


def capital(text: str) -> str:
    """Return a text with its first letter in upper case."""
    return text[:1].upper() + text[1:]
