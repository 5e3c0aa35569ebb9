"""Where a study is kept: Optuna's journal file, which no kill can damage, or a database."""

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
    """Optuna's journal file, whose end is mended where a writer was killed within a line.

    Its lock is the system's, which lets go of it when the holder ends, however it ends; Optuna's
    own would stay for half a minute.
    """

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append lines, to whole ones."""
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
    """The storage at the URL of a database, or in a folder.

    Raises:
        UserError: the database can't be opened.
    """
    if "://" in str(where):
        try:
            return RDBStorage(str(where))
        except Exception as error:  # of drivers and servers, whatever they raise
            first = str(error).strip().splitlines()[0]
            raise UserError(f"The database {where} can't be opened: {first}") from error
    path = str(Path(where) / JOURNAL)
    try:
        import fcntl  # noqa: F401
    except ImportError:  # not on this system
        return JournalStorage(JournalFileBackend(path))
    return JournalStorage(Journal(path))


def remove(folder: Path) -> None:
    """Take the journal file and its lock away."""
    for name in (JOURNAL, f"{JOURNAL}.lock"):
        (folder / name).unlink(missing_ok=True)


def _whole(stream: Any) -> int:
    """Where the last whole line of a file ends."""
    end: int = stream.seek(0, os.SEEK_END)
    while end:
        begin = max(0, end - 65536)
        stream.seek(begin)
        found = stream.read(end - begin).rfind(b"\n")
        if found >= 0:
            return int(begin + found + 1)
        end = begin
    return 0
