"""The path of an optimizer through a run's checkpoints, and its principal plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gdlightning.errors import UserError
from gdlightning.landscape.plane import Weights
from gdlightning.storage.checkpoint_file import read

MIN_CHECKPOINTS = 3
"""Minimum number of checkpoints that span a plane."""


@dataclass(frozen=True)
class Stop:
    """Weights at a step of a run.

    Args:
        step: number of optimizer steps.
        weights: parameters by name.
    """

    step: int
    weights: dict[str, Tensor]


@dataclass(frozen=True)
class Principal:
    """Principal components of a path.

    Args:
        directions: unit vectors in descending order of variance.
        explained: fraction of the path's variance along each direction.
        points: coordinates of each stop relative to the last, float64 [stops, directions].
    """

    directions: tuple[dict[str, Tensor], ...]
    explained: tuple[float, ...]
    points: Tensor


def stops(folder: Path, names: Sequence[str], until: int) -> list[Stop]:
    """Return the weights in a run's checkpoints in order of their steps.

    Args:
        folder: folder of the checkpoints.
        names: names of the parameters.
        until: last step to include.

    Raises:
        UserError: if there are too few checkpoints, or one is damaged.
    """
    found: dict[int, Stop] = {}
    for path in sorted(folder.glob("*.ckpt")):
        content = read(path)
        kept = content["state_dict"]
        step = int(content["global_step"])
        if step <= until and set(names) <= set(kept):
            found[step] = Stop(step, {name: kept[name] for name in names})
    if len(found) < MIN_CHECKPOINTS:
        raise UserError(
            f"A path needs checkpoints of at least {MIN_CHECKPOINTS} steps, better 50 "
            f"(got {len(found)} in {folder}).\n"
            "Train with --checkpoint.every_n_steps 5 --checkpoint.keep 1000 to keep one every five "
            "steps."
        )
    return [found[step] for step in sorted(found)]


def principal(path: Sequence[Stop], count: int) -> Principal:
    """Return the principal components of a path, and its coordinates.

    The components are those of the weights around their mean; the plane contains the last stop. For
    n stops, the eigenvectors of the n × n matrix of inner products are computed, in float64.

    The method is from Lorch 2016 (Visualizing Deep Network Training Trajectories with PCA) and Li
    et al. 2018, section 7 (arXiv:1712.09913).

    Args:
        path: stops; at least ``count`` + 2.
        count: number of components.

    Raises:
        UserError: if the weights move in fewer directions.
    """
    names = list(path[-1].weights)
    rows = torch.stack([_flat(stop.weights, names) for stop in path])
    rows -= rows[-1].clone()
    centred = rows - rows.mean(dim=0)
    values, vectors = torch.linalg.eigh(centred @ centred.T)
    total = float(values.clamp(min=0).sum())
    if not float(values[-count]) > 1e-12 * total:
        raise UserError(f"The weights of this run move in fewer than {count} directions.")
    axes = []
    for k in range(1, count + 1):
        axis = centred.T @ vectors[:, -k]
        axis /= torch.linalg.vector_norm(axis)
        sign = 1.0 if float(rows[0] @ axis) <= 0 else -1.0  # the path leads right and up
        axes.append(sign * axis)
    return Principal(
        tuple(_named(axis, path[-1].weights) for axis in axes),
        tuple(float(values[-k]) / total for k in range(1, count + 1)),
        torch.stack([rows @ axis for axis in axes], dim=1),
    )


def project(stop: Weights, centre: Weights, directions: Sequence[Weights]) -> tuple[float, ...]:
    """Return the coordinates of weights in a plane; the axes need not be orthogonal."""
    names = [name for name in centre if any(name in d for d in directions)]
    basis = torch.stack(
        [_flat({n: d.get(n, 0 * centre[n]) for n in names}, names) for d in directions], dim=1
    )
    gap = _flat(stop, names) - _flat(centre, names)
    gram = basis.T @ basis
    return tuple(torch.linalg.solve(gram, basis.T @ gap).tolist())


def _flat(weights: Weights, names: Sequence[str]) -> Tensor:
    return torch.cat([weights[name].detach().flatten().double().cpu() for name in names])


def _named(flat: Tensor, like: Weights) -> dict[str, Tensor]:
    parts = flat.split([weight.numel() for weight in like.values()])
    return {
        name: part.view(weight.shape).to(weight)
        for part, (name, weight) in zip(parts, like.items(), strict=True)
    }
