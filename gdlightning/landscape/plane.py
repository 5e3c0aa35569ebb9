"""A line or plane through the weights of a checkpoint, and its grid points."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Weights = Mapping[str, Tensor]
"""Parameters by name."""


@dataclass(frozen=True)
class Axis:
    """Direction in weight space, and the coordinates at which the loss is measured.

    Args:
        direction: change of the weights per unit of the axis; missing parameters do not change.
        label: description of the direction.
        unit: unit of the coordinates, in words.
        values: coordinates in ascending order, including 0.
    """

    direction: Weights
    label: str
    unit: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Plane:
    """Weights ``centre + sum of coordinate × direction`` over one or two axes."""

    centre: Weights
    axes: tuple[Axis, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of grid points along each axis."""
        return tuple(len(axis.values) for axis in self.axes)

    @property
    def points(self) -> Tensor:
        """All grid points with the last axis varying fastest, float64 [points, axes]."""
        values = [torch.tensor(axis.values, dtype=torch.float64) for axis in self.axes]
        return torch.cartesian_prod(*values).view(-1, len(values))

    def weights(self, points: Tensor) -> dict[str, Tensor]:
        """Return the stacked weights at some points.

        Args:
            points: coordinates, [R, axes].

        Returns:
            Tensors of shape [R, ...] by parameter name.
        """
        found = {}
        for name, centre in self.centre.items():
            where = points.to(centre)  # dtype and device of the parameter
            stacked = centre.expand(len(points), *centre.shape)
            for k, axis in enumerate(self.axes):
                if name in axis.direction:
                    steps = where[:, k].view(-1, *[1] * centre.ndim)
                    stacked = stacked + steps * axis.direction[name]
            found[name] = stacked
        return found


def coordinates(low: float, high: float, count: int) -> tuple[float, ...]:
    """Return evenly spaced coordinates from about ``low`` to about ``high``, including exactly 0.

    Args:
        low: lower end; at most 0.
        high: upper end; at least 0 and above ``low``.
        count: number of coordinates; at least 2.
    """
    spacing = (high - low) / (count - 1)
    before = min(count - 1, max(0, math.floor(-low / spacing + 0.5)))
    return tuple((k - before) * spacing for k in range(count))
