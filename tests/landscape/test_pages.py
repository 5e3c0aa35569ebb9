"""The pages are complete and self-contained, and work in a real browser, light and dark."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
from browser import colourful, needs_browser, shown

from gdlightning.landscape import surface_page
from gdlightning.landscape.surface import Mark, Scale, Surface
from gdlightning.races import race_page
from gdlightning.races.race import race
from gdlightning.races.test_functions import find

VALUES = tuple(k / 5 - 1 for k in range(11))
AXES = (
    Scale(
        "principal component 1 of the path (90.0% of its variance)", "Euclidean distance", VALUES
    ),
    Scale("random </script> direction", "filter norms", VALUES),
)


def bowl() -> Surface:
    """Return losses with a gap in one corner, and a path."""
    losses = [0.01 + x * x + 3 * y * y for x in VALUES for y in VALUES]
    losses[-1] = math.nan
    path = [Mark(k, (-0.9 + 0.1 * k, 0.8 * (1 - k / 9) ** 2)) for k in range(10)]
    both = {"train": losses, "val": [1.5 * v for v in losses]}
    return Surface("A <bowl>", AXES, both, {"train": 0.01, "val": 0.015}, tuple(path), {"step": 9})


def data(text: str, name: str) -> object:
    found = re.search(rf'id="{name}">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


def loads_nothing(text: str) -> bool:
    """Return whether everything that a page references is embedded."""
    named = re.findall(r'(?:src|srcset|href)="([^"]*)"', text)
    return all(value.startswith("data:") for value in named) and "http" not in re.sub(
        r"http://www.w3.org/\S+", "", text
    )


def test_page_of_a_surface_contains_its_data() -> None:
    text = surface_page.page(bowl())
    assert loads_nothing(text)
    assert "A &lt;bowl&gt;" in text
    found = data(text, "surface-data")
    assert isinstance(found, dict)
    assert list(found["layers"]) == ["train", "val", "difference"]
    layer = found["layers"]["train"]
    assert len(layer["losses"]) == math.prod(found["shape"])
    assert layer["losses"][0] == pytest.approx(bowl().losses["train"][0], rel=1e-4)
    assert None in layer["losses"]
    assert found["path"][0] == pytest.approx([0.05, 0.9])


@needs_browser
@pytest.mark.parametrize("dark", [False, True])
def test_browser_shows_a_surface(tmp_path: Path, dark: bool) -> None:
    pixels, complaints = shown(surface_page.page(bowl()), tmp_path, dark=dark)
    assert complaints == []
    assert (pixels[2, 2].mean() < 60) == dark
    stage = pixels[250:700, 150:800]  # the surface
    assert colourful(stage) > 0.2
    assert len({tuple(p) for p in stage[::9, ::9].reshape(-1, 3)}) > 100  # shaded


def a_race() -> str:
    saddle = find("saddle")
    tracks = [race(saddle, name, steps=60, lr=0.1) for name in ("gd", "adam")]
    tracks.append(race(saddle, "momentum", steps=60, lr=50.0))
    assert tracks[-1].diverged
    return race_page.page(saddle, tracks, {"muon": "no <matrix>"}, "A race", "who is first")


def test_page_of_a_race_contains_its_data() -> None:
    text = a_race()
    assert loads_nothing(text)
    assert "no &lt;matrix&gt;" in text
    found = data(text, "race-data")
    assert isinstance(found, dict)
    assert [t["optimizer"] for t in found["tracks"]] == ["gd", "adam", "momentum"]
    assert len(found["tracks"][0]["points"]) == 61


@needs_browser
@pytest.mark.parametrize("dark", [False, True])
def test_browser_shows_a_race(tmp_path: Path, dark: bool) -> None:
    pixels, complaints = shown(a_race(), tmp_path, dark=dark)
    assert complaints == []
    assert (pixels[2, 2].mean() < 60) == dark
    assert colourful(pixels[150:600, 80:480]) > 0.005  # paths
    assert colourful(pixels[150:600, 540:960]) > 0.001  # curves
