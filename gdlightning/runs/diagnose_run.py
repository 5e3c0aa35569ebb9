"""The diagnosis of a run folder."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from gdlightning.diagnostics.diagnose import diagnose
from gdlightning.diagnostics.run_record import Damage, RunRecord
from gdlightning.diagnostics.verdict import Verdict
from gdlightning.errors import UserError
from gdlightning.runs.run_folder import find_run
from gdlightning.storage.journal import JOURNAL

SHORT = 50
"""Optimizer steps that most findings need."""


@dataclass(frozen=True)
class Diagnosis:
    """What was found of a run.

    Attributes:
        folder: run folder.
        record: measurements of the run.
        verdicts: findings, root causes first; may be empty.
    """

    folder: Path
    record: RunRecord
    verdicts: list[Verdict]


def diagnose_run(where: str) -> Diagnosis:
    """Diagnose the run at a path.

    Raises:
        UserError: if there is no such run, or nothing was measured.
    """
    folder = find_run(where)
    record = RunRecord.read(folder)
    if record.empty:
        raise UserError(_nothing_measured(folder, record.damage))
    if record.damage.count:
        print(f"Note: ignored {record.damage}.", file=sys.stderr)
    return Diagnosis(folder, record, diagnose(record))


def nothing_found(record: RunRecord) -> str:
    """Return what an empty diagnosis means, in a sentence."""
    count = len(record.losses)
    if count < SHORT:
        steps = f"{count:,} step{'s' * (count != 1)}"
        return f"No findings: the run has {steps} so far, and most findings need about {SHORT}."
    return f"No findings: nothing in {count:,} steps looks wrong."


def _nothing_measured(folder: Path, damage: Damage) -> str:
    if damage.count:
        return f"{folder} cannot be read: {damage}.\nResume or repeat the run."
    if (folder / JOURNAL).is_file():
        return (
            f"{folder} has a monitor, but no step was measured: the run ended or was stopped too "
            f"early.\nMost findings need about {SHORT} steps."
        )
    return (
        f"{folder} holds no measurements ({JOURNAL}).\n"
        "Train with the monitor on: remove monitor.every, and set profile: full."
    )
