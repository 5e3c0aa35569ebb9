"""Detect weight decay on biases and normalization scales."""

from __future__ import annotations

from collections.abc import Iterator

from gdlightning.diagnostics.run_record import RunRecord
from gdlightning.diagnostics.verdict import Verdict


def find(record: RunRecord) -> Iterator[Verdict]:
    """Report vectors that weight decay applies to."""
    names = record.start.get("decayed", ())
    if not names:
        return
    yield Verdict(
        name="decay-on-vectors",
        severity="note",
        title=f"Weight decay applies to {len(names)} biases or normalization scales.",
        evidence=(f"Affected: {', '.join(names[:4])}{', …' if len(names) > 4 else ''}.",),
        advice=("Set groups.decay: [matrix, output], the default.",),
    )
