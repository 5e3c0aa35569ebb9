"""A line or plane through the weights of a checkpoint, and the points on it that are measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Weights = Mapping[str, Tensor]
"""Name → parameter."""


@dataclass(frozen=True)
class Axis:
    """A direction in the space of weights, and where along it the loss is measured.

    Args:
        direction: what one unit of the axis adds to the weights; parameters not in it stay.
        label: what the direction is.
        unit: of a coordinate along it, in words.
        values: the coordinates, rising; 0 is among them.
    """

    direction: Weights
    label: str
    unit: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Plane:
    """The weights ``centre + sum of coordinate × direction`` over one or two axes."""

    centre: Weights
    axes: tuple[Axis, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of grid points along each axis."""
        return tuple(len(axis.values) for axis in self.axes)

    @property
    def points(self) -> Tensor:
        """All grid points, the last axis fastest: float64, shape [points, axes]."""
        values = [torch.tensor(axis.values, dtype=torch.float64) for axis in self.axes]
        return torch.cartesian_prod(*values).view(-1, len(values))

    def weights(self, points: Tensor) -> dict[str, Tensor]:
        """The stacked weights at some points.

        Args:
            points: coordinates, shape [R, axes].

        Returns:
            Name → tensor of shape [R, ...].
        """
        found = {}
        for name, centre in self.centre.items():
            where = points.to(centre)  # the parameter's own precision and device
            stacked = centre.expand(len(points), *centre.shape)
            for k, axis in enumerate(self.axes):
                if name in axis.direction:
                    steps = where[:, k].view(-1, *[1] * centre.ndim)
                    stacked = stacked + steps * axis.direction[name]
            found[name] = stacked
        return found


def coordinates(low: float, high: float, count: int) -> tuple[float, ...]:
    """Evenly spaced coordinates from about ``low`` to about ``high``, 0 exactly among them.

    Args:
        low: 0 or less.
        high: more than ``low``, 0 or more.
        count: of coordinates, 2 or more.
    """
    spacing = (high - low) / (count - 1)
    before = min(count - 1, max(0, math.floor(-low / spacing + 0.5)))
    return tuple((k - before) * spacing for k in range(count))
