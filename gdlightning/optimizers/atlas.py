"""What was measured of each optimizer by the contract, kept as data: no library is imported."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gdlightning.optimizers.entry import Entry

FILE = Path(__file__).with_name("atlas.json")


@dataclass(frozen=True)
class Facts:
    """What was measured of an optimizer.

    Args:
        kept: the clauses of the contract that it keeps.
        broken: clause → what was seen instead, of those that it does not keep.
        loss: before and after 200 steps at the defaults on small handwritten digits.
        bytes_per_parameter: of its state, on a net of 138,000 weights.
        step_ratio: time of a training step over that with fused AdamW, in turn in one run.
    """

    kept: tuple[str, ...] = ()
    broken: Mapping[str, str] = field(default_factory=dict)
    loss: tuple[float, float] | None = None
    bytes_per_parameter: float | None = None
    step_ratio: float | None = None


@functools.cache
def _content() -> dict[str, Any]:
    if not FILE.is_file():  # while it is written afresh
        return {"conditions": {}, "optimizers": {}}
    content: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return content


def measured(entry: Entry) -> Facts | None:
    """The facts of an entry; None where it was not measured, as one's own is not."""
    row = _content()["optimizers"].get(entry.name)
    if row is None:
        return None
    loss = tuple(row["loss"]) if row["loss"] else None
    return Facts(
        tuple(row["kept"]), row["broken"], loss, row["bytes_per_parameter"], row["step_ratio"]
    )


def conditions() -> dict[str, str]:
    """When, on what and with which versions the facts were measured."""
    found: dict[str, str] = _content()["conditions"]
    return found
