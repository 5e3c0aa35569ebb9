"""Planes through weight space."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gdlightning.errors import UserError
from gdlightning.landscape import planes
from gdlightning.landscape.path import Stop
from gdlightning.landscape.plane import Axis, Plane, coordinates

WEIGHTS = {"w": torch.arange(6.0).view(2, 3) + 1, "b": torch.ones(2)}


@given(low=st.floats(-100, 0), width=st.floats(1e-3, 100), count=st.integers(2, 99))
def test_zero_is_among_the_coordinates(low: float, width: float, count: int) -> None:
    high = max(0.0, low + width)
    found = coordinates(low, high + 1e-3, count)
    assert len(found) == count
    assert 0.0 in found
    assert all(b > a for a, b in pairwise(found))
    spacing = (high + 1e-3 - low) / (count - 1)
    assert abs(found[0] - low) <= 0.5 * spacing * (1 + 1e-9)


def test_weights_are_the_sum_of_centre_and_directions() -> None:
    axes = (
        Axis({"w": torch.ones(2, 3)}, "", "", coordinates(-1, 1, 3)),
        Axis({"b": torch.tensor([1.0, 2.0])}, "", "", coordinates(0, 2, 3)),
    )
    plane = Plane(WEIGHTS, axes)
    assert plane.shape == (3, 3)
    assert plane.points.tolist()[1] == [-1.0, 1.0]
    found = plane.weights(torch.tensor([[0.0, 0.0], [0.5, -1.0]]))
    assert torch.equal(found["w"][0], WEIGHTS["w"])
    assert torch.equal(found["w"][1], WEIGHTS["w"] + 0.5)
    assert torch.equal(found["b"][1], torch.tensor([0.0, -1.0]))


def test_between_plane_ends_at_the_other_checkpoint() -> None:
    other = {k: v + 1 for k, v in WEIGHTS.items()}
    plane = planes.between_plane(WEIGHTS, other, 2, 5, None, torch.Generator())
    assert plane.axes[0].values == (-0.5, 0.0, 0.5, 1.0, 1.5)
    end = plane.weights(torch.tensor([[1.0, 0.0]]))
    assert all(torch.equal(end[k][0], v) for k, v in other.items())
    with pytest.raises(UserError, match="same weights"):
        planes.between_plane(WEIGHTS, WEIGHTS, 1, 5, None, torch.Generator())


def test_path_plane_contains_the_path() -> None:
    path = [Stop(k, {"w": WEIGHTS["w"] + k, "b": WEIGHTS["b"] * k**2}) for k in range(6)]
    plane = planes.path_plane(path, 2, 11, None)
    assert plane.centre is path[-1].weights
    assert "principal component 1" in plane.axes[0].label
    from gdlightning.landscape.path import project

    directions = [axis.direction for axis in plane.axes]
    for stop in path:
        point = project(stop.weights, plane.centre, directions)
        for value, axis in zip(point, plane.axes, strict=True):
            assert axis.values[0] < value < axis.values[-1]
        back = plane.weights(torch.tensor([point]))  # a path in a plane is reproduced
        assert torch.allclose(back["w"][0], stop.weights["w"], atol=1e-4)
        assert torch.allclose(back["b"][0], stop.weights["b"], atol=1e-4)
