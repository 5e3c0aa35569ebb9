"""A file of JSON lines, one a step, that a resumed training goes on with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gdlightning.errors import StorageError
from gdlightning.storage.atomic_write import whole
from gdlightning.storage.typed_rows import WHOLE

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
    """Return the rows of a file, without damaged lines; nothing where there is no file."""
    return (row for _, row in numbered(file) if row is not None)


def numbered(file: Path) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Return number and row of each line, None for a damaged one.

    A last line without an end is left out: it is being written, or its writer was killed.
    """
    for number, line in enumerate(_lines(file), 1):
        row = _row(line)
        if row is not None or line.endswith("\n"):
            yield number, row


def trim_journal(file: Path, step: int) -> int:
    """Keep the lines of steps 0 to ``step`` - 1, byte by byte; damaged lines are removed.

    Returns:
        The number of damaged lines.

    Raises:
        StorageError: the file can't be written or removed.
    """
    if step <= 0 or not file.is_file():
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"{file} can't be removed: {error.strerror or error}.") from error
        return 0
    damaged = 0
    with whole(file, "w") as stream:
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
    """Return the row of a line; None if it is no JSON, or does not name a step."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    step = row.get("step") if isinstance(row, dict) else None
    return row if type(step) is int and 0 <= step < WHOLE else None
