"""Figures of surfaces and races, by their content."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gdlightning.drawing.style import DARK, LIGHT, Theme, save
from gdlightning.landscape.colormap import Shades, palette
from gdlightning.landscape.heights import at, finer, heights, on_surface
from gdlightning.landscape.surface import Mark, Scale, Surface
from gdlightning.landscape.surface3d import open_view, relief
from gdlightning.landscape.surface_figure import contours, shades_of, slices, ticks
from gdlightning.races.race import race
from gdlightning.races.race_figure import picture
from gdlightning.races.race_film import FRAMES, SIZE, film
from gdlightning.races.test_functions import find

X, Y = tuple(k / 4 - 1 for k in range(9)), tuple(k / 2 - 1 for k in range(5))


def surface(dims: int = 2, marks: tuple[Mark, ...] = ()) -> Surface:
    axes = (Scale("one", "steps", X), Scale("two", "steps", Y))[:dims]
    losses = [x * x + 0.1 for x in X] if dims == 1 else [x * x + y + 1.1 for x in X for y in Y]
    both = {"train": losses, "val": [v + 0.2 for v in losses]}
    return Surface("Seen", axes, both, {"train": 0.1, "val": 0.3}, marks)


@pytest.mark.parametrize(("theme", "suffix"), [(LIGHT, ".png"), (DARK, ".svg")])
def test_each_layer_has_a_panel(theme: Theme, suffix: str, tmp_path: Path) -> None:
    path = tuple(Mark(k, (k / 5 - 1, 0.5 - k / 10)) for k in range(6))
    for draw in (contours, relief):
        made = draw(surface(marks=path), theme)
        titles = [a.get_title(loc="left") for a in made.axes]
        wanted = ["Training loss", "Validation loss", "Validation loss − training loss"]
        assert [t.removesuffix(", log scale") for t in titles if t] == wanted
        save(made, tmp_path / f"{draw.__name__}{suffix}", dpi=40)
        assert (tmp_path / f"{draw.__name__}{suffix}").stat().st_size > 5000


def test_slices_show_the_difference() -> None:
    made = slices(surface(1, (Mark(3, (1.0,), {"train": 1.1, "val": 1.3}, "the other"),)))
    losses, gap = made.axes
    assert losses.get_lines()[0].get_ydata().tolist() == pytest.approx([x * x + 0.1 for x in X])
    assert gap.get_lines()[1].get_ydata().tolist() == pytest.approx([0.2] * 9)
    assert any("the other" in t.get_text() for t in losses.texts)


def test_contours_are_at_the_positions_of_the_losses() -> None:
    """The first axis is x, the second y."""
    made = contours(surface())
    panel = made.axes[0]
    assert panel.get_xlim() == (-1, 1)
    assert "one" in panel.get_xlabel()
    assert "two" in panel.get_ylabel()
    levels = panel.collections[0]
    low, high = levels.get_array().min(), levels.get_array().max()
    assert low < 0.2
    assert high > 2.8


def test_training_and_validation_share_a_scale() -> None:
    shown = shades_of(surface())
    assert (shown["train"].low, shown["train"].high) == (shown["val"].low, shown["val"].high)
    assert shown["difference"].low == -shown["difference"].high


def test_wide_ranges_have_a_log_scale() -> None:
    wide = torch.tensor([0.01, 0.1, 10.0, torch.nan])
    assert Shades.of("train", wide).log
    assert not Shades.of("train", wide - 1).log  # not all positive
    assert not Shades.of("train", torch.tensor([1.0, 2.0])).log
    assert Shades.of("train", torch.full((3,), torch.nan)).low == 0.0  # no finite values


def test_heights_range_from_0_to_1() -> None:
    layer = np.array([[0.01, 0.1], [1.0, np.nan]])
    found = heights(layer, Shades("", 0.01, 1.0, True, "viridis"))
    assert found[0].tolist() == pytest.approx([0.0, 0.5])
    assert found[1, 0] == 1.0
    assert np.isnan(found[1, 1])


def test_finer_layer_keeps_the_measured_points() -> None:
    layer = np.random.default_rng(0).random((5, 4))
    found = finer(layer, 12)
    assert found.shape == (17, 13)
    np.testing.assert_allclose(found[::4, ::4], layer, atol=1e-12)


def test_heights_between_points_are_bilinear() -> None:
    height = np.add.outer(2 * np.array(X), 3 * np.array(Y))  # linear, so bilinear is exact
    points = np.array([[0.0, 0.0], [0.3, -0.7], [1.0, 1.0], [-1.0, 0.2]])
    np.testing.assert_allclose(at(height, points), 2 * points[:, 0] + 3 * points[:, 1])
    placed = on_surface(surface(), height, points)  # the axes range from -1 to 1, as the floor
    np.testing.assert_allclose(placed[:, :2], points)


@pytest.mark.parametrize("side", [(0, -1), (0, 1), (1, -1), (1, 1)])
def test_camera_avoids_walls(side: tuple[int, int]) -> None:
    """A wall along one side hides the middle from that side alone."""
    k, sign = side
    grid = np.stack(np.meshgrid(X, X, indexing="ij"))
    losses = 1 + 9 * (sign * grid[k] > 0.6)
    axes = (Scale("", "", X), Scale("", "", X))
    walled = Surface("", axes, {"train": losses.ravel().tolist()}, {"train": 1.0})
    camera = open_view(walled, shades_of(walled))
    wall = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    wall[0, k], wall[1, k] = sign, -sign
    _, depth = camera.see(wall)
    assert depth[0] > depth[1]  # the wall is at the back


@given(low=st.floats(1e-6, 1e3), ratio=st.floats(1.5, 1e8), log=st.booleans())
def test_ticks_are_few_and_within(low: float, ratio: float, log: bool) -> None:
    found = ticks(low, low * ratio, log)
    assert 1 <= len(found) <= 13
    assert found == sorted(found)
    assert all(low * (1 - 1e-6) <= v <= low * ratio * (1 + 1e-6) for v in found)


def test_palette_is_in_html_notation() -> None:
    assert palette("viridis", 3) == ["#440154", "#21918c", "#fde725"]


def test_figure_and_film_of_a_race(tmp_path: Path) -> None:
    saddle = find("saddle")
    tracks = [race(saddle, name, steps=40, lr=0.1) for name in ("gd", "adam")]
    made = picture(saddle, tracks, "A race", DARK)
    above, curve = made.axes
    assert "x²/2" in above.get_title(loc="left")
    labels = [t.get_text() for t in curve.get_legend().get_texts()]
    assert labels[0].startswith("gd, lr 0.1: ")
    film(saddle, tracks, tmp_path / "race.gif")
    moving: Any
    with Image.open(tmp_path / "race.gif") as moving:
        assert moving.size == SIZE
        assert 20 < moving.n_frames <= FRAMES
        first = np.asarray(moving.convert("RGB")).astype(int)
        moving.seek(moving.n_frames - 1)
        last = np.asarray(moving.convert("RGB")).astype(int)
    assert (abs(first - last) > 60).any(axis=2).mean() > 1e-3


@pytest.mark.parametrize("finite", [1, 40])
def test_gaps_and_constant_losses(finite: int) -> None:
    """A single finite loss, or equal losses everywhere, can be drawn."""
    losses = [1.0] * finite + [math.nan] * (45 - finite)
    axes = (Scale("one", "", X), Scale("two", "", Y))
    gaps = Surface("", axes, {"train": losses, "val": losses}, {"train": 1.0, "val": 1.0})
    for draw in (contours, relief):
        assert draw(gaps).axes
    assert slices(Surface("", axes[:1], {"train": losses[:9]}, {"train": 1.0})).axes
