"""Projection of a box in three dimensions onto a figure, and the axes of the box."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from gdlightning.drawing.style import Theme
from gdlightning.landscape.colormap import Shades
from gdlightning.landscape.surface import Surface
from gdlightning.landscape.surface_figure import Grid, ticks

HEIGHT = 1.15
"""Height of the box, whose floor is the square from -1 to 1."""
EYE = 6.0
"""Distance of the viewer."""


@dataclass(frozen=True)
class Camera:
    """View of the box, as on the interactive page.

    Args:
        yaw: angle around the box, in radians.
        pitch: angle above the floor, in radians.
    """

    yaw: float = -0.9
    pitch: float = 0.62

    def see(self, points: Grid) -> tuple[Grid, Grid]:
        """Return points [..., 3] in figure coordinates [..., 2], and their depth [...]."""
        x, y, z = points[..., 0], points[..., 1], points[..., 2] - HEIGHT / 2
        away = x * math.sin(self.yaw) + y * math.cos(self.yaw)
        along = x * math.cos(self.yaw) - y * math.sin(self.yaw)
        depth = away * math.cos(self.pitch) - z * math.sin(self.pitch)
        up = away * math.sin(self.pitch) + z * math.cos(self.pitch)
        size = EYE / (EYE + depth)
        return np.stack([along * size, up * size], axis=-1), depth

    def at(self, *point: float) -> Grid:
        """Return one point in figure coordinates, [2]."""
        return self.see(np.array(point))[0]


def box(panel: Any, camera: Camera, surface: Surface, shades: Shades, theme: Theme) -> None:
    """Draw the floor and the two back walls, with tick labels.

    Args:
        panel: panel of a figure; its axes are hidden.
        camera: view.
        surface: surface with the axes of the floor.
        shades: scale of the height.
        theme: colours.
    """
    panel.set_axis_off()
    panel.set_aspect("equal")
    panel.set(xlim=(-1.8, 1.8), ylim=(-1.6, 1.18))
    behind = _behind(camera)
    for k, axis in enumerate(surface.axes):
        low, high = axis.values[0], axis.values[-1]
        for value in ticks(low, high, False, 5):
            place = 2 * (value - low) / (high - low) - 1
            if abs(place) > 0.97:  # labels of two axes would overlap at the corners
                continue
            ends = [_floor(k, place, side) for side in (-1.0, 1.0)]
            wall = _floor(k, place, behind[1 - k])
            _line(panel, camera, (*ends[0], 0.0), (*ends[1], 0.0), theme)
            _line(panel, camera, (*wall, 0.0), (*wall, HEIGHT), theme)
            front = _floor(k, place, -behind[1 - k])
            _text(panel, camera, _short(value), (*front, 0.0), _floor(k, place, 0.0), 0.09, theme)
        name = f"{axis.label.split(' (')[0]}\n{axis.unit}"
        _name(panel, camera, name, k, -behind[1 - k], theme)
    _upright(panel, camera, shades, behind, theme)


def _upright(
    panel: Any, camera: Camera, shades: Shades, behind: tuple[float, float], theme: Theme
) -> None:
    """Draw the tick labels of the height at the left edge of the walls."""
    sides = [(behind[0], -behind[1]), (-behind[0], behind[1])]
    left = min(sides, key=lambda corner: camera.at(*corner, 0.0)[0])
    low, high = shades.low, shades.high
    for value in ticks(low, high, shades.log, 5):
        share = (
            math.log(value / low) / math.log(high / low)
            if shades.log
            else (value - low) / (high - low)
        )
        z = share * HEIGHT
        _line(panel, camera, (-1.0, behind[1], z), (1.0, behind[1], z), theme)
        _line(panel, camera, (behind[0], -1.0, z), (behind[0], 1.0, z), theme)
        x, y = camera.at(*left, z)
        panel.text(
            x - 0.04,
            y,
            _short(value),
            ha="right",
            va="center",
            fontsize=8,
            color=theme.muted,
            in_layout=False,
        )


def _behind(camera: Camera) -> tuple[float, float]:
    """Return the farther side of each axis."""
    _, depth = camera.see(np.array([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]]))
    return (1.0 if depth[0] > depth[1] else -1.0, 1.0 if depth[2] > depth[3] else -1.0)


def _floor(k: int, along: float, other: float) -> tuple[float, float]:
    """Return a point of the floor from its position along axis ``k`` and along the other axis."""
    return (along, other) if k == 0 else (other, along)


def _short(value: float) -> str:
    return f"{value:g}".replace("-", "−")


def _line(panel: Any, camera: Camera, start: Any, end: Any, theme: Theme) -> None:
    panel.plot(
        *np.stack([camera.at(*start), camera.at(*end)]).T, color=theme.rule, lw=0.6, zorder=0
    )


def _text(
    panel: Any, camera: Camera, words: str, point: Any, inner: Any, gap: float, theme: Theme
) -> None:
    """Draw text next to a point, on the side away from an inner point of the floor."""
    at, within = camera.at(*point), camera.at(*inner, 0.0)
    way = (at - within) / max(float(np.linalg.norm(at - within)), 1e-9)
    panel.text(
        *(at + gap * way),
        words,
        ha="center",
        va="center",
        fontsize=8,
        color=theme.muted,
        in_layout=False,
    )


def _name(panel: Any, camera: Camera, words: str, k: int, front: float, theme: Theme) -> None:
    """Draw the name of an axis along its edge of the floor."""
    ends = [camera.at(*_floor(k, place, front), 0.0) for place in (-1.0, 1.0)]
    dx, dy = (ends[1] - ends[0]) * (1.0 if ends[1][0] >= ends[0][0] else -1.0)
    middle = camera.at(*_floor(k, 0.0, front), 0.0)
    outside = np.array([dy, -dx]) / np.hypot(dx, dy)  # below the edge
    panel.text(
        *(middle + 0.34 * outside),
        words,
        ha="center",
        va="center",
        fontsize=8.5,
        rotation=math.degrees(math.atan2(dy, dx)),
        color=theme.muted,
        in_layout=False,
        linespacing=1.25,
    )
