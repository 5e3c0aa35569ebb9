"""Detect faults of the data, which no optimizer can fix."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from gdlightning.diagnostics.run_record import RunRecord
from gdlightning.diagnostics.verdict import Verdict

MAX_SHARED, MAX_REPEATED = 0.02, 0.05
"""Fractions of shared and repeated examples above which they are reported."""
LEARNED = 0.5
"""Fraction of the constant prediction's loss below which the training split is learned."""
CHANCE = 1.5
"""Decrease of the validation loss that may occur by chance, in units of 1/√examples."""
CONSTANT_SYMPTOMS = (
    "plateau",
    "lr-too-small",
    "lr-too-large",
    "overfitting",
    "nothing-carries-over",
    "saddle",
    "dead-units",
    "vanishing-gradients",
)


def find(record: RunRecord) -> Iterator[Verdict]:
    """Report constant inputs, repeated rows, leaks and targets unrelated to the inputs."""
    data = record.start.get("data", {})
    yield from _constant(data)
    yield from _shared(data)
    yield from _repeated(data)
    yield from _unrelated(record, data)


def _constant(data: dict[str, Any]) -> Iterator[Verdict]:
    count, features = data.get("constant", 0), data.get("features", 0)
    if not count:
        return
    whole = count == features
    yield Verdict(
        name="constant-input",
        severity="fault" if whole else "note",
        title="All inputs are constant."
        if whole
        else f"{count} of {features} input features are constant.",
        evidence=("Measured on the training split before the first step.",),
        advice=("Fix the code that loads the data.",) if whole else ("Remove these columns.",),
        symptoms=CONSTANT_SYMPTOMS if whole else (),
    )


def _shared(data: dict[str, Any]) -> Iterator[Verdict]:
    leaks = {k: v for k, v in data.get("shared", {}).items() if v > MAX_SHARED}
    if not leaks or data.get("constant", 0) == data.get("features", -1):
        return
    shares = ", ".join(f"{v:.0%} of the {k} split" for k, v in leaks.items())
    yield Verdict(
        name="leak-between-splits",
        severity="fault",
        title=f"Inputs of the training split also occur in other splits: {shares}.",
        evidence=("Inputs were compared byte by byte after preprocessing.",),
        advice=("Remove repeated rows before splitting the data, or split by group.",),
    )


def _repeated(data: dict[str, Any]) -> Iterator[Verdict]:
    share = data.get("repeated", 0.0)
    if share > MAX_REPEATED and data.get("constant", 0) != data.get("features", -1):
        yield Verdict(
            name="repeated-rows",
            severity="warning",
            title=f"{share:.0%} of the training examples are duplicates, including the target.",
            evidence=("Examples were compared byte by byte after preprocessing.",),
            advice=("Remove the duplicates, unless they are meant to have more weight.",),
        )


def _unrelated(record: RunRecord, data: dict[str, Any]) -> Iterator[Verdict]:
    base = data.get("entropy", data.get("variance"))
    values = [m["val_loss"] for m in record.validations.values() if "val_loss" in m]
    best, last = min(values, default=math.nan), record.smooth(0.8, 1.0)
    size = data.get("examples", {}).get("val", 0)
    if not base or size < 1 or not last < LEARNED * base:
        return
    if not best > base * (1 - CHANCE / math.sqrt(size)) or not values[-1] > base:
        return
    yield Verdict(
        name="nothing-carries-over",
        severity="fault",
        title="The model memorizes the training split without generalizing: the targets may be "
        "shuffled or misaligned with the inputs.",
        evidence=(
            f"The best validation loss is {best:.4g}; a constant prediction has {base:.4g}.",
            f"The training loss decreased to {last:.4g}.",
        ),
        advice=("Check for a few examples that inputs and targets match.",),
        symptoms=("overfitting",),
        picture="loss",
    )
