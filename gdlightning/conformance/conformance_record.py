"""Results of the contract for one optimizer, compared with its entry."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from gdlightning.conformance import capabilities as clauses
from gdlightning.conformance.capabilities import ALONE, Broken
from gdlightning.conformance.step_cost import cost
from gdlightning.conformance.training_check import TrainingCheck
from gdlightning.errors import UserError
from gdlightning.optimizers.entry import Entry


@dataclass
class ConformanceRecord:
    """Results of an optimizer.

    Args:
        name: name of the entry.
        broken: observations by violated clause.
        kept: satisfied clauses.
        loss: loss of all digits before and after 200 steps with default settings; None if not
            finite.
        bytes_per_parameter: size of the state, in bytes per parameter.
        step_ratio: time of a training step relative to fused AdamW.
    """

    name: str
    broken: dict[str, str] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    loss: tuple[float, float] | None = None
    bytes_per_parameter: float | None = None
    step_ratio: float | None = None

    def note(self, clause: str, seen: str | None) -> None:
        """Record the result of a clause: None, or the observation of a violation."""
        if seen is None:
            self.kept.append(clause)
        else:
            self.broken[clause] = seen

    def against(self, entry: Entry) -> list[str]:
        """Return conflicts with the entry: unexplained violations, and reasons without one."""
        wrong = [
            f"{self.name}: {clause}: {seen}"
            for clause, seen in self.broken.items()
            if clause not in entry.cannot
        ]
        return wrong + [
            f"{self.name}: {clause}: the entry gives a reason, but the clause is satisfied"
            for clause in self.kept
            if clause in entry.cannot
        ]


def examine(
    entry: Entry, chosen: Iterable[str] = tuple(ALONE), costs: bool = True
) -> ConformanceRecord:
    """Check the clauses that a single process can check, and measure the costs.

    Args:
        entry: entry of the optimizer.
        chosen: clauses to check.
        costs: whether to measure loss, memory and time.
    """
    record = ConformanceRecord(entry.name)
    trial = TrainingCheck(entry)
    for clause in chosen:
        record.note(clause, seen_of(trial, clause))
    if costs:
        record.loss = _or_none(clauses.losses, trial)
        found = _or_none(cost, entry)
        record.bytes_per_parameter, record.step_ratio = found or (None, None)
    return record


def seen_of(trial: TrainingCheck, clause: str) -> str | None:
    """Return the observation if a clause is violated, otherwise None."""
    try:
        ALONE[clause](trial)
    except (Broken, UserError) as error:
        return str(error).splitlines()[0]
    except Exception as error:  # third-party optimizers may raise anything
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"
    return None


def _or_none(function: Any, argument: Any) -> Any:
    try:
        return function(argument)
    except Exception:  # recorded by a clause
        return None
