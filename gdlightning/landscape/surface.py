"""The losses over a plane: measured once, kept in a file, gone on from where that was cut short."""

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
from gdlightning.storage.typed import mismatch
from gdlightning.storage.write import write_json

FORMAT = 1
WAIT = 2.0
"""Seconds between two saves of what has been measured so far."""


@dataclass(frozen=True)
class Scale:
    """What is known of an axis once its direction is no longer needed."""

    label: str
    unit: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Mark:
    """A checkpoint in the plane.

    Args:
        step: optimizer steps that it has seen.
        point: its coordinates, those of its projection where it is not in the plane.
        losses: split → its own mean loss, measured at its own weights.
        name: how it is called in a picture; empty for those that are only passed.
    """

    step: int
    point: tuple[float, ...]
    losses: Mapping[str, float] = field(default_factory=dict)
    name: str = ""


@dataclass(frozen=True)
class Surface:
    """Losses over a line or plane.

    Args:
        title: what is seen.
        axes: one or two.
        losses: split → losses at the grid points, the last axis fastest; NaN where not finite.
        centre: split → mean loss of the checkpoint.
        marks: checkpoints in the plane, in the order of their steps.
        facts: how it was measured, name → plain value.
        digest: of all that the losses depend on.
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
        """The number of grid points along each axis."""
        return tuple(len(axis.values) for axis in self.axes)

    def layers(self) -> dict[str, Tensor]:
        """Split → losses in the shape of the grid; with ``difference``, val − train, of both."""
        found = {
            split: torch.tensor(losses, dtype=torch.float64).view(self.shape)
            for split, losses in self.losses.items()
        }
        if {"train", "val"} <= set(found):
            found["difference"] = found["val"] - found["train"]
        return found

    def record(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def read(cls, file: Path) -> Surface:
        """What ``measure`` has written to a file, whole.

        Raises:
            UserError: it is no such file, or was cut short.
        """
        try:
            kept = json.loads(file.read_text(encoding="utf-8"))
            axes = tuple(Scale(a["label"], a["unit"], tuple(a["values"])) for a in kept["axes"])
            marks = tuple(
                Mark(m["step"], tuple(m["point"]), m["losses"], m["name"]) for m in kept["marks"]
            )
            losses = {split: _numbers(values) for split, values in kept["losses"].items()}
            return cls(kept["title"], axes, losses, kept["centre"], marks, kept["facts"],
                       kept["digest"])  # fmt: skip
        except (OSError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError,
                ValueError) as error:  # fmt: skip
            raise UserError(
                f"{file} holds no whole landscape; gdl landscape RUN writes it."
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
    """Measure the mean losses at all grid points, and keep them in a file.

    What is measured is saved every two seconds, and where this is cut short; another call with the
    same inputs goes on from there. The centre is evaluated as the module itself is, so that it has
    the checkpoint's loss to the last bit.

    Args:
        mean_loss: whose loss is measured.
        plane: where.
        file: JSON; one of other inputs is written anew.
        title: what is seen.
        marks: checkpoints in the plane.
        facts: how it was measured.
        bar: show the progress on stderr.

    Raises:
        StorageError: the file can't be written.
    """
    digest = digest_of(mean_loss, plane)
    points = plane.points
    losses = _former(file, digest, list(mean_loss.splits), len(points))
    done, saved = len(next(iter(losses.values()))), time.monotonic()
    shown = tqdm(total=len(points), initial=done, desc="landscape", unit="point",
                 disable=None if bar else True, leave=False)  # fmt: skip
    try:
        with shown:
            while done < len(points):
                part = points[done : done + mean_loss.chunk]
                for split, found in mean_loss.stacked(plane.weights(part)).items():
                    losses[split] += found.tolist()
                done += len(part)
                shown.update(len(part))
                if time.monotonic() - saved > WAIT:
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
    """SHA-256 of all that the losses depend on, but for the code of the module."""
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
    """What a former call has measured; empty lists if there is nothing, or of other inputs."""
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
