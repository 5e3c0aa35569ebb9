"""A file of JSON lines, one a step, that a resumed training goes on with."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gdlightning.storage.write import whole

JOURNAL = "instruments.jsonl"
"""What the monitor measured, in a run's folder."""


def append(file: Path, row: dict[str, Any]) -> None:
    """Add a line; a training that is killed meanwhile leaves at most half of one, which goes.

    Args:
        file: that goes on.
        row: ``step`` and other values that JSON has words for.

    Raises:
        OSError: the disk is full, or the folder is gone.
    """
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(row, allow_nan=False) + "\n")


def rows(file: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a file; nothing where there is none."""
    if not file.is_file():
        return
    with file.open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            with contextlib.suppress(ValueError):
                row = json.loads(line)
                if isinstance(row, dict):
                    yield row


def trim_journal(file: Path, step: int) -> None:
    """Keep the lines of steps 0 to ``step`` - 1."""
    if step > 0 and file.is_file():
        kept = [row for row in rows(file) if int(row.get("step", 0)) < step]
        with whole(file, "w") as stream:
            stream.writelines(json.dumps(row) + "\n" for row in kept)
    else:
        file.unlink(missing_ok=True)
