"""Drawings of schedules in the terminal and as PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gdlightning.schedules import Schedule, names
from gdlightning.schedules.schedule_figure import curve, draw_png, draw_text


def dots(drawing: str) -> np.ndarray:
    """Return the dots of a Braille drawing as a boolean array."""
    lines = [line.split("│")[1] for line in drawing.split("\n")]
    found = np.zeros((4 * len(lines), 2 * len(lines[0])), bool)
    bits = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
    for y in range(found.shape[0]):
        for x in range(found.shape[1]):
            code = ord(lines[y // 4][x // 2]) - 0x2800
            found[y, x] = bool(code & bits[y % 4][x % 2])
    return found


@pytest.mark.parametrize("name", names())
def test_every_column_of_the_drawing_shows_its_multiplier(name: str) -> None:
    factors = curve(Schedule(name))
    drawing = draw_text(factors, width=40, height=5)
    assert [len(line) for line in drawing.split("\n")] == [45] * 5
    found = dots(drawing)
    assert found.any(axis=0).all()  # no gaps
    for x in range(80):
        row = 19 - round(factors[x * len(factors) // 80] * 19)
        assert found[row, x], x


def test_drawing_does_not_change_the_state_of_a_plateau() -> None:
    schedule = Schedule("reduce_on_plateau")
    first = curve(schedule)
    assert min(first) < 1
    assert curve(schedule) == first
    assert schedule.factor(0, 10) == 1


def test_png_has_one_panel_per_schedule(tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "one.png"
    draw_png({"cosine": Schedule("cosine", warmup="10%")}, path)
    with Image.open(path) as image:
        assert image.format == "PNG"
        one = image.width
    draw_png({name: Schedule(name) for name in names()}, path)
    with Image.open(path) as image:
        assert image.width > 3 * one
        blue = np.all(np.array(image.convert("RGB")) == (0x2A, 0x78, 0xD6), axis=2)
    height, width = blue.shape
    for k in range(12):  # four panels per row
        line, column = divmod(k, 4)
        panel = blue[
            line * height // 3 : (line + 1) * height // 3,
            column * width // 4 : (column + 1) * width // 4,
        ]
        assert panel.sum() > 200, k
    assert [p.name for p in tmp_path.iterdir()] == ["one.png"]  # no temporary files remain
