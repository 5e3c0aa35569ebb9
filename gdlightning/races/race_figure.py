"""Figures of a race: paths on the contours of the function, and values by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gdlightning.drawing import style
from gdlightning.drawing.style import LIGHT, Theme
from gdlightning.landscape.surface_figure import heading
from gdlightning.races.race import Track
from gdlightning.races.test_functions import Function

FINE, BANDS = 241, 18
"""Number of points along each side of the contours, and number of contour bands."""
NAMED = len(style.SERIES)
"""Number of optimizers with their own colour; others are grey."""
FLOOR = 1e-12
"""Values above the minimum that are smaller than this are drawn at this value."""


def colours(tracks: Sequence[Track], theme: Theme = LIGHT) -> list[str]:
    """Return a colour for each track."""
    return [style.SERIES[k] if k < NAMED else theme.rule for k in range(len(tracks))]


def picture(function: Function, tracks: Sequence[Track], title: str, theme: Theme = LIGHT) -> Any:
    """Draw the paths on the contours, and the values by step.

    Args:
        function: test function.
        tracks: trajectories, best first; the first eight have colours.
        title: title of the figure.
        theme: colours.

    Returns:
        The matplotlib figure.
    """
    made, (above, curve) = style.figure(1, 2, size=(6.0, 4.7), theme=theme)
    ground(above, function, theme)
    above.set(xlabel="x", ylabel="y")
    shown = list(zip(tracks, colours(tracks, theme), strict=True))[::-1]  # the best is on top
    for track, colour in shown:
        points = track.points.numpy()
        above.plot(*points.T, color=theme.paper, lw=3.2, alpha=0.75, solid_joinstyle="round")
        above.plot(*points.T, color=colour, lw=1.7, solid_joinstyle="round")
        above.plot(*points[-1], "o", ms=6, mfc=colour, mec=theme.paper, mew=1)
        curve.plot(
            _above(function, track),
            color=colour,
            lw=1.7,
            label=_name(track) if colour != theme.rule else None,
        )
        if track.arrived is not None and track.arrived < len(track.values):
            curve.plot(
                track.arrived,
                _above(function, track)[track.arrived],
                "o",
                ms=5,
                mfc=theme.paper,
                mec=colour,
                mew=1.5,
                zorder=3,
            )
    above.plot(*function.start, "s", ms=6, mfc=theme.ink, mec=theme.paper, mew=1)
    style.title(above, f"{function.title}: {function.formula}", theme)
    style.title(curve, "Value above the minimum by step; rings mark convergence", theme)
    curve.set(yscale="log", xlabel="optimizer step", ylabel="f − min f, log scale")
    curve.set_ylim(bottom=max(FLOOR, curve.get_ylim()[0]))
    curve.grid(axis="y", color=theme.rule, lw=0.5, alpha=0.6)
    curve.minorticks_off()
    lines, names = curve.get_legend_handles_labels()
    style.legend(
        curve,
        theme,
        handles=lines[::-1],
        labels=names[::-1],
        loc="upper left",
        bbox_to_anchor=(1.0, 1.02),
    )
    heading(made, title, theme)
    return made


def _name(track: Track) -> str:
    lr = "" if track.lr is None else f", lr {track.lr:g}"
    state = "not converged" if track.arrived is None else f"{track.arrived:,} steps"
    return f"{track.optimizer}{lr}: {'diverged' if track.diverged else state}"


def _above(function: Function, track: Track) -> NDArray[np.float64]:
    found: NDArray[np.float64] = (track.values - function.least).clamp(min=FLOOR).numpy()
    return found


def ground(panel: Any, function: Function, theme: Theme) -> None:
    """Draw pale contours, evenly spaced in the logarithm of the value, and the minima."""
    from matplotlib.colors import LinearSegmentedColormap

    left, right, low, high = function.domain
    x, y = torch.linspace(left, right, FINE), torch.linspace(low, high, FINE)
    value = function.value(*torch.meshgrid(x.double(), y.double(), indexing="xy"))
    depth = torch.log10(value - function.least + _softening(function, value)).numpy()
    levels = np.linspace(depth.min(), depth.max() + 1e-9, BANDS)
    deep = {"light": "#b9cde4", "dark": "#31465e"}[theme.name]
    pale = LinearSegmentedColormap.from_list("pale", [deep, theme.paper])
    panel.contourf(x, y, depth, levels=levels, cmap=pale).set_edgecolor("face")
    panel.contour(x, y, depth, levels=levels, colors=theme.muted, linewidths=0.4, alpha=0.55)
    panel.plot(
        *np.array(function.minima).T,
        "*",
        ms=14,
        mfc="#ffd23f",
        mec=theme.ink,
        mew=0.9,
        ls="",
        zorder=4,
    )
    panel.set(xlim=(left, right), ylim=(low, high))


def _softening(function: Function, value: torch.Tensor) -> float:
    """Return an offset of the value, so that its logarithm at the minimum is finite."""
    return 0.01 * float(torch.quantile(value.flatten(), 0.5) - function.least)
