"""What came of the contract for one optimizer, and whether its entry says the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from gdlightning.contract import clauses
from gdlightning.contract.clauses import ALONE, Broken
from gdlightning.contract.measure import cost
from gdlightning.contract.trial import Trial
from gdlightning.errors import UserError
from gdlightning.optimizers.entry import Entry


@dataclass
class Record:
    """What was seen of an optimizer.

    Args:
        name: of the entry.
        broken: clause → what was seen, of those that it does not keep.
        kept: the clauses that it keeps.
        loss: of all digits, before and after 200 steps at the defaults; None where not finite.
        bytes_per_parameter: of its state.
        step_ratio: time of a training step over that with fused AdamW.
    """

    name: str
    broken: dict[str, str] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    loss: tuple[float, float] | None = None
    bytes_per_parameter: float | None = None
    step_ratio: float | None = None

    def note(self, clause: str, seen: str | None) -> None:
        """Keep what came of a clause: None, or what was seen instead."""
        if seen is None:
            self.kept.append(clause)
        else:
            self.broken[clause] = seen

    def against(self, entry: Entry) -> list[str]:
        """Where the entry says otherwise: clauses broken without a reason, reasons without need."""
        wrong = [
            f"{self.name}: {clause}: {seen}"
            for clause, seen in self.broken.items()
            if clause not in entry.cannot
        ]
        return wrong + [
            f"{self.name}: {clause}: the entry says that it can't, and it can"
            for clause in self.kept
            if clause in entry.cannot
        ]


def examine(entry: Entry, chosen: Iterable[str] = tuple(ALONE), costs: bool = True) -> Record:
    """Try the clauses that one process can try."""
    record = Record(entry.name)
    trial = Trial(entry)
    for clause in chosen:
        record.note(clause, seen_of(trial, clause))
    if costs:
        record.loss = _or_none(clauses.losses, trial)
        found = _or_none(cost, entry)
        record.bytes_per_parameter, record.step_ratio = found or (None, None)
    return record


def seen_of(trial: Trial, clause: str) -> str | None:
    """What was seen where a clause is broken; None where it is kept."""
    try:
        ALONE[clause](trial)
    except (Broken, UserError) as error:
        return str(error).splitlines()[0]
    except Exception as error:  # whatever a library raises
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"
    return None


def _or_none(function: Any, argument: Any) -> Any:
    try:
        return function(argument)
    except Exception:  # noted by a clause already
        return None
