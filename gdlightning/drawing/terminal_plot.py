"""Curves in the terminal, in Braille characters."""

from __future__ import annotations

from collections.abc import Sequence

DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""Bits of a Braille character by column, then by row from the top."""


def draw(heights: Sequence[float], width: int = 60, height: int = 6) -> list[str]:
    """Draw a curve without gaps, as lines of text.

    Args:
        heights: equally spaced heights from 0 (bottom) to 1 (top); values beyond are clamped.
        width: width in characters of two dot columns each.
        height: height in lines of four dot rows each.
    """
    columns, rows = 2 * width, 4 * height
    cells = [[0] * width for _ in range(height)]
    before: int | None = None
    for x in range(columns):
        own = heights[min(len(heights) - 1, x * len(heights) // columns)]
        y = rows - 1 - round(min(1.0, max(0.0, own)) * (rows - 1))
        first = y if before is None else before
        for row in range(min(y, first), max(y, first) + 1):  # fill gaps of steep parts
            cells[row // 4][x // 2] |= DOTS[x % 2][row % 4]
        before = y
    return ["".join(chr(0x2800 + c) for c in line) for line in cells]
