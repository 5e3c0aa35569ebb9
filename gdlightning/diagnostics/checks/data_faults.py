"""Faults of the data that no optimizer mends."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from gdlightning.diagnostics.run_record import RunRecord
from gdlightning.diagnostics.verdict import Verdict

SHARED, REPEATED = 0.02, 0.05
"""Shares of examples, from which they are told."""
LEARNT, CHANCE = 0.5, 1.5
"""Share of the base rate's loss, below which the training split is learnt; and how far below it, in
1/√examples, a validation loss may come by chance."""
STALE = ("plateau", "lr-too-small", "lr-too-large", "overfitting", "nothing-carries-over", "saddle")


def find(record: RunRecord) -> Iterator[Verdict]:
    """Constant inputs, repeated rows, leaks between splits, targets that inputs don't tell."""
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
        title="All inputs are the same." if whole
        else f"{count} of {features} inputs have one value only.",
        evidence=("Looked at in the training split, before training.",),
        advice=("mend the reading of the data",) if whole else ("leave those columns out",),
        symptoms=(*STALE, "dead-units", "vanishing-gradients") if whole else (),
    )  # fmt: skip


def _shared(data: dict[str, Any]) -> Iterator[Verdict]:
    leaks = {k: v for k, v in data.get("shared", {}).items() if v > SHARED}
    if not leaks or data.get("constant", 0) == data.get("features", -1):
        return
    told = ", ".join(f"{v:.0%} of the {k} split" for k, v in leaks.items())
    yield Verdict(
        name="leak-between-splits",
        severity="fault",
        title=f"Inputs of the training split are in others too: {told}.",
        evidence=("Compared byte by byte, after preprocessing.",),
        advice=("remove repeated rows before splitting, or split by group",),
    )


def _repeated(data: dict[str, Any]) -> Iterator[Verdict]:
    share = data.get("repeated", 0.0)
    if share > REPEATED and data.get("constant", 0) != data.get("features", -1):
        yield Verdict(
            name="repeated-rows",
            severity="warning",
            title=f"{share:.0%} of the training examples repeat others, target included.",
            evidence=("Compared byte by byte, after preprocessing.",),
            advice=("remove them, unless their weight is meant",),
        )


def _unrelated(record: RunRecord, data: dict[str, Any]) -> Iterator[Verdict]:
    base = data.get("entropy", data.get("variance"))
    values = [m["val_loss"] for m in record.validations.values() if "val_loss" in m]
    best, last = min(values, default=math.nan), record.smooth(0.8, 1.0)
    size = data.get("examples", {}).get("val", 0)
    if not base or size < 1 or not last < LEARNT * base:
        return
    if not best > base * (1 - CHANCE / math.sqrt(size)) or not values[-1] > base:
        return
    yield Verdict(
        name="nothing-carries-over",
        severity="fault",
        title="What is learnt of the training split says nothing about the validation split: "
        "targets may be shuffled, or rows of inputs and targets apart.",
        evidence=(
            f"The validation loss was {best:.4g} at best; a constant guess gives {base:.4g}.",
            f"The training loss went down to {last:.4g}.",
        ),
        advice=("look at a few examples beside their targets",),
        symptoms=("overfitting",),
        picture="loss",
    )
