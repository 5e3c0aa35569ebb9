"""The curve of a range test, in the terminal and as a figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gdlightning.drawing import style
from gdlightning.drawing.style import LIGHT, Theme
from gdlightning.drawing.terminal_plot import draw
from gdlightning.range_test.suggestion import LrRange, smooth

HEADROOM = 0.35
"""Space above the initial loss, relative to the total decrease."""


def in_text(found: LrRange, width: int = 64, height: int = 8) -> str:
    """Draw loss against learning rate in Braille characters, with decades and range below.

    Args:
        found: result of a range test.
        width: width of the curve in characters.
        height: height of the curve in lines.
    """
    curve = found.curve
    bottom, top = _limits(found)
    heights = [(_clamped(v, top) - bottom) / (top - bottom) for v in curve.loss]
    marks = {0: f"{top:.3g}", height - 1: f"{bottom:.3g}"}
    margin = max(map(len, marks.values())) + 1
    lines = [
        f"{marks.get(k, ''):>{margin}} │{line}"
        for k, line in enumerate(draw(heights, width, height))
    ]
    column = _columns(curve.lr, width)
    scale, labels = ["─"] * width, [" "] * (width + 8)
    first, last = (math.ceil(math.log10(curve.lr[0])), math.floor(math.log10(curve.lr[-1])))
    for decade in range(first, last + 1):
        at = column(10.0**decade)
        scale[at] = "┴"
        labels[at : at + 5] = f"1e{decade}".ljust(5)
    low, point, high = (column(v) for v in (found.low, found.point, found.high))
    band = [" "] * width
    band[low : high + 1] = "├" + "─" * (high - low - 1) + "┤" if high > low else "│"
    band[point] = "●"
    indent = " " * (margin + 1)
    lines.append(f"{indent}└{''.join(scale)}")
    lines.append(f"{indent} {''.join(labels).rstrip()}")
    lines.append(
        f"{indent} {''.join(band).rstrip()}  {found.point:g}, {found.low:g} to {found.high:g}"
    )
    return "\n".join(lines)


def figure(found: LrRange, title: str, theme: Theme = LIGHT) -> Any:
    """Draw loss against learning rate, with the suggested range and point.

    Args:
        found: result of a range test.
        title: title of the figure.
        theme: colours.

    Returns:
        The matplotlib figure.

    Raises:
        UserError: if matplotlib is not installed.
    """
    made, (panel,) = style.figure(size=(6.6, 3.9), theme=theme, what="Drawing the range test")
    curve = found.curve
    bottom, top = _limits(found)
    seen = [_clamped(v, 2 * top - bottom) for v in curve.loss]
    smoothed = smooth(curve)
    panel.axvspan(found.low, found.high, color=style.GOOD, alpha=0.14, linewidth=0)
    panel.plot(curve.lr, seen, color=style.SERIES[0], alpha=0.35, linewidth=1)
    panel.plot(curve.lr[: len(smoothed)], smoothed, color=style.SERIES[0], linewidth=1.8)
    panel.axvline(found.point, color=style.GOOD, linewidth=1.4)
    edge = 0.03 * (top - bottom)
    panel.set(xscale="log", xlabel="learning rate", ylim=(bottom - edge, top))
    panel.set_xlim(curve.lr[0], curve.lr[-1])
    panel.set_ylabel("loss on fixed batches after each step")
    panel.annotate(
        f"{found.point:g}",
        (found.point, 0.96),
        xytext=(5, 0),
        va="top",
        fontsize=10,
        xycoords=panel.get_xaxis_transform(),
        textcoords="offset points",
        color=theme.ink,
    )
    panel.annotate(
        f"{found.low:g} to {found.high:g}",
        (found.high, 0.88),
        xytext=(5, 0),
        va="top",
        xycoords=panel.get_xaxis_transform(),
        textcoords="offset points",
        fontsize=8.5,
        color=theme.muted,
    )
    style.title(panel, title, theme)
    return made


def _limits(found: LrRange) -> tuple[float, float]:
    lowest, start = min(smooth(found.curve)), found.curve.start
    return lowest, start + HEADROOM * (start - lowest)


def _clamped(loss: float, top: float) -> float:
    return min(loss, top) if math.isfinite(loss) else top


def _columns(lrs: Sequence[float], width: int) -> Any:
    """Return a function from a learning rate to its column in the drawing."""
    start, end = math.log10(lrs[0]), math.log10(lrs[-1])

    def column(lr: float) -> int:
        position = (math.log10(lr) - start) / (end - start)
        return min(width - 1, max(0, round(position * (width - 1))))

    return column
