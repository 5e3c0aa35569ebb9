"""Performance profiles and learning-rate sensitivity, computed by hand."""

from __future__ import annotations

import math

import pytest

from gdlightning.study.performance_profiles import area, profiles
from gdlightning.study.sensitivity import sensitivity


def test_profiles_by_hand() -> None:
    times = {
        "a": {"x": 100.0, "y": 100.0},
        "b": {"x": 200.0, "y": 50.0},
        "c": {"x": math.inf, "y": 500.0},
    }
    found = profiles(times)
    assert found["a"] == [(1.0, 0.5), (2.0, 1.0), (4.0, 1.0)]
    assert found["b"] == [(1.0, 0.5), (2.0, 1.0), (4.0, 1.0)]
    assert found["c"] == [(1.0, 0.0), (4.0, 0.0)]  # ten times the fastest, or never
    assert area(found["a"]) == pytest.approx((0.5 + 2.0) / 3)


def test_target_that_is_never_reached() -> None:
    assert profiles({"a": {"x": math.inf}})["a"] == [(1.0, 0.0), (4.0, 0.0)]


def test_good_range_is_interpolated() -> None:
    found = sensitivity([(1e-3, 1.0), (1e-2, 0.0), (1e-1, math.inf)], untrained=1.0)
    assert found is not None
    assert found.low == pytest.approx(10 ** (-2 - 0.05))
    assert found.high == pytest.approx(10 ** (-2 + 0.05))
    assert found.mean_loss == pytest.approx(2 / 3)


def test_no_sensitivity_without_improvement() -> None:
    assert sensitivity([(1e-3, 2.0), (1e-2, 3.0)], untrained=1.0) is None
    assert sensitivity([(1e-3, 0.5)], untrained=1.0) is None
