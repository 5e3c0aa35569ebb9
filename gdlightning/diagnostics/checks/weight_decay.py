"""Weight decay on biases and on the scales of norms."""

from __future__ import annotations

from collections.abc import Iterator

from gdlightning.diagnostics.run_record import RunRecord
from gdlightning.diagnostics.verdict import Verdict


def find(record: RunRecord) -> Iterator[Verdict]:
    """Whether vectors decay."""
    names = record.start.get("decayed", ())
    if not names:
        return
    yield Verdict(
        name="decay-on-vectors",
        severity="note",
        title=f"Weight decay pulls {len(names)} biases or scales of norms to 0.",
        evidence=(", ".join(names[:4]) + (", …" if len(names) > 4 else ""),),
        advice=("groups.decay: [matrix, output], which is the default",),
    )
