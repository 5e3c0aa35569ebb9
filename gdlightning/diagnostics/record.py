"""What the instruments of a run measured, as series over optimizer steps."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from gdlightning.storage.journal import JOURNAL, rows

CURVATURE = "curvature.json"
"""What ``gdl diagnose --curvature`` keeps in a run's folder."""
ROUNDING = 3e-6
"""A promised change of the loss below this share of it drowns in single precision."""


@dataclass(frozen=True)
class Step:
    """One measured step.

    Attributes:
        step: optimizer steps before it.
        loss: of its batch before the step.
        gain: change of the loss over what the gradient promised; None where rounding hides it.
        promised: gradient times step.
        examples: in its batch, over all devices.
        grad_norm: before clipping.
        update_ratio: norm of the step over that of the weights.
        lr: largest of the groups.
        grads: norms of the matrices' gradients, in the order of ``Record.layers``.
        weights: of the matrices.
        updates: of the matrices' steps.
        dead: part of the net → share of its rectified units that are 0 for all of the batch.
        scale: part of the net → root mean square of its output.
    """

    step: int
    loss: float
    gain: float | None
    promised: float
    examples: int
    grad_norm: float
    update_ratio: float
    lr: float | None
    grads: Sequence[float]
    weights: Sequence[float]
    updates: Sequence[float]
    dead: Mapping[str, float]
    scale: Mapping[str, float]


@dataclass
class Record:
    """A run, or the first part of one.

    Attributes:
        start: what the file's head tells: ``layers``, ``steps``, ``optimizer``, ``data``, ….
        losses: of every step, NaN where it was not finite.
        steps: that were measured.
        alike: step → scalar product of its gradient and the next, and their squared norms.
        clipped: last step of an interval → share of its steps on which clipping bit.
        spikes: steps whose loss stood far out, with their examples.
        validations: step → metrics.
        sharpness: step → ends of the Hessian of its batch, λ·lr and its limit, where asked for.
        curvature: what ``gdl curvature`` measured of the last checkpoint; empty if it did not.
    """

    start: dict[str, Any] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    alike: dict[int, tuple[float, float, float]] = field(default_factory=dict)
    clipped: dict[int, float] = field(default_factory=dict)
    spikes: list[dict[str, Any]] = field(default_factory=list)
    validations: dict[int, dict[str, float]] = field(default_factory=dict)
    sharpness: dict[int, dict[str, float | None]] = field(default_factory=dict)
    curvature: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Record:
        """Of a run's folder; empty where nothing was measured."""
        record = cls.of(rows(folder / JOURNAL))
        if (folder / CURVATURE).is_file():
            record.curvature = json.loads((folder / CURVATURE).read_text())
        return record

    @classmethod
    def of(cls, lines: Iterable[Mapping[str, Any]], until: int | None = None) -> Record:
        """From the lines of a journal, if asked for only those of the first steps."""
        record = cls()
        for line in lines:
            step = int(line.get("step", 0))
            if until is not None and step >= until:
                continue
            record.take(line)
        return record

    def take(self, line: Mapping[str, Any]) -> None:
        """Add a line of a journal."""
        step = int(line.get("step", 0))
        if "start" in line:
            self.start = dict(line["start"])
        self.losses += [_number(v) for v in line.get("losses", ())]
        self.spikes += [s | {"loss": _high(s["loss"])} for s in line.get("spikes", ())]
        if line.get("clipped") is not None:
            self.clipped[step] = float(line["clipped"])
        if "val" in line:
            self.validations[step] = {k: _number(v) for k, v in line["val"].items()}
        if "curvature" in line:
            self.sharpness[step] = dict(line["curvature"])
        if "alike" in line:
            dot, first, second = (_number(v) for v in line["alike"])
            self.alike[step] = (dot, first, second)
        if "promised" in line:
            self.steps.append(_step(step, line))

    @property
    def layers(self) -> list[str]:
        """Names of the matrices, from the input on."""
        return list(self.start.get("layers", ()))

    @property
    def planned(self) -> int:
        """Steps of the whole training, or of what there is of it."""
        return int(self.start.get("steps") or len(self.losses))

    @property
    def gains(self) -> list[tuple[int, float]]:
        """Gain ratios by step, where rounding does not hide them."""
        return [(s.step, s.gain) for s in self.steps if s.gain is not None]

    @property
    def finite(self) -> list[float]:
        """Losses that are finite."""
        return [v for v in self.losses if math.isfinite(v)]

    @property
    def diverged(self) -> int | None:
        """The first step whose loss was not finite."""
        return next((k for k, v in enumerate(self.losses) if not math.isfinite(v)), None)

    def smooth(self, begin: float, end: float) -> float:
        """The median loss between two shares of the steps so far; NaN where there is none."""
        count = len(self.losses)
        low = min(int(begin * count), max(0, count - 1))
        part = [v for v in self.losses[low : max(low + 1, int(end * count))] if math.isfinite(v)]
        return median(part) if part else math.nan

    @property
    def first_loss(self) -> float:
        """The median of the first few losses."""
        return median(self.finite[:3]) if self.finite else math.nan


def _step(step: int, line: Mapping[str, Any]) -> Step:
    loss, promised = _number(line["loss"]), _number(line["promised"])
    gain = _number(line.get("gain"))
    hidden = not abs(promised) > ROUNDING * abs(loss)
    return Step(
        step=step,
        loss=loss,
        gain=None if hidden or not math.isfinite(gain) else gain,
        promised=promised,
        examples=int(line.get("examples", 1)),
        grad_norm=_number(line.get("grad_norm")),
        update_ratio=_number(line.get("update_ratio")),
        lr=line.get("lr"),
        grads=[_number(v) for v in line.get("grads", ())],
        weights=[_number(v) for v in line.get("weights", ())],
        updates=[_number(v) for v in line.get("updates", ())],
        dead={k: _number(v) for k, v in line.get("dead", {}).items()},
        scale={k: _number(v) for k, v in line.get("scale", {}).items()},
    )


def _high(value: float | None) -> float:
    """The loss of a spike; JSON has no word for infinity."""
    return math.inf if value is None else float(value)


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
