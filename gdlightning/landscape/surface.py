"""Losses over a plane: measured once, stored in a file, resumed after an interruption."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves
from tqdm.auto import tqdm

from gdlightning.errors import UserError
from gdlightning.landscape.mean_loss import MeanLoss
from gdlightning.landscape.plane import Plane
from gdlightning.storage.atomic_write import write_json
from gdlightning.storage.typed_rows import mismatch

FORMAT = 1
SAVE_SECONDS = 2.0
"""Time between saves of partial measurements, in seconds."""


@dataclass(frozen=True)
class Scale:
    """Axis of a plane without its direction."""

    label: str
    unit: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Mark:
    """Checkpoint in the plane.

    Args:
        step: optimizer steps of the checkpoint.
        point: coordinates, or those of its projection if it is not in the plane.
        losses: mean losses by split, measured at the checkpoint's weights.
        name: label in figures; empty for intermediate checkpoints.
    """

    step: int
    point: tuple[float, ...]
    losses: Mapping[str, float] = field(default_factory=dict)
    name: str = ""


@dataclass(frozen=True)
class Surface:
    """Losses over a line or plane.

    Args:
        title: title of figures.
        axes: one or two axes.
        losses: losses at the grid points by split, with the last axis varying fastest; NaN if not
            finite.
        centre: mean losses of the checkpoint by split.
        marks: checkpoints in the plane, in order of steps.
        facts: settings of the measurement.
        digest: digest of everything that the losses depend on.
    """

    title: str
    axes: tuple[Scale, ...]
    losses: Mapping[str, Sequence[float]]
    centre: Mapping[str, float]
    marks: tuple[Mark, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of grid points along each axis."""
        return tuple(len(axis.values) for axis in self.axes)

    def layers(self) -> dict[str, Tensor]:
        """Return the losses on the grid by split, and their ``difference`` (val − train)."""
        found = {
            split: torch.tensor(losses, dtype=torch.float64).view(self.shape)
            for split, losses in self.losses.items()
        }
        if {"train", "val"} <= set(found):
            found["difference"] = found["val"] - found["train"]
        return found

    def record(self) -> dict[str, Any]:
        """Return the surface as plain values, for JSON."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def read(cls, file: Path) -> Surface:
        """Read a complete file written by ``measure``.

        Raises:
            UserError: if the file is missing, invalid or incomplete.
        """
        try:
            kept = json.loads(file.read_text(encoding="utf-8"))
            axes = tuple(Scale(a["label"], a["unit"], tuple(a["values"])) for a in kept["axes"])
            marks = tuple(
                Mark(m["step"], tuple(m["point"]), m["losses"], m["name"]) for m in kept["marks"]
            )
            losses = {split: _numbers(values) for split, values in kept["losses"].items()}
            return cls(
                kept["title"], axes, losses, kept["centre"], marks, kept["facts"], kept["digest"]
            )
        except (
            OSError,
            ArithmeticError,
            AttributeError,
            LookupError,
            RecursionError,
            TypeError,
            ValueError,
        ) as error:
            raise UserError(
                f"{file} is not a complete landscape. Write it with: gdl landscape RUN"
            ) from error


def measure(
    mean_loss: MeanLoss,
    plane: Plane,
    file: Path,
    title: str,
    *,
    marks: Sequence[Mark] = (),
    facts: Mapping[str, Any] | None = None,
    bar: bool = True,
) -> Surface:
    """Measure the mean losses at all grid points, and store them in a file.

    Partial measurements are saved every two seconds and after an interruption; another call with
    the same inputs resumes from there. The centre is evaluated with the module itself, so its loss
    is bitwise that of the checkpoint.

    Args:
        mean_loss: loss to measure.
        plane: grid points.
        file: JSON file; overwritten if its inputs differ.
        title: title of figures.
        marks: checkpoints in the plane.
        facts: settings of the measurement.
        bar: whether to show a progress bar on stderr.

    Returns:
        The measured surface.

    Raises:
        StorageError: if the file cannot be written.
    """
    digest = digest_of(mean_loss, plane)
    points = plane.points
    losses = _former(file, digest, list(mean_loss.splits), len(points))
    done, saved = len(next(iter(losses.values()))), time.monotonic()
    shown = tqdm(
        total=len(points),
        initial=done,
        desc="landscape",
        unit="point",
        disable=None if bar else True,
        leave=False,
    )
    try:
        with shown:
            while done < len(points):
                part = points[done : done + mean_loss.chunk]
                for split, found in mean_loss.stacked(plane.weights(part)).items():
                    losses[split] += found.tolist()
                done += len(part)
                shown.update(len(part))
                if time.monotonic() - saved > SAVE_SECONDS:
                    write_json(file, {"digest": digest, "losses": losses})
                    saved = time.monotonic()
    finally:
        write_json(file, {"digest": digest, "losses": losses})
    centre = mean_loss.at(plane.centre)
    origin = int(points.abs().sum(dim=1).argmin())
    for split, loss in centre.items():
        losses[split][origin] = loss
    finite = {s: [x if math.isfinite(x) else math.nan for x in v] for s, v in losses.items()}
    scales = tuple(Scale(axis.label, axis.unit, axis.values) for axis in plane.axes)
    surface = Surface(title, scales, finite, centre, tuple(marks), facts or {}, digest)
    write_json(file, surface.record())
    return surface


def digest_of(mean_loss: MeanLoss, plane: Plane) -> str:
    """Return the SHA-256 of everything that the losses depend on, except the code of the module."""
    sha = hashlib.sha256(f"{FORMAT} {type(mean_loss.module)} {mean_loss.seed}".encode())
    for axis in plane.axes:
        _add(sha, [axis.values, dict(axis.direction)])
    _add(sha, [dict(plane.centre), dict(mean_loss.module.named_buffers())])
    _add(sha, [dict(mean_loss.splits), mean_loss.statistics])
    return sha.hexdigest()


def _add(sha: Any, values: Any) -> None:
    for leaf in tree_leaves(values):
        if isinstance(leaf, Tensor):
            data = leaf.detach().cpu().contiguous()
            sha.update(f"{data.dtype} {tuple(data.shape)}".encode())
            sha.update(data.view(-1).view(torch.uint8).numpy().tobytes())
        else:
            sha.update(repr(leaf).encode())


class _Kept(TypedDict):
    digest: str
    losses: dict[str, list[float | None]]


def _former(file: Path, digest: str, splits: list[str], count: int) -> dict[str, list[float]]:
    """Return what a former call measured; empty lists if nothing, or for other inputs."""
    fresh: dict[str, list[float]] = {split: [] for split in splits}
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return fresh
    if mismatch(kept, _Kept) or kept["digest"] != digest or not set(splits) <= set(kept["losses"]):
        return fresh
    found = {split: _numbers(kept["losses"][split]) for split in splits}
    least = min(count, *map(len, found.values()))
    return {split: losses[:least] for split, losses in found.items()}


def _numbers(values: Sequence[float | None]) -> list[float]:
    return [math.nan if value is None else float(value) for value in values]
