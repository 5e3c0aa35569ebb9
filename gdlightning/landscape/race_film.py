"""A race as a moving picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdlightning.drawing import style
from gdlightning.drawing.style import LIGHT, Theme
from gdlightning.landscape.functions import Function
from gdlightning.landscape.race import Track
from gdlightning.landscape.race_picture import colours, ground
from gdlightning.storage.write import whole

FRAMES, PAUSE, MILLISECONDS = 72, 18, 70
"""Frames that move, frames that stand still at the end, and how long each is seen."""
SIZE, LIST, TWICE = (760, 500), 200, 2
"""Pixels of a frame, those of the list at its right, and over-sampling."""


def film(function: Function, tracks: Sequence[Track], path: Path, theme: Theme = LIGHT) -> None:
    """Write the race of the first eight as a GIF that repeats.

    Args:
        function: that was raced on.
        tracks: best first.
        path: of the file.
        theme: of colours.

    Raises:
        StorageError: it can't be written.
    """
    from PIL import Image

    frames = _frames(function, tracks[: len(style.SERIES)], theme)
    table = _table(frames[-1], theme)
    indexed = [f.quantize(palette=table, dither=Image.Dither.NONE) for f in frames]
    times = [MILLISECONDS] * (len(indexed) - 1) + [MILLISECONDS * PAUSE]
    with whole(path) as stream:
        indexed[0].save(
            stream, format="GIF", save_all=True, append_images=indexed[1:], duration=times, loop=0
        )


def _table(frame: Any, theme: Theme) -> Any:
    """255 colours for all frames; those of the tracks are among them."""
    from PIL import Image, ImageDraw

    sample = frame.copy()
    pen = ImageDraw.Draw(sample)
    for k, colour in enumerate((*style.SERIES, theme.ink, theme.paper)):
        pen.rectangle((40 * k, 0, 40 * k + 39, 60), fill=colour)
    return sample.quantize(255, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)


def _frames(function: Function, tracks: Sequence[Track], theme: Theme) -> list[Any]:
    from PIL import Image, ImageDraw

    plain, place = _backdrop(function, theme)
    lines = [place(track.points.numpy()) for track in tracks]
    steps = max(map(len, lines)) - 1
    found = []
    for frame in range(FRAMES):
        now = round(steps * (frame / (FRAMES - 1)) ** 1.6)  # slow at first: most happens then
        image = plain.copy()
        pen = ImageDraw.Draw(image)
        for line, colour in list(zip(lines, colours(tracks, theme), strict=True))[::-1]:
            seen = line[: now + 1]
            if len(seen) > 1:
                pen.line(seen, fill=theme.paper, width=7, joint="curve")
                pen.line(seen, fill=colour, width=4, joint="curve")
            _disc(pen, seen[-1], 10, colour, theme.paper)
        _list(image, pen, tracks, now, theme)
        found.append(image.resize(SIZE, Image.Resampling.LANCZOS))
    return found


def _list(image: Any, pen: Any, tracks: Sequence[Track], now: int, theme: Theme) -> None:
    """Who runs, and who has arrived, at the right."""
    from PIL import ImageFont

    left = (SIZE[0] - LIST) * TWICE
    pen.rectangle((left, 0, image.width, image.height), fill=theme.paper)
    large, small = (ImageFont.truetype(_font(), points * TWICE) for points in (13, 11))
    pen.text(
        (left + 18 * TWICE, 24 * TWICE), f"step {now:,}", fill=theme.ink, font=large, anchor="lm"
    )
    for k, (track, colour) in enumerate(zip(tracks, colours(tracks, theme), strict=True)):
        y = (58 + 40 * k) * TWICE
        there = track.arrived is not None and now >= track.arrived
        _disc(pen, (left + 24 * TWICE, y), 11, colour, theme.paper)
        pen.text((left + 38 * TWICE, y), track.optimizer, fill=theme.ink, font=large, anchor="lm")
        told = (
            f"there after {track.arrived:,} steps"
            if there
            else ""
            if track.lr is None
            else f"lr {track.lr:g}"
        )
        pen.text(
            (left + 38 * TWICE, y + 15 * TWICE), told, fill=theme.muted, font=small, anchor="lm"
        )


def _backdrop(
    function: Function, theme: Theme
) -> tuple[Any, Callable[[NDArray[np.float64]], list[tuple[float, float]]]]:
    """The contours as an image, and from points [n, 2] to its pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    made = Figure(figsize=(SIZE[0] / 100, SIZE[1] / 100), dpi=100 * TWICE)
    made.set_facecolor(theme.paper)
    panel = made.add_axes((0.0, 0.0, 1 - LIST / SIZE[0], 1.0))
    panel.set_axis_off()
    ground(panel, function, theme)
    canvas: Any = FigureCanvasAgg(made)
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())

    def place(points: NDArray[np.float64]) -> list[tuple[float, float]]:
        found = np.clip(panel.transData.transform(points), -4000, 8000)
        return [(float(x), float(image.height - y)) for x, y in found]

    return image, place


def _disc(pen: Any, at: Any, radius: float, fill: str, edge: str) -> None:
    x, y = at
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill, outline=edge, width=3)


def _font() -> str:
    from matplotlib import font_manager

    return str(font_manager.findfont("DejaVu Sans"))
