"""Storage of a study: Optuna's journal file, made safe against kills, or a database."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from gdlightning.errors import UserError

JOURNAL = "journal.log"


class Journal(JournalFileBackend):
    """Journal file of Optuna that repairs its end if a writer was killed within a line.

    It is locked with ``flock``, which the system releases when the process ends. Optuna's lock
    would persist for half a minute.
    """

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append lines after removing an incomplete last line."""
        import fcntl

        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with open(f"{self._file_path}.lock", "w") as lock, open(self._file_path, "r+b") as stream:
            fcntl.flock(lock, fcntl.LOCK_EX)
            stream.seek(_whole(stream))
            stream.truncate()
            stream.write(lines.encode())
            stream.flush()
            os.fsync(stream.fileno())


def opened(where: str | Path) -> BaseStorage:
    """Open the storage at a database URL or in a folder.

    Raises:
        UserError: if the database cannot be opened.
    """
    if "://" in str(where):
        try:
            return RDBStorage(str(where))
        except Exception as error:  # drivers and servers may raise anything
            first = str(error).strip().splitlines()[0]
            raise UserError(f"The database {where} cannot be opened: {first}") from error
    path = str(Path(where) / JOURNAL)
    try:
        import fcntl  # noqa: F401
    except ImportError:  # not available on Windows
        return JournalStorage(JournalFileBackend(path))
    return JournalStorage(Journal(path))


def remove(folder: Path) -> None:
    """Delete the journal file and its lock."""
    for name in (JOURNAL, f"{JOURNAL}.lock"):
        (folder / name).unlink(missing_ok=True)


def _whole(stream: Any) -> int:
    """Return the position after the last complete line of a file."""
    end: int = stream.seek(0, os.SEEK_END)
    while end:
        begin = max(0, end - 65536)
        stream.seek(begin)
        found = stream.read(end - begin).rfind(b"\n")
        if found >= 0:
            return int(begin + found + 1)
        end = begin
    return 0
