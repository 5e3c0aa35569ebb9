"""A verdict: one finding about a run, with advice and evidence."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

Severity = Literal["fault", "warning", "note", "fine"]
ORDER: tuple[Severity, ...] = ("fault", "warning", "note", "fine")


@dataclass(frozen=True)
class Verdict:
    """One finding about a run.

    Args:
        name: The kind of the finding, such as ``lr-too-small``, explained in docs/verdicts.md.
        severity: ``fault`` if the run cannot succeed, ``warning`` if the result is probably worse
            than necessary, ``note`` if it may matter, ``fine`` if there is nothing to change.
        title: The finding in one sentence.
        evidence: The measurements that support it, with numbers and steps.
        advice: The changes to make, as imperatives that name the flags to set.
        symptoms: The names of verdicts that this one explains.
        first: The optimizer step from which it is visible, 0 for the start.
        picture: The panel of the figure that shows it, or an empty string.
        because: The name of the verdict that explains this one, empty for a root cause.
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
        """Return the verdict as a dict for JSON."""
        return asdict(self)


def in_order(found: list[Verdict]) -> list[Verdict]:
    """Sort verdicts by severity, root causes first, and link symptoms to their causes."""
    ranked = sorted(found, key=lambda v: (_rank(v), v.first))
    causes: dict[str, str] = {}
    for verdict in ranked:  # a symptom is linked to its worst cause
        for symptom in verdict.symptoms if verdict.severity in ("fault", "warning") else ():
            if symptom != verdict.name and verdict.name not in causes:
                causes.setdefault(symptom, verdict.name)
    linked = [replace(v, because=causes.get(v.name, "")) for v in ranked]
    return sorted(linked, key=lambda v: bool(v.because))


def _rank(verdict: Verdict) -> int:
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
