"""The planes that can be asked for: random, between two checkpoints, of a path, of eigenvectors."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gdlightning.errors import UserError
from gdlightning.landscape.directions import across, difference, dot, random_direction
from gdlightning.landscape.eigen import Curve
from gdlightning.landscape.path import Stop, principal
from gdlightning.landscape.plane import Axis, Plane, Weights, coordinates

KINDS = ("random", "eigen", "path", "between")
FILTERS = "norms of each filter"
DISTANCE = "Euclidean distance"


def random_plane(
    centre: Weights, dims: int, size: int, extent: float | None, generator: torch.Generator
) -> Plane:
    """Around a checkpoint, along random directions that are normalised filter by filter.

    Args:
        centre: the checkpoint's weights.
        dims: axes, 1 or 2.
        size: grid points along each.
        extent: from the centre to each side, in norms of each filter; 1 if not given.
        generator: on the CPU.
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
    """The straight line from one checkpoint (0) to another (1), and at a right angle to it.

    The second axis is a random direction, normalised filter by filter, made orthogonal to the line
    and as long as it.

    Args:
        centre: the weights at 0.
        other: the weights at 1.
        dims: axes, 1 or 2.
        size: grid points along each.
        extent: how far it goes beyond both, in their distance; 0.5 if not given.
        generator: on the CPU.

    Raises:
        UserError: both are the same.
    """
    line = difference(centre, other)
    length = dot(line, line) ** 0.5
    if not length > 0:
        raise UserError("Both checkpoints have the same weights: there is nothing between them.")
    beyond = 0.5 if extent is None else extent
    unit = f"their distance, {length:.3g}"
    axes = [
        Axis(line, "from one checkpoint to the other", unit, coordinates(-beyond, 1 + beyond, size))
    ]
    if dims == 2:
        side = across(random_direction(centre, generator), line)
        half = 0.5 + beyond
        axes.append(Axis(side, "random direction across", unit, coordinates(-half, half, size)))
    return Plane(centre, tuple(axes))


def path_plane(path: Sequence[Stop], dims: int, size: int, extent: float | None) -> Plane:
    """The plane that best holds an optimizer's path, through the last of its stops.

    Args:
        path: stops in their order.
        dims: axes, 1 or 2.
        size: grid points along each.
        extent: margin on each side of the path, in its own width there; 0.25 if not given.

    Raises:
        UserError: the path has not so many dimensions.
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


def eigen_plane(centre: Weights, curves: Sequence[Curve], size: int, extent: float | None) -> Plane:
    """Along the eigenvectors of the Hessian with the largest eigenvalues.

    Args:
        centre: the checkpoint's weights.
        curves: the eigenvectors, one or two.
        size: grid points along each.
        extent: from the centre to each side, as a Euclidean distance; to where the parabola of
            the first eigenvalue has risen by 1, if not given.
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
