"""Measure the loss surface that the flags of ``gdl landscape`` describe."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor

from gdlightning.errors import UserError
from gdlightning.landscape import planes
from gdlightning.landscape.eigen import sharpest
from gdlightning.landscape.mean_loss import MeanLoss
from gdlightning.landscape.path import Stop, project, stops
from gdlightning.landscape.plane import Plane
from gdlightning.landscape.surface import Mark, Surface, measure
from gdlightning.runs.find_checkpoint import find_checkpoint, read_checkpoint, record_of
from gdlightning.runs.load_run import batches, restore
from gdlightning.runs.run_folder import run_of

SPLITS = {"train": ("train",), "val": ("val",), "both": ("train", "val")}


def survey(given: argparse.Namespace) -> tuple[Surface, Path, Path]:
    """Measure a loss surface.

    Args:
        given: options of the command line.

    Returns:
        The surface, the folder of its file, and the run folder.

    Raises:
        UserError: if there is no checkpoint or no data, or the plane cannot be computed.
    """
    path = find_checkpoint(given.run)
    run = run_of(path)
    content = read_checkpoint(path)
    module, data = restore(str(path))
    module.to(_device(given.device))
    data = module if data is None else data  # the module may define loaders
    mean_loss = _mean_loss(given, module, data)
    facts = _facts(given, mean_loss, content, path)
    plane, marks, where = _plane(given, mean_loss, path, facts["step"])
    name = f"{run.parent.name}/{run.name}"
    title = where.format(name=name, **facts)
    folder = Path(given.output) if given.output else run / "landscape"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--output {folder} cannot be created: {error.strerror}.") from error
    stem = given.directions if given.dims == 2 else f"{given.directions}-1d"
    surface = measure(mean_loss, plane, folder / f"{stem}.json", title, marks=marks, facts=facts)
    return surface, folder, run


def _mean_loss(given: argparse.Namespace, module: L.LightningModule, data: Any) -> MeanLoss:
    found = {s: _batches(given, module, data, s) for s in SPLITS[given.split]}
    norms = given.batch_norm or ("recompute" if given.directions in ("between", "path") else "keep")
    statistics = None
    if norms == "recompute":
        statistics = found.get("train") or _batches(given, module, data, "train")
    return MeanLoss(module, found, statistics, given.seed)


def _batches(given: argparse.Namespace, module: L.LightningModule, data: Any, split: str) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(given.seed)  # for loaders that shuffle or augment with torch's generator
        try:
            return batches(module, data, split, given.batches)
        except UserError as error:
            other = {"val": "\nUse the training loss only: --split train"}.get(split, "")
            raise UserError(f"{error}{other}") from error


def _plane(
    given: argparse.Namespace, mean_loss: MeanLoss, path: Path, step: int
) -> tuple[Plane, list[Mark], str]:
    """Return the plane, the checkpoints marked in it, and the title.

    Raises:
        UserError: if the checkpoint's loss is not finite, or the plane cannot be computed.
    """
    centre, size, dims = mean_loss.weights, given.size, given.dims
    own = mean_loss.at(centre)
    if not all(map(math.isfinite, own.values())):
        raise UserError(f"The loss of {path} is not finite, so there is no surface to show.")
    generator = torch.Generator().manual_seed(given.seed)
    if given.directions == "path":
        passed = [_moved(stop, centre) for stop in stops(path.parent, list(centre), step)]
        plane = planes.path_plane(passed, dims, size, given.extent)
        marks = _passed(mean_loss, passed, plane)
        return plane, marks, "Loss of {name} in the plane of {optimizer}'s path to step {step:,}"
    if given.directions == "between":
        other = _other(given, centre)
        plane = planes.between_plane(centre, other.weights, dims, size, given.extent, generator)
        ends = ((0.0,) * dims, (1.0,) + (0.0,) * (dims - 1))
        marks = [
            Mark(step, ends[0], own, str(given.run)),
            Mark(other.step, ends[1], mean_loss.at(other.weights), str(given.to)),
        ]
        return plane, marks, "Loss of {name} on the way to another checkpoint"
    if given.directions == "eigen":
        curves = sharpest(mean_loss.module, _curved(mean_loss), dims, given.seed)
        plane = planes.eigen_plane(centre, curves, size, given.extent)
        return plane, [], "Loss of {name} around step {step:,}, where it curves most"
    plane = planes.random_plane(centre, dims, size, given.extent, generator)
    return plane, [], "Loss of {name} around step {step:,}, along random directions"


def _curved(mean_loss: MeanLoss) -> Sequence[Any]:
    """Return the batches for the eigenvectors: those of the training split if it is shown."""
    return next(iter(mean_loss.splits.values()))


def _moved(stop: Stop, like: dict[str, Tensor]) -> Stop:
    return Stop(stop.step, {name: w.to(like[name]) for name, w in stop.weights.items()})


def _passed(mean_loss: MeanLoss, path: Sequence[Stop], plane: Plane) -> list[Mark]:
    """Return the stops of a path, with their losses unless these need recomputed statistics."""
    directions = [axis.direction for axis in plane.axes]
    measured = mean_loss.statistics is not None or not mean_loss.norms
    return [
        Mark(
            stop.step,
            project(stop.weights, plane.centre, directions),
            mean_loss.at(stop.weights) if measured else {},
        )
        for stop in path
    ]


def _other(given: argparse.Namespace, like: dict[str, Tensor]) -> Stop:
    path = find_checkpoint(given.to)
    content = read_checkpoint(path)
    kept = content["state_dict"]
    for name, weight in like.items():
        shape = tuple(kept[name].shape) if name in kept else "none"
        if shape != tuple(weight.shape):
            raise UserError(
                f"--to {path} has a different model: {name} has shape {shape} instead of "
                f"{tuple(weight.shape)}."
            )
    weights = {name: kept[name].to(weight) for name, weight in like.items()}
    return Stop(int(content.get("global_step", 0)), weights)


def _facts(
    given: argparse.Namespace, mean_loss: MeanLoss, content: dict[str, Any], path: Path
) -> dict[str, Any]:
    norms = "none"
    if mean_loss.norms:
        norms = "kept" if mean_loss.statistics is None else "recomputed at every point"
    return {
        "checkpoint": str(path),
        "step": int(content["global_step"]),
        "optimizer": record_of(content, path)["config"]["optimizer"]["name"],
        "parameters": sum(w.numel() for w in mean_loss.weights.values()),
        "batches": {split: len(found) for split, found in mean_loss.splits.items()},
        "batch_norm": norms,
        "seed": given.seed,
    }


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"--device {name} is not available: {str(error).splitlines()[0]}"
        ) from error
    return device
