"""Panels that compare optimizers."""

from __future__ import annotations

import math

import pytest

from gdlightning.drawing import style
from gdlightning.lab.experiment import Found
from gdlightning.lab.panels import curves, dots
from gdlightning.lab.tuning import Candidate


def test_what_diverged_leaves_a_gap_in_the_figure() -> None:
    one = Candidate({"name": "sgd"}, (0.1, 1.0))
    found: list[Found] = [{"SGD": {"validation": [0.3, None]}}, {"SGD": {"validation": [0.5, 0.2]}}]
    _, (panel,) = style.figure()
    curves(panel, found, {"SGD": one}, style.LIGHT)
    (line,) = panel.lines
    assert line.get_ydata()[0] == pytest.approx(0.4)
    assert math.isnan(line.get_ydata()[1])
    _, (panel,) = style.figure()
    dots(panel, {"here": {"SGD": [0.3, math.inf, 0.5]}, "there": {"SGD": [math.inf]}}, style.LIGHT)
    assert len(panel.collections[0].get_offsets()) == 2
