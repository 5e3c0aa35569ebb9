"""The way that an optimizer took, from a run's checkpoints, in the plane that holds it best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gdlightning.errors import UserError
from gdlightning.landscape.plane import Weights
from gdlightning.storage.checkpoint import read

FEWEST = 3
"""Checkpoints that make a plane."""


@dataclass(frozen=True)
class Stop:
    """Weights that a training passed through.

    Args:
        step: optimizer steps until then.
        weights: name → parameter.
    """

    step: int
    weights: dict[str, Tensor]


@dataclass(frozen=True)
class Principal:
    """The plane that best holds a path.

    Args:
        directions: of unit length, the first with the largest variance.
        explained: share of the path's variance along each, at most 1 together.
        points: coordinates of each stop, float64, shape [stops, directions], the last at 0.
    """

    directions: tuple[dict[str, Tensor], ...]
    explained: tuple[float, ...]
    points: Tensor


def stops(folder: Path, names: Sequence[str], until: int) -> list[Stop]:
    """The weights in a run's checkpoints, in the order of their steps.

    Args:
        folder: that the checkpoints are in.
        names: of the parameters.
        until: the last step that counts.

    Raises:
        UserError: there are too few, or a damaged one.
    """
    found: dict[int, Stop] = {}
    for path in sorted(folder.glob("*.ckpt")):
        content = read(path)
        kept = content["state_dict"]
        step = int(content["global_step"])
        if step <= until and set(names) <= set(kept):
            found[step] = Stop(step, {name: kept[name] for name in names})
    if len(found) < FEWEST:
        raise UserError(
            f"{folder} holds checkpoints of {len(found)} steps; a path needs {FEWEST}, better 50.\n"
            "Train again with --checkpoint.every_n_steps 5 --checkpoint.keep 1000, which keeps one "
            "every five steps."
        )
    return [found[step] for step in sorted(found)]


def principal(path: Sequence[Stop], count: int) -> Principal:
    """The principal directions of a path, and the path seen along them.

    Those of the checkpoints' weights around their mean; the plane goes through the last one. With n
    checkpoints of many weights it takes the n × n matrix of inner products, in float64.

    Source: Lorch, Visualizing Deep Network Training Trajectories with PCA, 2016; Li et al. 2018,
    section 7 (https://arxiv.org/abs/1712.09913).

    Args:
        path: two stops more than ``count``, or more.
        count: of directions.

    Raises:
        UserError: the weights do not move in so many directions.
    """
    names = list(path[-1].weights)
    rows = torch.stack([_flat(stop.weights, names) for stop in path])
    rows -= rows[-1].clone()
    centred = rows - rows.mean(dim=0)
    values, vectors = torch.linalg.eigh(centred @ centred.T)
    total = float(values.clamp(min=0).sum())
    if not float(values[-count]) > 1e-12 * total:
        raise UserError(f"The weights of this run do not move in {count} directions.")
    axes = []
    for k in range(1, count + 1):
        axis = centred.T @ vectors[:, -k]
        axis /= torch.linalg.vector_norm(axis)
        sign = 1.0 if float(rows[0] @ axis) <= 0 else -1.0  # the path goes to the right, and up
        axes.append(sign * axis)
    return Principal(
        tuple(_named(axis, path[-1].weights) for axis in axes),
        tuple(float(values[-k]) / total for k in range(1, count + 1)),
        torch.stack([rows @ axis for axis in axes], dim=1),
    )


def project(stop: Weights, centre: Weights, directions: Sequence[Weights]) -> tuple[float, ...]:
    """The coordinates of some weights in a plane; the axes need not be orthogonal."""
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
