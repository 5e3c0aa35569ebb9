"""Test functions of two variables with known minima."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gdlightning.errors import UserError, did_you_mean, fold

Point = tuple[float, float]


@dataclass(frozen=True)
class Function:
    """Test function of two variables with known minima.

    Args:
        name: name in lower case with hyphens.
        title: title of figures.
        summary: description in one line.
        formula: formula in symbols.
        value: function from x and y of any shape to the values.
        minima: all global minima.
        least: value at the minima.
        start: start of a race.
        domain: smallest and largest x, smallest and largest y, for figures.
        near: distance from a minimum that counts as converged.
        noise: standard deviation of the gradient noise along each variable.
        source: origin of the function.
    """

    name: str
    title: str
    summary: str
    formula: str
    value: Callable[[Tensor, Tensor], Tensor]
    minima: tuple[Point, ...]
    least: float
    start: Point
    domain: tuple[float, float, float, float]
    near: float = 0.05
    noise: float = 0.0
    source: str = ""

    def distance(self, points: Tensor) -> Tensor:
        """Return the distance of points [..., 2] to the nearest minimum, [...]."""
        gaps = points[..., None, :] - torch.tensor(self.minima, dtype=points.dtype)
        found: Tensor = torch.linalg.vector_norm(gaps, dim=-1).amin(dim=-1)
        return found

    def holds(self, points: Tensor) -> Tensor:
        """Return whether points [..., 2] are in the domain, [...]."""
        left, right, low, high = self.domain
        x, y = points[..., 0], points[..., 1]
        return (x >= left) & (x <= right) & (y >= low) & (y <= high)


def _rosenbrock(x: Tensor, y: Tensor) -> Tensor:
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def _beale(x: Tensor, y: Tensor) -> Tensor:
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2


def _himmelblau(x: Tensor, y: Tensor) -> Tensor:
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


def _rastrigin(x: Tensor, y: Tensor) -> Tensor:
    waves = torch.cos(2 * math.pi * x) + torch.cos(2 * math.pi * y)
    return 20 + x**2 + y**2 - 10 * waves


def _ackley(x: Tensor, y: Tensor) -> Tensor:
    length = torch.sqrt((x**2 + y**2) / 2 + 1e-20)  # keeps the gradient at 0 finite
    waves = (torch.cos(2 * math.pi * x) + torch.cos(2 * math.pi * y)) / 2
    return 20 - 20 * torch.exp(-0.2 * length) + math.e - torch.exp(waves)


def _monkey_saddle(x: Tensor, y: Tensor) -> Tensor:
    return x**3 - 3 * x * y**2 + 0.75 * (x**2 + y**2) ** 2


def _saddle(x: Tensor, y: Tensor) -> Tensor:
    return x**2 / 2 - y**2 / 2 + y**4 / 4


def _plateau(x: Tensor, y: Tensor) -> Tensor:
    return 1 - torch.exp(-(x**2 + y**2) / 2)


def _ill_conditioned(x: Tensor, y: Tensor) -> Tensor:
    return (x**2 + 100 * y**2) / 2


def _noisy(x: Tensor, y: Tensor) -> Tensor:
    return (x**2 + 10 * y**2) / 2


FUNCTIONS = (
    Function(
        "rosenbrock",
        "Rosenbrock's valley",
        "a curved valley with a flat floor",
        "(1 − x)² + 100 (y − x²)²",
        _rosenbrock,
        minima=((1.0, 1.0),),
        least=0.0,
        start=(-1.5, 2.0),
        domain=(-2.0, 2.0, -1.0, 3.0),
        source="Rosenbrock 1960",
    ),
    Function(
        "beale",
        "Beale's function",
        "flat around a minimum, with steep ridges at the corners",
        "(1.5 − x + xy)² + (2.25 − x + xy²)² + (2.625 − x + xy³)²",
        _beale,
        minima=((3.0, 0.5),),
        least=0.0,
        start=(-1.0, 1.5),
        domain=(-2.0, 4.0, -1.5, 2.0),
        source="Beale 1958",
    ),
    Function(
        "himmelblau",
        "Himmelblau's function",
        "four equal minima",
        "(x² + y − 11)² + (x + y² − 7)²",
        _himmelblau,
        minima=(
            (3.0, 2.0),
            (-2.805118086952745, 3.131312518250573),
            (-3.779310253377747, -3.283185991286170),
            (3.584428340330492, -1.848126526964404),
        ),
        least=0.0,
        start=(-0.5, -0.9),
        domain=(-5.0, 5.0, -5.0, 5.0),
        source="Himmelblau 1972",
    ),
    Function(
        "rastrigin",
        "Rastrigin's function",
        "a bowl full of local minima",
        "20 + x² + y² − 10 (cos 2πx + cos 2πy)",
        _rastrigin,
        minima=((0.0, 0.0),),
        least=0.0,
        start=(-1.7, 2.3),
        domain=(-3.0, 3.0, -3.0, 3.0),
        source="Rastrigin 1974",
    ),
    Function(
        "ackley",
        "Ackley's function",
        "a nearly flat, wavy plain around a funnel",
        "20 − 20 exp(−0.2 √((x² + y²) / 2)) + e − exp((cos 2πx + cos 2πy) / 2)",
        _ackley,
        minima=((0.0, 0.0),),
        least=0.0,
        start=(-2.6, 1.7),
        domain=(-4.0, 4.0, -4.0, 4.0),
        source="Ackley 1987",
    ),
    Function(
        "monkey-saddle",
        "Monkey saddle",
        "three valleys with a minimum each meet at a flat saddle",
        "x³ − 3xy² + ¾ (x² + y²)²",
        _monkey_saddle,
        minima=((-1.0, 0.0), (0.5, math.sqrt(0.75)), (0.5, -math.sqrt(0.75))),
        least=-0.25,
        start=(0.7, 0.02),
        domain=(-1.5, 1.5, -1.5, 1.5),
        source="Re (x + iy)³ plus a quartic that adds minima",
    ),
    Function(
        "saddle",
        "Saddle",
        "a ridge leads down to a saddle between two minima",
        "x²/2 − y²/2 + y⁴/4",
        _saddle,
        minima=((0.0, 1.0), (0.0, -1.0)),
        least=-0.25,
        start=(-1.5, 0.001),
        domain=(-2.0, 2.0, -1.6, 1.6),
        source="Nesterov, Introductory Lectures, 1.2.3",
    ),
    Function(
        "plateau",
        "Plateau",
        "an almost flat plain around a well",
        "1 − exp(−(x² + y²) / 2)",
        _plateau,
        minima=((0.0, 0.0),),
        least=0.0,
        start=(-2.6, 2.2),
        domain=(-4.0, 4.0, -4.0, 4.0),
        source="an inverted Gaussian",
    ),
    Function(
        "ill-conditioned",
        "Ill-conditioned quadratic",
        "a straight narrow valley, condition number 100",
        "(x² + 100 y²) / 2",
        _ill_conditioned,
        minima=((0.0, 0.0),),
        least=0.0,
        start=(-9.0, 1.0),
        domain=(-10.0, 4.0, -1.6, 1.6),
        source="textbook example",
    ),
    Function(
        "noisy",
        "Noisy quadratic",
        "a bowl with condition number 10 and noisy gradients",
        "(x² + 10 y²) / 2, gradient noise N(0, 1)",
        _noisy,
        minima=((0.0, 0.0),),
        least=0.0,
        start=(-4.0, 2.0),
        domain=(-5.0, 3.0, -2.6, 2.6),
        near=0.25,
        noise=1.0,
        source="model of mini-batch noise",
    ),
)


def find(name: str) -> Function:
    """Return the function with the given name in any spelling.

    Raises:
        UserError: if there is no such function. The message suggests similar names.
    """
    for function in FUNCTIONS:
        if fold(function.name) == fold(name):
            return function
    names = [function.name for function in FUNCTIONS]
    raise UserError(
        f"There is no test function named {name}.{did_you_mean(name, names)}\n"
        f"Available functions: {', '.join(names)}."
    )
