"""The measurements of a run, as series over optimizer steps."""

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
"""File in the run folder with the results of ``gdl diagnose --curvature``."""
OPTIONAL_FIELDS: dict[str, Any] = {
    "start": Head,
    "val": dict[str, float | None],
    "spikes": list[Spike],
    "curvature": Ends,
}
"""Types of the fields that only some rows have."""
MAX_NAMED = 3
"""Number of damaged lines that a message names."""


@dataclass
class Damage:
    """The rows and files that were skipped because they are damaged.

    Attributes:
        count: The number of skipped rows and files.
        first: The location and reason of the first few.
    """

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, where: str, why: str) -> None:
        """Add a skipped row or file."""
        self.count += 1
        if self.count <= MAX_NAMED:
            self.first.append(f"{where} ({why})")

    def __str__(self) -> str:
        more = ", …" if self.count > MAX_NAMED else ""
        return f"{self.count:,} damaged part{'s' * (self.count > 1)}: {'; '.join(self.first)}{more}"


@dataclass
class RunRecord:
    """The measurements of a run or of its first steps.

    Attributes:
        start: The metadata in the first row: ``layers``, ``steps``, ``optimizer``, ``data``, ….
        losses: The loss of every step, NaN if it was non-finite.
        steps: The measured steps.
        pairs: Four numbers per pair: the measured step, the product of its gradient and the next
            step's gradient, and their squared norms.
        clipped: The fraction of clipped steps per interval.
        spikes: Steps whose loss is an outlier, with the examples of their batches.
        validations: The validation metrics by step.
        sharpness: By step, the extreme eigenvalues of the Hessian of a batch, λ·lr and its limit.
        curvature: The results of ``gdl curvature`` for the last checkpoint, or an empty dict.
        damage: The damaged rows and files that were skipped.
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
        """Read the files of a run folder. The record is empty if nothing was measured."""
        record = cls()
        for number, row in numbered(folder / JOURNAL):
            if wrong := "not a row of a step" if row is None else record.take(row):
                record.damage.add(f"{JOURNAL}, line {number}", wrong)
        if (folder / CURVATURE).is_file():
            try:
                found = json.loads((folder / CURVATURE).read_text(encoding="utf-8"))
                wrong = mismatch(found, Curvature)
            except (ValueError, RecursionError):
                wrong = "invalid JSON"
            if wrong:
                record.damage.add(CURVATURE, wrong)
            else:
                record.curvature = found
        return record

    @classmethod
    def of(cls, lines: Iterable[Mapping[str, Any]], until: int | None = None) -> RunRecord:
        """Read the rows of a journal.

        Args:
            lines: The rows.
            until: The step before which rows are read, or None for all rows.
        """
        record = cls()
        for line in lines:
            if until is None or int(line.get("step", 0)) < until:
                record.take(line)
        return record

    def take(self, row: Mapping[str, Any]) -> str:
        """Add a row of a journal.

        Returns:
            The error in the row, of which nothing was added, or an empty string.
        """
        step = int(row.get("step", 0))
        for key in OPTIONAL_FIELDS.keys() & row.keys():
            if wrong := mismatch(row[key], OPTIONAL_FIELDS[key], key):
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
            return "alike: expected three numbers"
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
        """True if the record contains no step."""
        return not len(self.losses) and not len(self.steps)

    @property
    def layers(self) -> list[str]:
        """Names of the matrices, in order from the input."""
        return list(self.start.get("layers", ()))

    @property
    def planned(self) -> int:
        """Planned number of steps, or the number of steps so far if it is unknown."""
        return int(self.start.get("steps") or len(self.losses))

    @property
    def gains(self) -> list[tuple[int, float]]:
        """Pairs of step and gain ratio, without steps whose gain ratio is lost in rounding."""
        gain = self.steps.gain
        seen = ~np.isnan(gain)
        return list(zip(self.steps.step[seen].tolist(), gain[seen].tolist(), strict=True))

    @property
    def cosines(self) -> tuple[NDArray[np.int64], Numbers]:
        """Indices of the measured steps with a pair, and their cosines (NaN if undefined)."""
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
        """The finite losses."""
        return [v for v in self.losses if math.isfinite(v)]

    @property
    def diverged(self) -> int | None:
        """The first step with a non-finite loss, or None."""
        broken = np.flatnonzero(~np.isfinite(self.losses))
        return int(broken[0]) if len(broken) else None

    def smooth(self, begin: float, end: float) -> float:
        """Return the median of the finite losses in a range of steps, or NaN.

        Args:
            begin: The start of the range, as a fraction of the steps so far.
            end: The end of the range, as a fraction of the steps so far.
        """
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
