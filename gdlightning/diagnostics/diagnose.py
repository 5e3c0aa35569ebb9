"""Derive the verdicts of a run and format them."""

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

CHECKS = Catalogue("gdlightning.diagnostics.checks", "check", member=lambda home, _: home.find)
VERDICTS = "verdicts.json"
MARKS = {"fault": "✗", "warning": "!", "note": "·", "fine": "✓"}


def diagnose(record: RunRecord) -> list[Verdict]:
    """Return the verdicts of a run, root causes first.

    Args:
        record: The measurements of a run, which may still be in progress.
    """
    if record.empty:
        return []
    with np.errstate(all="ignore"):  # losses may overflow
        found = [verdict for name in CHECKS.names() for verdict in CHECKS.find(name)(record)]
    return in_order(found)


def as_text(verdicts: Sequence[Verdict], width: int = 96) -> str:
    """Format verdicts for a terminal: title, advice, evidence.

    Args:
        verdicts: The verdicts, in the order of the output.
        width: The line width in characters.
    """
    lines: list[str] = []
    for verdict in verdicts:
        because = f" (follows from {verdict.because})" if verdict.because else ""
        head = f"{MARKS[verdict.severity]} {verdict.severity}: {verdict.title}{because}"
        lines += textwrap.wrap(head, width, subsequent_indent="    ")
        for text in verdict.advice if not verdict.because else ():
            lines += textwrap.wrap(text, width, initial_indent="    → ", subsequent_indent="      ")
        for text in verdict.evidence:
            lines += textwrap.wrap(text, width, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines)


def as_markdown(verdicts: Sequence[Verdict]) -> str:
    """Format verdicts as Markdown: title, advice, evidence."""
    blocks = []
    for verdict in verdicts:
        because = f" *(follows from {verdict.because})*" if verdict.because else ""
        rows = [f"**{verdict.severity}: {verdict.title}**{because}", ""]
        rows += [f"- → {text}" for text in verdict.advice]
        rows += [f"- {text}" for text in verdict.evidence]
        blocks.append("\n".join(rows))
    return "\n\n".join(blocks)


def write(verdicts: Sequence[Verdict], folder: Path) -> None:
    """Write ``verdicts.json`` to a run folder."""
    write_json(folder / VERDICTS, [v.plain() for v in verdicts])


def as_json(verdicts: Sequence[Verdict]) -> str:
    """Format verdicts as a JSON list."""
    return json.dumps([v.plain() for v in verdicts], indent=2, ensure_ascii=False)
