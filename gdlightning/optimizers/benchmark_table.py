"""Measurements of each optimizer by the contract, stored as data; no library is imported."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gdlightning.optimizers.entry import Entry

FILE = Path(__file__).with_name("benchmark_table.json")


@dataclass(frozen=True)
class OptimizerBenchmark:
    """Measurements of an optimizer.

    Args:
        kept: clauses of the contract that the optimizer satisfies.
        broken: clauses that it violates, clause → observation.
        loss: loss before and after 200 steps with default settings, on small handwritten digits.
        bytes_per_parameter: size of the state in bytes per parameter, for a net with 138,000
            weights.
        step_ratio: time of a training step relative to fused AdamW, measured alternately in one
            run.
    """

    kept: tuple[str, ...] = ()
    broken: Mapping[str, str] = field(default_factory=dict)
    loss: tuple[float, float] | None = None
    bytes_per_parameter: float | None = None
    step_ratio: float | None = None


@functools.cache
def _content() -> dict[str, Any]:
    if not FILE.is_file():  # while scripts/contract.py rewrites it
        return {"conditions": {}, "optimizers": {}}
    content: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return content


def measured(entry: Entry) -> OptimizerBenchmark | None:
    """Return the measurements of an entry; None if it was not measured, such as a custom one."""
    row = _content()["optimizers"].get(entry.name)
    if row is None:
        return None
    loss = tuple(row["loss"]) if row["loss"] else None
    return OptimizerBenchmark(
        tuple(row["kept"]), row["broken"], loss, row["bytes_per_parameter"], row["step_ratio"]
    )


def conditions() -> dict[str, str]:
    """Return the Python and library versions of the measurements."""
    found: dict[str, str] = _content()["conditions"]
    return found
