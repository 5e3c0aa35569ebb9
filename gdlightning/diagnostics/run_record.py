"""What the instruments of a run measured, as series over optimizer steps."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterable, Mapping, MutableSequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdlightning.diagnostics.instrument_rows import Curvature, Ends, Head, Spike
from gdlightning.diagnostics.step_columns import Numbers, Steps, numbers
from gdlightning.storage.journal import JOURNAL, numbered
from gdlightning.storage.typed_rows import mismatch

CURVATURE = "curvature.json"
"""What ``gdl diagnose --curvature`` keeps in a run's folder."""
RARE: dict[str, Any] = {
    "start": Head, "val": dict[str, float | None], "spikes": list[Spike], "curvature": Ends,
}  # fmt: skip
"""Parts of a row that few rows have, and their types."""
NAMED = 3
"""Damaged lines that are named in a message."""


@dataclass
class Damage:
    """What was left out of a record because it is not as the monitor writes it.

    Attributes:
        count: of what was left out.
        first: place and reason of the first few.
    """

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, where: str, why: str) -> None:
        """Count one more."""
        self.count += 1
        if self.count <= NAMED:
            self.first.append(f"{where} ({why})")

    def __str__(self) -> str:
        more = ", …" if self.count > NAMED else ""
        return f"{self.count:,} damaged part{'s' * (self.count > 1)}: {'; '.join(self.first)}{more}"


@dataclass
class RunRecord:
    """A run, or the first part of one.

    Attributes:
        start: what the file's head tells: ``layers``, ``steps``, ``optimizer``, ``data``, ….
        losses: of every step, NaN where it was not finite.
        steps: that were measured.
        pairs: measured step, product of its gradient and the next step's, their squared norms.
        clipped: of each interval, the share of its steps on which clipping bit.
        spikes: steps whose loss stood far out, with their examples.
        validations: step → metrics.
        sharpness: step → ends of the Hessian of its batch, λ·lr and its limit, where asked for.
        curvature: what ``gdl curvature`` measured of the last checkpoint; empty if it did not.
        damage: what was left out when the files were read.
    """

    start: dict[str, Any] = field(default_factory=dict)
    losses: MutableSequence[float] = field(default_factory=lambda: array("d"))
    steps: Steps = field(default_factory=Steps)
    pairs: array[float] = field(default_factory=lambda: array("d"))
    clipped: array[float] = field(default_factory=lambda: array("d"))
    spikes: list[dict[str, Any]] = field(default_factory=list)
    validations: dict[int, dict[str, float]] = field(default_factory=dict)
    sharpness: dict[int, dict[str, float | None]] = field(default_factory=dict)
    curvature: dict[str, Any] = field(default_factory=dict)
    damage: Damage = field(default_factory=Damage)

    @classmethod
    def read(cls, folder: Path) -> RunRecord:
        """Read the files of a run's folder; empty where nothing was measured."""
        record = cls()
        for number, row in numbered(folder / JOURNAL):
            if wrong := "no row of a step" if row is None else record.take(row):
                record.damage.add(f"{JOURNAL}, line {number}", wrong)
        if (folder / CURVATURE).is_file():
            try:
                found = json.loads((folder / CURVATURE).read_text(encoding="utf-8"))
                wrong = mismatch(found, Curvature)
            except (ValueError, RecursionError):
                wrong = "no JSON"
            if wrong:
                record.damage.add(CURVATURE, wrong)
            else:
                record.curvature = found
        return record

    @classmethod
    def of(cls, lines: Iterable[Mapping[str, Any]], until: int | None = None) -> RunRecord:
        """Read the rows of a journal, if asked for only those of the first steps."""
        record = cls()
        for line in lines:
            if until is None or int(line.get("step", 0)) < until:
                record.take(line)
        return record

    def take(self, row: Mapping[str, Any]) -> str:
        """Add a row of a journal.

        Returns:
            What is wrong with the row, of which nothing was taken then; empty if it is right.
        """
        step = int(row.get("step", 0))
        for key in RARE.keys() & row.keys():
            if wrong := mismatch(row[key], RARE[key], key):
                return wrong
        try:
            key = "losses"
            losses = numbers(row.get(key, ()))
            key = "clipped"
            clipped = numbers([row[key]] if row.get(key) is not None else ())
            key = "alike"
            pair = numbers((step, *row[key]) if key in row else ())
        except (TypeError, OverflowError) as error:
            return f"{key}: {error}"
        if len(pair) not in (0, 4):
            return "alike: three numbers are needed"
        if "promised" in row:
            try:
                self.steps.append(step, row)
            except ValueError as error:
                return str(error)
        self.losses += losses
        self.clipped += clipped
        self.pairs += pair
        if "start" in row:
            self.start = dict(row["start"])
        for spike in row.get("spikes", ()):
            loss = spike["loss"]
            self.spikes.append({**spike, "loss": math.inf if loss is None else float(loss)})
        if "val" in row:
            self.validations[step] = dict(
                zip(row["val"], numbers(row["val"].values()), strict=True)
            )
        if "curvature" in row:
            self.sharpness[step] = dict(row["curvature"])
        return ""

    @property
    def empty(self) -> bool:
        """Whether no step is in it."""
        return not len(self.losses) and not len(self.steps)

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
        gain = self.steps.gain
        seen = ~np.isnan(gain)
        return list(zip(self.steps.step[seen].tolist(), gain[seen].tolist(), strict=True))

    @property
    def cosines(self) -> tuple[NDArray[np.int64], Numbers]:
        """Places of the measured steps that have a pair, and cosines; NaN where there is none."""
        pairs, step = np.array(self.pairs).reshape(-1, 4), self.steps.step
        if not len(pairs):
            return np.empty(0, np.int64), np.empty(0)
        pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
        place = np.searchsorted(pairs[:, 0], step, side="right") - 1
        known = (place >= 0) & (pairs[place, 0] == step)
        _, dot, first, second = pairs[place[known]].T
        whole = (first > 0) & (second > 0) & np.isfinite(dot)
        with np.errstate(all="ignore"):
            cosine = np.where(whole, dot / np.sqrt(first * second), math.nan)
        return np.flatnonzero(known), np.where(np.isfinite(cosine), cosine, math.nan)

    @property
    def finite(self) -> list[float]:
        """Losses that are finite."""
        return [v for v in self.losses if math.isfinite(v)]

    @property
    def diverged(self) -> int | None:
        """The first step whose loss was not finite."""
        broken = np.flatnonzero(~np.isfinite(self.losses))
        return int(broken[0]) if len(broken) else None

    def smooth(self, begin: float, end: float) -> float:
        """The median loss between two shares of the steps so far; NaN where there is none."""
        count = len(self.losses)
        low = min(int(begin * count), max(0, count - 1))
        part = np.array(self.losses[low : max(low + 1, int(end * count))])
        part = part[np.isfinite(part)]
        return float(np.median(part)) if len(part) else math.nan

    @property
    def first_loss(self) -> float:
        """The median of the first few losses."""
        first = list(islice(filter(math.isfinite, self.losses), 3))
        return median(first) if first else math.nan
