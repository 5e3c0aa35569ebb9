"""What is found of a training: how bad it is, how it is known, what to change."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

Severity = Literal["fault", "warning", "note", "fine"]
ORDER: tuple[Severity, ...] = ("fault", "warning", "note", "fine")


@dataclass(frozen=True)
class Verdict:
    """One finding.

    Args:
        name: of its kind, such as ``lr-too-small``; the page of docs/verdicts.md about it.
        severity: ``fault`` where the training can't succeed so, ``warning`` where it is likely
            worse than it could be, ``note`` where it may matter, ``fine`` where nothing speaks
            against it.
        title: the finding in a sentence.
        evidence: what was measured, with numbers and steps.
        advice: what to change: options as they are typed.
        symptoms: names of verdicts that follow from this one.
        first: optimizer step from which it shows, 0 for the beginning.
        picture: which of the pictures shows it; empty for none.
        because: name of the verdict that this one follows from; empty for a root cause.
    """

    name: str
    severity: Severity
    title: str
    evidence: tuple[str, ...]
    advice: tuple[str, ...] = ()
    symptoms: tuple[str, ...] = ()
    first: int = 0
    picture: str = ""
    because: str = ""

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def in_order(found: list[Verdict]) -> list[Verdict]:
    """Root causes first, what follows from them after; among both the worst first."""
    told = sorted(found, key=lambda v: (_badness(v), v.first))
    causes: dict[str, str] = {}
    for verdict in told:  # the worst cause of a symptom counts
        for symptom in verdict.symptoms if verdict.severity in ("fault", "warning") else ():
            if symptom != verdict.name and verdict.name not in causes:
                causes.setdefault(symptom, verdict.name)
    linked = [replace(v, because=causes.get(v.name, "")) for v in told]
    return sorted(linked, key=lambda v: bool(v.because))


def _badness(verdict: Verdict) -> int:
    return ORDER.index(verdict.severity)


def read_verdicts(path: Path) -> list[Verdict]:
    """Return the verdicts in a file; an empty list if there is no such file."""
    if not path.is_file():
        return []
    rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    lists = ("evidence", "advice", "symptoms")
    for row in rows:
        row.update({key: tuple(row[key]) for key in lists})
    return [Verdict(**row) for row in rows]
