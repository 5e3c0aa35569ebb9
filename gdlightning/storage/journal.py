"""A JSON Lines file with one row per step, which a resumed run continues."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gdlightning.errors import StorageError
from gdlightning.storage.atomic_write import open_atomic
from gdlightning.storage.typed_rows import INT_LIMIT

JOURNAL = "instruments.jsonl"
"""File in the run folder with the measurements of the monitor."""


def append(file: Path, row: dict[str, Any]) -> None:
    """Append a row.

    A process that is killed meanwhile leaves at most one incomplete line, which readers ignore.

    Args:
        file: The journal.
        row: The ``step`` and other JSON values.

    Raises:
        OSError: If the disk is full or the folder was removed.
    """
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(row, allow_nan=False) + "\n")


def rows(file: Path) -> Iterator[dict[str, Any]]:
    """Iterate over the valid rows of a journal. A missing file has no rows."""
    return (row for _, row in numbered(file) if row is not None)


def numbered(file: Path) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Iterate over line numbers and rows; the row of a damaged line is None.

    An incomplete last line is skipped: it is being written, or the process was killed.
    """
    for number, line in enumerate(_lines(file), 1):
        row = _row(line)
        if row is not None or line.endswith("\n"):
            yield number, row


def trim_journal(file: Path, step: int) -> int:
    """Remove the rows from ``step`` on, and all damaged lines.

    Args:
        file: The journal.
        step: The first step to remove. If it is 0, the file is removed.

    Returns:
        The number of damaged lines.

    Raises:
        StorageError: If the file cannot be written or removed.
    """
    if step <= 0 or not file.is_file():
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"{file} cannot be removed: {error.strerror or error}.") from error
        return 0
    damaged = 0
    with open_atomic(file, "w") as stream:
        for line in _lines(file):
            row = _row(line)
            if row is None:
                damaged += line.endswith("\n")
            elif row["step"] < step:
                stream.write(line if line.endswith("\n") else f"{line}\n")
    return damaged


def _lines(file: Path) -> Iterator[str]:
    if file.is_file():
        with file.open(encoding="utf-8", errors="replace", newline="\n") as stream:
            yield from stream


def _row(line: str) -> dict[str, Any] | None:
    """Parse a line; return None if it is invalid JSON or has no valid step."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    step = row.get("step") if isinstance(row, dict) else None
    return row if type(step) is int and 0 <= step < INT_LIMIT else None
