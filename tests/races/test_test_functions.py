"""Test functions: their minima, starts and domains."""

from __future__ import annotations

import pytest
import torch

from gdlightning.errors import UserError
from gdlightning.races.test_functions import FUNCTIONS, Function, find

every = pytest.mark.parametrize("function", FUNCTIONS, ids=[f.name for f in FUNCTIONS])


@every
def test_minima_are_minima(function: Function) -> None:
    for minimum in function.minima:
        point = torch.tensor(minimum, dtype=torch.float64, requires_grad=True)
        value = function.value(*point)
        assert float(value.detach()) == pytest.approx(function.least, abs=1e-9)
        (gradient,) = torch.autograd.grad(value, point)
        assert float(gradient.norm()) < 1e-6
        near = point.detach() + 1e-3 * torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1], [1, 1]])
        assert bool((function.value(*near.T) > function.least).all())


@every
def test_minima_are_global_in_the_domain(function: Function) -> None:
    left, right, low, high = function.domain
    x, y = (torch.linspace(a, b, 801, dtype=torch.float64) for a, b in ((left, right), (low, high)))
    grid = torch.cartesian_prod(x, y)
    values = function.value(*grid.T)
    assert float(values.min()) > function.least - 1e-9
    lowest = grid[values < values.min() + 1e-5 * (values.median() - values.min())]
    assert float(function.distance(lowest).max()) < 0.15  # there are no other minima


@every
def test_start_is_in_the_domain_and_away_from_the_minima(function: Function) -> None:
    start = torch.tensor(function.start)
    assert bool(function.holds(start))
    assert float(function.distance(start)) > 10 * function.near or function.noise
    assert bool(function.holds(torch.tensor(function.minima)).all())


def test_distance_is_to_the_nearest_minimum() -> None:
    saddle = find("Saddle")
    points = torch.tensor([[0.0, 0.9], [0.0, -2.0], [3.0, 1.0]])
    assert saddle.distance(points).tolist() == pytest.approx([0.1, 1.0, 3.0])


def test_misspelt_name_gets_a_suggestion() -> None:
    with pytest.raises(UserError, match="Did you mean himmelblau"):
        find("himelblau")
