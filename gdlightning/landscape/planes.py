"""Planes through weight space: random, between checkpoints, of a path, of eigenvectors."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gdlightning.errors import UserError
from gdlightning.landscape.directions import across, difference, dot, random_direction
from gdlightning.landscape.eigen import EigenCurve
from gdlightning.landscape.path import Stop, principal
from gdlightning.landscape.plane import Axis, Plane, Weights, coordinates

KINDS = ("random", "eigen", "path", "between")
FILTERS = "filter norms"
DISTANCE = "Euclidean distance"


def random_plane(
    centre: Weights, dims: int, size: int, extent: float | None, generator: torch.Generator
) -> Plane:
    """Create a plane around a checkpoint along filter-normalised random directions.

    Args:
        centre: weights of the checkpoint.
        dims: number of axes, 1 or 2.
        size: number of grid points per axis.
        extent: distance from the centre to each side, in filter norms; 1 if None.
        generator: random generator on the CPU.
    """
    reach = 1.0 if extent is None else extent
    values = coordinates(-reach, reach, size)
    return Plane(
        centre,
        tuple(
            Axis(random_direction(centre, generator), f"random direction {k + 1}", FILTERS, values)
            for k in range(dims)
        ),
    )


def between_plane(
    centre: Weights,
    other: Weights,
    dims: int,
    size: int,
    extent: float | None,
    generator: torch.Generator,
) -> Plane:
    """Create a plane on the line from one checkpoint (0) to another (1).

    The second axis is a filter-normalised random direction, orthogonal to the line and of the same
    length.

    Args:
        centre: weights at 0.
        other: weights at 1.
        dims: number of axes, 1 or 2.
        size: number of grid points per axis.
        extent: distance beyond both checkpoints, relative to their distance; 0.5 if None.
        generator: random generator on the CPU.

    Raises:
        UserError: if both checkpoints have the same weights.
    """
    line = difference(centre, other)
    length = dot(line, line) ** 0.5
    if not length > 0:
        raise UserError("Both checkpoints have the same weights, so there is no line between them.")
    beyond = 0.5 if extent is None else extent
    unit = f"distance between the checkpoints, {length:.3g}"
    axes = [
        Axis(line, "from one checkpoint to the other", unit, coordinates(-beyond, 1 + beyond, size))
    ]
    if dims == 2:
        side = across(random_direction(centre, generator), line)
        half = 0.5 + beyond
        axes.append(Axis(side, "random orthogonal direction", unit, coordinates(-half, half, size)))
    return Plane(centre, tuple(axes))


def path_plane(path: Sequence[Stop], dims: int, size: int, extent: float | None) -> Plane:
    """Create the plane of an optimizer's path by principal components, through its last stop.

    Args:
        path: stops in order.
        dims: number of axes, 1 or 2.
        size: number of grid points per axis.
        extent: margin on each side of the path, relative to its width; 0.25 if None.

    Raises:
        UserError: if the path has fewer than ``dims`` dimensions.
    """
    margin = 0.25 if extent is None else extent
    found = principal(path, dims)
    axes = []
    for k, (direction, share) in enumerate(zip(found.directions, found.explained, strict=True)):
        low, high = float(found.points[:, k].min()), float(found.points[:, k].max())
        room = margin * (high - low)
        label = f"principal component {k + 1} of the path ({share:.1%} of its variance)"
        axes.append(Axis(direction, label, DISTANCE, coordinates(low - room, high + room, size)))
    return Plane(path[-1].weights, tuple(axes))


def eigen_plane(
    centre: Weights, curves: Sequence[EigenCurve], size: int, extent: float | None
) -> Plane:
    """Create a plane along the eigenvectors of the Hessian with the largest eigenvalues.

    Args:
        centre: weights of the checkpoint.
        curves: one or two eigenvectors.
        size: number of grid points per axis.
        extent: distance from the centre to each side; if None, where the parabola of the first
            eigenvalue has risen by 1.
    """
    top = max(abs(curves[0].value), 1e-12)
    reach = (2 / top) ** 0.5 if extent is None else extent
    return Plane(
        centre,
        tuple(
            Axis(
                curve.direction,
                f"eigenvector {k + 1} of the Hessian (λ = {curve.value:.3g})",
                DISTANCE,
                coordinates(-reach, reach, size),
            )
            for k, curve in enumerate(curves)
        ),
    )
