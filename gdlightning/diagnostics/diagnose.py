"""All verdicts of a record, root causes first, and as text."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gdlightning.diagnostics.run_record import RunRecord
from gdlightning.diagnostics.verdict import Verdict, in_order
from gdlightning.discovery import Catalogue
from gdlightning.storage.atomic_write import write_json

FINDINGS = "gdlightning.diagnostics.checks"
CHECKS = Catalogue(FINDINGS, "check", member=lambda home, _: home.find)
VERDICTS = "verdicts.json"
MARKS = {"fault": "✗", "warning": "!", "note": "·", "fine": "✓"}


def diagnose(record: RunRecord) -> list[Verdict]:
    """What is found of a training, root causes first.

    Args:
        record: of a whole training, or of as much of it as there is.
    """
    if record.empty:
        return []
    with np.errstate(all="ignore"):  # losses may be of any size
        found = [verdict for name in CHECKS.names() for verdict in CHECKS.find(name)(record)]
    return in_order(found)


def as_text(verdicts: Sequence[Verdict], width: int = 96) -> str:
    """Verdicts for a terminal: title, evidence, advice."""
    lines: list[str] = []
    for verdict in verdicts:
        because = f" (follows from {verdict.because})" if verdict.because else ""
        head = f"{MARKS[verdict.severity]} {verdict.severity}: {verdict.title}{because}"
        lines += textwrap.wrap(head, width, subsequent_indent="    ")
        for text in verdict.evidence:
            lines += textwrap.wrap(text, width, initial_indent="    ", subsequent_indent="    ")
        for text in verdict.advice if not verdict.because else ():
            lines += textwrap.wrap(text, width, initial_indent="    → ", subsequent_indent="      ")
    return "\n".join(lines)


def as_markdown(verdicts: Sequence[Verdict]) -> str:
    """Verdicts for a page or TensorBoard's text."""
    blocks = []
    for verdict in verdicts:
        because = f" *(follows from {verdict.because})*" if verdict.because else ""
        rows = [f"**{verdict.severity}: {verdict.title}**{because}", ""]
        rows += [f"- {text}" for text in verdict.evidence]
        rows += [f"- → `{text}`" if text.startswith("--") else f"- → {text}"
                 for text in verdict.advice]  # fmt: skip
        blocks.append("\n".join(rows))
    return "\n\n".join(blocks)


def write(verdicts: Sequence[Verdict], folder: Path) -> None:
    """Write ``verdicts.json`` into a run's folder."""
    write_json(folder / VERDICTS, [v.plain() for v in verdicts])


def as_json(verdicts: Sequence[Verdict]) -> str:
    """A list of records."""
    return json.dumps([v.plain() for v in verdicts], indent=2, ensure_ascii=False)
