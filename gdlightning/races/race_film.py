"""A race as an animated GIF."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdlightning.drawing import style
from gdlightning.drawing.style import LIGHT, Theme
from gdlightning.races.race import Track
from gdlightning.races.race_figure import colours, ground
from gdlightning.races.test_functions import Function
from gdlightning.storage.atomic_write import open_atomic

FRAMES, PAUSE, MILLISECONDS = 72, 18, 70
"""Number of moving frames, still frames at the end, and duration of a frame in milliseconds."""
SIZE, LIST, SCALE = (760, 500), 200, 2
"""Frame size and width of the list in pixels, and oversampling factor."""


def film(function: Function, tracks: Sequence[Track], path: Path, theme: Theme = LIGHT) -> None:
    """Write the race of the first eight optimizers as a looping GIF.

    Args:
        function: test function.
        tracks: trajectories, best first.
        path: file to write.
        theme: colours.

    Raises:
        StorageError: if the file cannot be written.
    """
    from PIL import Image

    frames = _frames(function, tracks[: len(style.SERIES)], theme)
    table = _table(frames[-1], theme)
    indexed = [f.quantize(palette=table, dither=Image.Dither.NONE) for f in frames]
    times = [MILLISECONDS] * (len(indexed) - 1) + [MILLISECONDS * PAUSE]
    with open_atomic(path) as stream:
        indexed[0].save(
            stream, format="GIF", save_all=True, append_images=indexed[1:], duration=times, loop=0
        )


def _table(frame: Any, theme: Theme) -> Any:
    """Return a palette of 255 colours for all frames, including those of the tracks."""
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
        now = round(steps * (frame / (FRAMES - 1)) ** 1.6)  # slow at first, when most happens
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
    """Draw the list of optimizers with their state at the right."""
    from PIL import ImageFont

    left = (SIZE[0] - LIST) * SCALE
    pen.rectangle((left, 0, image.width, image.height), fill=theme.paper)
    large, small = (ImageFont.truetype(_font(), points * SCALE) for points in (13, 11))
    pen.text(
        (left + 18 * SCALE, 24 * SCALE), f"step {now:,}", fill=theme.ink, font=large, anchor="lm"
    )
    for k, (track, colour) in enumerate(zip(tracks, colours(tracks, theme), strict=True)):
        y = (58 + 40 * k) * SCALE

        _disc(pen, (left + 24 * SCALE, y), 11, colour, theme.paper)
        pen.text((left + 38 * SCALE, y), track.optimizer, fill=theme.ink, font=large, anchor="lm")
        state = "" if track.lr is None else f"lr {track.lr:g}"
        if track.arrived is not None and now >= track.arrived:
            state = f"converged after {track.arrived:,} steps"
        pen.text(
            (left + 38 * SCALE, y + 15 * SCALE), state, fill=theme.muted, font=small, anchor="lm"
        )


def _backdrop(
    function: Function, theme: Theme
) -> tuple[Any, Callable[[NDArray[np.float64]], list[tuple[float, float]]]]:
    """Return the contours as an image, and a function from points [n, 2] to its pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    made = Figure(figsize=(SIZE[0] / 100, SIZE[1] / 100), dpi=100 * SCALE)
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
